//! What a registry costs: `cargo bench -p wharfinger --bench registry`, or one row: `… --bench
//! registry -- ROW`.
//!
//! Registry 2.8, registry 3, nginx and ours each have the first core, one at a time; the load comes
//! from the second, over sixteen connections that are kept. The figure is operations (or MB) per
//! CPU-second of the *server*, user and system time together, so that a slow client does not hide a
//! fast server; what must be durable is counted by the clock. Ours wants a bearer token with every
//! request, the others are open. Machines differ and are noisy: what counts are the ratios, to the
//! best of the others and to the limit, which are measured in the same run.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark measures time, and has no caller that an error could be returned to"
)]

mod before;
#[path = "../common/mod.rs"]
mod common;
mod growth;
mod limits;
mod pushes;
mod reads;
mod records;
mod seed;
mod servers;
mod start;
mod sustained;
mod table;
mod tls;

use std::process::Command;

use common::{Process, content};
use growth::CASES;
use pushes::{Limit, PUSHES};
use reads::{LOAD, READS, REPOSITORIES, Read, get};
use seed::Image;
use servers::{Kind, Server, directory};
use table::Line;

/// How often a case that only reads is measured, the servers in turns. The best counts: other work
/// of the machine can only slow a server down.
const ROUNDS: usize = 3;

/// The registries that are compared.
const KINDS: [Kind; 3] = [Kind::Ours, Kind::Registry3, Kind::Registry2];

fn main() {
    // `cargo test --benches` runs this, too, and asks for nothing to be measured.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    // The clients are threads of this process.
    let pin = Command::new("taskset")
        .args(["-a", "-p", "-c", "1", &std::process::id().to_string()])
        .output();
    assert!(pin.unwrap().status.success());
    let row = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    if row.as_deref() == Some("before") {
        return before::table();
    }
    let is_wanted = |name: &str| row.as_ref().is_none_or(|row| row == name);
    table::heading();
    read(is_wanted);
    if is_wanted("tls-100m") {
        tls::line().print();
    }
    push(is_wanted);
    if is_wanted("access-log") {
        records::of_access_log();
    }
    records::of_features(is_wanted);
    if is_wanted("quotas") {
        records::of_quotas();
    }
    if is_wanted("sustained") {
        sustained::table();
    }
    if is_wanted("idle") {
        idle();
    }
    if is_wanted("memory") {
        for (version, name) in [
            ("--http1.1", "HTTP/1.1"),
            ("--http2-prior-knowledge", "HTTP/2"),
        ] {
            println!(
                "\n300 MiB up and down over {name}: {:.1} MB above idle (bound: 32)",
                start::transfer(version)
            );
        }
    }
    if is_wanted("growth") {
        grow();
    }
}

/// The cases that only read, on servers that are filled once.
fn read(is_wanted: impl Fn(&str) -> bool) {
    let wanted: Vec<&Read> = READS.iter().filter(|read| is_wanted(read.name)).collect();
    if wanted.is_empty() {
        return;
    }
    let image = Image::with_large();
    // Distribution's two read the same files.
    let (content, others, files) = (directory(), directory(), directory());
    seed::ours(content.path(), &image, REPOSITORIES);
    let servers = KINDS.map(|kind| {
        Server::start(
            kind,
            if kind == Kind::Ours {
                content.path()
            } else {
                others.path()
            },
        )
    });
    seed::distribution(&servers[1], others.path(), &image, REPOSITORIES);
    for (number, blob) in image.blobs.iter().enumerate() {
        std::fs::write(files.path().join(number.to_string()), blob.bytes(0)).unwrap();
    }
    let nginx = servers::nginx(files.path(), None);
    for read in wanted {
        let [ours, third, second] = &servers;
        let mut best = [None; 4];
        for _ in 0..ROUNDS {
            let figure = |server| read.figure(server, &image);
            let round = [
                figure(ours),
                figure(third),
                figure(second),
                limit(read, ours, &nginx),
            ];
            best = std::array::from_fn(|place| better(best[place], round[place]));
        }
        let [ours, third, second, limit] = best;
        let limit = limit.map(|limit| {
            (
                if read.blob.is_some() {
                    "nginx"
                } else {
                    "fixed answer"
                },
                limit,
            )
        });
        Line {
            case: read.case,
            goal: read.goal,
            ours: ours.unwrap(),
            third,
            second,
            limit,
        }
        .print();
    }
}

/// What can hardly be passed: nginx with the same blob as a file, or for a manifest what our own
/// sockets and HTTP cost without a token or a manifest.
fn limit(read: &Read, ours: &Server, nginx: &Process) -> Option<f64> {
    if let Some(number) = read.blob {
        return Some(read.rate(get(nginx, &format!("/{number}"), "", LOAD)));
    }
    let is_manifest = matches!(read.name, "tag" | "digest");
    is_manifest.then(|| read.rate(get(&ours.process, "/healthz", "", LOAD)))
}

/// The larger, if there is any.
fn better(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

fn push(is_wanted: impl Fn(&str) -> bool) {
    for push in PUSHES.iter().filter(|push| is_wanted(push.name)) {
        let [ours, third, second] = KINDS.map(|kind| push.figure(kind));
        let limit = match push.limit {
            Limit::Hash => ("SHA-256", limits::sha256()),
            Limit::Disk => {
                let (alone, together) = limits::disk();
                println!(
                    "| (files of 1 KiB made durable, sixteen at once) | | | | {together:.0} | | | |"
                );
                ("disk", alone)
            }
        };
        let (third, second) = (Some(third), Some(second));
        Line {
            case: push.case,
            goal: push.goal,
            ours,
            third,
            second,
            limit: Some(limit),
        }
        .print();
    }
}

fn idle() {
    let [ours, third, second] = KINDS.map(start::idle);
    let (case, goal) = ("resident when idle, MB", "≤ 12");
    Line {
        case,
        goal,
        ours: ours.0,
        third: Some(third.0),
        second: Some(second.0),
        limit: None,
    }
    .print();
    let [ours, third, second] = [ours, third, second].map(|(_, time)| time.as_secs_f64() * 1000.0);
    let (case, goal) = ("ready after start, ms", "≤ 10");
    Line {
        case,
        goal,
        ours,
        third: Some(third),
        second: Some(second),
        limit: None,
    }
    .print();
}

fn grow() {
    println!(
        "\n| microseconds of the CPU each, among so many repositories | 100 | 10,000 | 100,000 | 100,000 to 100 |"
    );
    println!("|---|---|---|---|---|");
    let costs = growth::costs();
    for (number, case) in CASES.iter().enumerate() {
        let [few, many, most] = costs.map(|costs| costs[number]);
        println!(
            "| {case} | {few:.1} | {many:.1} | {most:.1} | {:.2} |",
            most / few
        );
    }
}
