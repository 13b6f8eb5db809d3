//! Tokens for a login that is remembered. No backend is asked, so all should cost the same.

use std::time::Duration;

use crate::backends::Backend;
use crate::common::{CONNECTIONS, Process};
use crate::server::{Logins, Setup};

/// How long each backend is measured in a round.
const TIME: Duration = Duration::from_secs(2);
/// How often. The best round counts, because the others were disturbed.
const ROUNDS: usize = 3;
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
    let mut best = vec![0.0_f64; backends.len()];
    for _ in 0..ROUNDS {
        for (place, backend) in backends.iter().enumerate() {
            let (server, account) = (&servers[place], &accounts[place]);
            // The first login asks the backend, and is not measured.
            let first = Logins::measure(server, account, 1, Duration::ZERO);
            let logins = Logins::measure(server, account, CONNECTIONS, TIME);
            let failed = first.failed() + logins.failed();
            assert!(failed == 0.0, "{}: {failed} logins failed", backend.name);
            best[place] = best[place].max(logins.per_cpu_second());
        }
    }
    println!("| a remembered login | tokens per CPU-second | to users of the file |");
    println!("|---|---|---|");
    for (backend, rate) in backends.iter().zip(&best) {
        println!("| {} | {rate:.0} | {:.2} |", backend.name, rate / best[0]);
    }
}
