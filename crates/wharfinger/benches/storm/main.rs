//! What a fleet costs: `cargo bench -p wharfinger --bench storm`.
//!
//! 500 nodes appear at once, and each pulls one image: ping, token, manifest by tag, manifest by
//! digest, configuration, five layers of 1 KiB to 1 MiB. Every node opens new TLS connections; one
//! node in five speaks HTTP/2. Meanwhile 50 CI jobs log in and push a small image each.
//!
//! The servers have the first core, one stack at a time; all clients share the second. The figure
//! is the CPU time of the servers (user and system) divided by the number of nodes, so that slow
//! clients do not hide a fast server. Machines differ: compare the stacks of one run.
//!
//! The other stack is Distribution 3 behind `docker_auth`. No package has `docker_auth`: set
//! `DOCKER_AUTH` to the path of its program (`auth_server`). Without it, Distribution 3 runs behind
//! our token server.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark measures time, and stops at the first error"
)]

#[path = "../common/mod.rs"]
mod common;
mod connection;
mod image;
mod node;
mod stack;

use std::process::Command;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use connection::Tls;
use image::Image;
use stack::{Kind, Stack};

/// Nodes that pull.
const NODES: usize = 500;
/// Jobs that push meanwhile.
const JOBS: usize = 50;

/// What one storm cost.
struct Storm {
    /// CPU time of the servers.
    cpu: f64,
    /// Until the last node has its image.
    last_node: Duration,
    /// Times of all token requests, sorted; each includes its connection.
    tokens: Vec<Duration>,
    /// Failed nodes and jobs, with the first reason.
    errors: Vec<String>,
}

fn main() {
    // `cargo test --benches` starts this program, too, and wants no measurement.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let pin = Command::new("taskset")
        .args(["-a", "-p", "-c", "1", &std::process::id().to_string()])
        .output();
    assert!(pin.unwrap().status.success());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    println!(
        "| {NODES} nodes pull, {JOBS} jobs push | CPU-ms a node | last node done, s | token p50, ms | token p99, ms | errors |"
    );
    println!("|---|---|---|---|---|---|");
    let mut costs = Vec::new();
    for (login, who) in [(true, "with a pull account"), (false, "anonymous")] {
        for kind in [Kind::Ours, Kind::others()] {
            let storm = runtime.block_on(storm(kind, login));
            let milliseconds = 1000.0 * storm.cpu / NODES as f64;
            let at = |part: f64| {
                let place = (storm.tokens.len().saturating_sub(1)) as f64 * part;
                storm
                    .tokens
                    .get(place as usize)
                    .map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
            };
            println!(
                "| {}, {who} | {milliseconds:.2} | {:.2} | {:.1} | {:.1} | {} |",
                kind.name(),
                storm.last_node.as_secs_f64(),
                at(0.5),
                at(0.99),
                storm.errors.len()
            );
            if let Some(error) = storm.errors.first() {
                println!("  first error: {error}");
            }
            costs.push(milliseconds);
        }
    }
    for pair in costs.chunks(2) {
        println!(
            "the other stack took {:.1} times the CPU time",
            pair[1] / pair[0]
        );
    }
}

/// One storm against a new stack of this kind.
async fn storm(kind: Kind, login: bool) -> Storm {
    let stack = Stack::start(kind);
    let tls = Tls::new();
    let image = Image::new();
    node::push(&stack, &tls, "fleet/app", "latest", &image)
        .await
        .unwrap();
    let (cpu, began) = (stack.cpu_seconds(), Instant::now());
    let mut nodes = JoinSet::new();
    for number in 0..NODES {
        let (stack, tls, image) = (stack.clone(), tls.clone(), image.clone());
        let speaks_http2 = number % 5 == 0;
        nodes.spawn(async move { node::pull(&stack, &tls, &image, login, speaks_http2).await });
    }
    let mut jobs = JoinSet::new();
    for number in 0..JOBS {
        let (stack, tls, image) = (stack.clone(), tls.clone(), Image::small(number));
        jobs.spawn(async move {
            node::push(&stack, &tls, &format!("ci/job-{number}"), "latest", &image).await
        });
    }
    let (mut tokens, mut errors) = (Vec::new(), Vec::new());
    while let Some(node) = nodes.join_next().await {
        match node.unwrap() {
            Ok(token) => tokens.push(token),
            Err(error) => errors.push(error),
        }
    }
    let last_node = began.elapsed();
    while let Some(job) = jobs.join_next().await {
        match job.unwrap() {
            Ok(token) => tokens.push(token),
            Err(error) => errors.push(error),
        }
    }
    tokens.sort();
    Storm {
        cpu: stack.cpu_seconds() - cpu,
        last_node,
        tokens,
        errors,
    }
}
