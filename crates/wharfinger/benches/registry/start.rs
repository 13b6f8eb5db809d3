//! What an idle server costs, and what one transfer adds to it.

use std::time::Duration;

use crate::common::median;
use crate::common::transfer::{self, REPOSITORY};
use crate::servers::{Kind, Server, directory};

/// MB in memory after the start, and how long the start takes: the median of ten that find their
/// files there already.
pub(crate) fn idle(kind: Kind) -> (f64, Duration) {
    let directory = directory();
    drop(Server::start(kind, directory.path()));
    let starts = (0..10).map(|_| {
        let server = Server::start(kind, directory.path());
        std::thread::sleep(Duration::from_millis(50));
        (
            server.process.megabytes("VmRSS:"),
            server.process.ready_after,
        )
    });
    let (memory, times): (Vec<f64>, Vec<Duration>) = starts.unzip();
    (memory[9], median(times))
}

/// How many MB more than at the beginning were in memory while a large blob went up and came down.
pub(crate) fn transfer(version: &str) -> f64 {
    let directory = directory();
    let server = Server::start(Kind::Ours, directory.path());
    let bearer = server.bearer("repository", REPOSITORY, "pull,push");
    transfer::megabytes(&server.process, version, &bearer)
}
