//! What an idle server costs, and what one transfer adds to it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use oci::DigestAlgorithm;
use peers::program;
use storage::hash::ContentHasher;

use crate::common::median;
use crate::servers::{Kind, Server, directory};

/// What is moved to see what moving takes, in MiB.
const MOVED: usize = 300;

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
    let idle = server.process.megabytes("VmRSS:");
    let (file, mut hasher) = (
        directory.path().join("blob"),
        ContentHasher::new(DigestAlgorithm::Sha256),
    );
    std::fs::File::create(&file)
        .unwrap()
        .set_len((MOVED << 20) as u64)
        .unwrap();
    (0..MOVED).for_each(|_| hasher.update(&[0; 1 << 20]));
    let (digest, bearer) = (
        hasher.finish(),
        server.bearer("repository", "bench/large", "pull,push"),
    );
    let begun = server
        .connect()
        .ask("POST", "/v2/bench/large/blobs/uploads/", &bearer);
    let upload = format!(
        "http://{}{}?digest={digest}",
        server.process.address, begun.location
    );
    curl(
        version,
        &bearer,
        &["-T".as_ref(), &file, upload.as_ref()],
        "201",
    );
    let blob = format!(
        "http://{}/v2/bench/large/blobs/{digest}",
        server.process.address
    );
    curl(version, &bearer, &[blob.as_ref()], "200");
    server.process.megabytes("VmHWM:") - idle
}

fn curl(version: &str, bearer: &str, arguments: &[&Path], expected: &str) {
    let mut command = Command::new(program("curl"));
    command
        .args([
            version,
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            bearer.trim(),
        ])
        .args(arguments);
    let output = command.output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        expected,
        "{command:?}"
    );
}
