//! Logins that are not remembered, beside `docker_auth` with the same directory and database.

use std::time::Duration;

use peers::{FerretDb, Postgres, Slapd};

use crate::backends;
use crate::common::Process;
use crate::server::{Account, Logins, Setup};

/// How long each row is measured for each server.
const TIME: Duration = Duration::from_secs(3);
/// How long it is warmed up.
const WARM: Duration = Duration::from_millis(300);
/// How many clients log in at once.
const CLIENTS: [usize; 3] = [1, 8, 64];

/// A backend that both servers ask.
struct Case {
    name: &'static str,
    section: String,
    account: Account,
    /// Whether `docker_auth` starts with the section. It refuses a `mongo_auth` without a user.
    is_for_both: bool,
}

pub(crate) fn table(setup: &Setup) {
    let (slapd, postgres) = (backends::slapd(setup), backends::postgres());
    let ferretdb = backends::ferretdb();
    println!(
        "| a login that is not remembered | clients | logins a second | docker_auth | ratio | per CPU-second | docker_auth | ratio | failed |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for case in cases(setup, &slapd, &postgres, &ferretdb) {
        let ours = setup.ours(&case.section, 0);
        let theirs = case
            .is_for_both
            .then(|| setup.docker_auth(&case.section))
            .flatten();
        for clients in CLIENTS {
            let ours = measure(&ours, &case.account, clients);
            let theirs = theirs
                .as_ref()
                .map(|server| measure(server, &case.account, clients));
            row(case.name, clients, &ours, theirs.as_ref());
        }
    }
}

fn cases(setup: &Setup, slapd: &Slapd, postgres: &Postgres, ferretdb: &FerretDb) -> Vec<Case> {
    let ann = Account::new("ann", Slapd::PASSWORDS.0);
    let mut cases = vec![
        Case {
            name: "LDAP",
            section: backends::ldap(setup, slapd.port(), "none"),
            account: ann.clone(),
            is_for_both: true,
        },
        Case {
            name: "LDAP over TLS",
            section: backends::ldap(setup, slapd.tls_port(), "always"),
            account: ann,
            is_for_both: true,
        },
    ];
    // A hash costs the same in both servers, and the usual one costs more than all the rest.
    for (name, cost) in [
        ("PostgreSQL, bcrypt cost 4", 4),
        ("PostgreSQL, bcrypt cost 10", 10),
    ] {
        let account = Account::new(&format!("cost{cost}"), "secret");
        postgres.run("bench", &backends::add_user(&account, cost));
        cases.push(Case {
            name,
            section: backends::xorm_postgres(postgres),
            account,
            is_for_both: true,
        });
    }
    for (name, cost) in [
        ("MongoDB, bcrypt cost 4", 4),
        ("MongoDB, bcrypt cost 10", 10),
    ] {
        let account = Account::new(&format!("cost{cost}"), "secret");
        backends::add_document(ferretdb, &account, cost);
        cases.push(Case {
            name,
            section: backends::mongo(ferretdb),
            account,
            is_for_both: false,
        });
    }
    cases
}

fn measure(server: &Process, account: &Account, clients: usize) -> Logins {
    Logins::measure(server, account, clients, WARM);
    Logins::measure(server, account, clients, TIME)
}

fn row(name: &str, clients: usize, ours: &Logins, theirs: Option<&Logins>) {
    let pair = |of: fn(&Logins) -> f64| match theirs {
        Some(theirs) => format!(
            "{:.0} | {:.0} | {:.1}",
            of(ours),
            of(theirs),
            of(ours) / of(theirs)
        ),
        None => format!("{:.0} | - | -", of(ours)),
    };
    let failed = match theirs {
        Some(theirs) => format!("{}, docker_auth {}", ours.failed(), theirs.failed()),
        None => ours.failed().to_string(),
    };
    println!(
        "| {name} | {clients} | {} | {} | {failed} |",
        pair(Logins::per_second),
        pair(Logins::per_cpu_second)
    );
}
