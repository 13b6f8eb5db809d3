//! Tokens for a login that is remembered. No backend is asked, so all should cost the same.
//!
//! A shared machine is a third faster in one minute than in the next. So each round measures all
//! backends in a short time, and a backend is compared with users of the file in the same round.

use std::time::Duration;

use crate::backends::Backend;
use crate::common::{CONNECTIONS, Process};
use crate::server::{Logins, Setup};

/// How long each backend is measured in a round.
const TIME: Duration = Duration::from_millis(700);
/// How many rounds. The middle one counts.
const ROUNDS: usize = 9;
/// Seconds that a login is remembered: longer than this program runs.
const REMEMBERED: u32 = 3600;

pub(crate) fn table(setup: &Setup) {
    let backends = Backend::all(setup);
    let servers: Vec<Process> = backends
        .iter()
        .map(|backend| setup.ours(&backend.section, REMEMBERED))
        .collect();
    let accounts: Vec<_> = backends
        .iter()
        .zip(&servers)
        .map(|(backend, server)| backend.account(server))
        .collect();
    let mut rates = vec![Vec::new(); backends.len()];
    for _ in 0..ROUNDS {
        for (place, backend) in backends.iter().enumerate() {
            let (server, account) = (&servers[place], &accounts[place]);
            // The first login asks the backend, and is not measured.
            let first = Logins::measure(server, account, 1, Duration::ZERO);
            let logins = Logins::measure(server, account, CONNECTIONS, TIME);
            let failed = first.failed() + logins.failed();
            assert!(failed == 0.0, "{}: {failed} logins failed", backend.name);
            rates[place].push(logins.per_cpu_second());
        }
    }
    println!("| a remembered login | tokens per CPU-second | to users of the file |");
    println!("|---|---|---|");
    for (backend, of_backend) in backends.iter().zip(&rates) {
        let ratios = of_backend
            .iter()
            .zip(&rates[0])
            .map(|(rate, users)| rate / users);
        println!(
            "| {} | {:.0} | {:.2} |",
            backend.name,
            middle(of_backend.clone()),
            middle(ratios.collect())
        );
    }
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
