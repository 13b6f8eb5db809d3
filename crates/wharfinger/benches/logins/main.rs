//! What a login costs: `cargo bench -p wharfinger --bench logins`.
//!
//! Two tables. The first has the tokens per CPU-second of the server for a login that is remembered,
//! for each backend, beside users of the configuration file. The second has logins that are not
//! remembered, against the same directory and the same database, beside `docker_auth`.
//!
//! The server has the first core. The load, the directory and the database share the second. A
//! figure per CPU-second counts the CPU time of the server alone, user and system, so a slow
//! directory does not hide it. Machines differ: compare the ratios of one run.
//!
//! No package has `docker_auth`: set `DOCKER_AUTH` to the path of its program (`auth_server`).
//! Without it, the second table has our figures only.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark measures time, and stops at the first error"
)]

mod backends;
#[path = "../common/mod.rs"]
mod common;
mod not_remembered;
#[path = "../../../sign-in/tests/it/oidc_stub.rs"]
#[expect(
    dead_code,
    reason = "the tests of sign-in change what the stub answers"
)]
mod oidc_stub;
mod remembered;
mod server;
#[path = "../../../sign-in/tests/it/stub.rs"]
#[expect(dead_code, reason = "the tests of sign-in use the rest")]
mod stub;

use std::process::Command;

use server::Setup;

fn main() {
    // `cargo test --benches` starts this program, too, and wants no measurement.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    // What it starts is on the same core, unless it is pinned to another.
    let pin = Command::new("taskset")
        .args(["-a", "-p", "-c", "1", &std::process::id().to_string()])
        .output();
    assert!(pin.unwrap().status.success());
    let setup = Setup::new();
    remembered::table(&setup);
    println!();
    not_remembered::table(&setup);
}
