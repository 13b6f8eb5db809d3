//! What a server does while the database is away, and what its log has.

use std::thread;
use std::time::Duration;

use peers::PostgresProxy;

use super::wire::{self, BYTES};
use super::world::{OPEN, Replicas, Ways};

/// Longer than a request waits for a database that was there until now.
const LONG: Duration = Duration::from_secs(4);
const SHORT: Duration = Duration::from_millis(200);
const REQUESTS: usize = 5;

#[test]
fn a_refused_request_has_one_line() {
    let mut replicas = Replicas::start(1, "", OPEN);
    replicas.wait_until_ready();
    let address = replicas.servers[0].host_port();
    let ask = || wire::send(&address, "GET", "/v2/app/manifests/latest", BYTES, b"").unwrap();
    assert_eq!(ask().status, 404);
    replicas.postgres.kill();
    ask();
    thread::sleep(LONG);
    let before = problems(&replicas);
    for _ in 0..REQUESTS {
        assert_eq!(ask().status, 503);
    }
    // A line is written after its answer.
    replicas.wait_until(|| problems(&replicas).len() >= before.len() + REQUESTS);
    thread::sleep(SHORT);
    let after = problems(&replicas);
    assert_eq!(after.len(), before.len() + REQUESTS, "{after:#?}");
}

/// The connection breaks between the migration of the tables and the first question to them.
#[test]
fn a_server_waits_when_the_database_goes_away_while_it_starts() {
    let mut replicas = Replicas::without_servers();
    let database = PostgresProxy::start(replicas.postgres.port());
    let ways = Ways {
        database: &[database.port()],
        store: replicas.proxy.host_port(),
    };
    let config = replicas.config_by(&ways, "", OPEN);
    let held = database.hold_statement("FROM blobs WHERE store = 0");
    replicas.add(&config);
    held.wait_until_reached();
    held.discard();
    replicas.wait_until_ready();
    let log = replicas.servers[0].log();
    assert!(log.contains("storage cannot be opened yet"), "{log}");
}

/// The lines that an operator looks into.
fn problems(replicas: &Replicas) -> Vec<String> {
    let log = replicas.servers[0].log();
    let lines = log
        .lines()
        .filter(|line| line.contains(" ERROR ") || line.contains(" WARN "));
    lines.map(str::to_owned).collect()
}
