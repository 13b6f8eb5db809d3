//! The kill storm: replicas are killed and paused, the database is stopped, the store fails, while clients push,
//! pull and delete and content is collected. What was acknowledged is kept, and nothing refers to what is gone.
//!
//! Each client has a repository of its own, so it knows what each of its tags must be at every moment: any
//! replica must say so. `WHARFINGER_TEST_STORM` is how long it lasts, in seconds; `scripts/soak --replicas 3` sets
//! hours.
#![expect(
    clippy::disallowed_methods,
    reason = "a storm lasts for a time, and a client gives up after one"
)]

mod chaos;
mod client;
mod wire;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::world::{OPEN, Replicas};
use client::{Client, Tagged};

const CLIENTS: usize = 4;
const SECONDS: &str = "WHARFINGER_TEST_STORM";
const REPLICAS: &str = "WHARFINGER_TEST_REPLICAS";

/// What the threads of a storm share.
struct Storm {
    /// `HOST:PORT` of each replica, which stay the same after a kill.
    addresses: Vec<String>,
    /// Clients begin no further operation.
    is_over: AtomicBool,
}

fn number(variable: &str, usual: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(usual, |set| set.parse().unwrap())
}

/// How often the replicas gave each status, by the method of the request.
fn answers(log: &str) -> String {
    let mut counts = BTreeMap::new();
    for line in log
        .lines()
        .filter(|line| line.contains(" wharfinger::access: "))
    {
        let word = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            rest.split_whitespace().next()
        };
        if let (Some(method), Some(status)) = (word(" method="), word(" status=")) {
            *counts
                .entry(format!("{} {status}", method.trim_matches('"')))
                .or_insert(0_u32) += 1;
        }
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(answer, count)| format!("{answer}: {count}"))
        .collect();
    counts.join(", ")
}

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    let count = usize::try_from(number(REPLICAS, 3)).unwrap();
    let replicas = Replicas::start(count, "", OPEN);
    let storm = Storm {
        addresses: replicas
            .servers
            .iter()
            .map(peers::Server::host_port)
            .collect(),
        is_over: AtomicBool::new(false),
    };
    let replicas = Mutex::new(replicas);
    let seed = number("WHARFINGER_TEST_SEED", u64::from(std::process::id()));
    println!("seed {seed}");
    let end = Instant::now() + Duration::from_secs(number(SECONDS, 60));
    let clients: Vec<Client> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = Client::new(&storm, number, seed);
                scope.spawn(move || client.run())
            })
            .collect();
        let collector = scope.spawn(|| chaos::collect(&storm, &replicas));
        let done = chaos::run(&storm, &replicas, seed, end);
        println!("{done}");
        storm.is_over.store(true, Ordering::SeqCst);
        let clients: Result<Vec<_>, _> = running
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect();
        let collected = collector.join().unwrap();
        println!("{collected} collections");
        clients.unwrap_or_else(|problem| {
            panic!("{problem}\n{}", replicas.lock().unwrap().logs());
        })
    });

    let replicas = replicas.into_inner().unwrap();
    let (mut live, mut removed) = (0, 0);
    for client in &clients {
        for (tag, tagged) in client.tags() {
            match tagged {
                Tagged::Image(_) => live += 1,
                Tagged::Nothing => removed += 1,
            }
            let pulled = client.check(tag);
            assert!(pulled.is_ok(), "{pulled:?}\n{}", replicas.logs());
        }
    }
    println!(
        "{live} images, {removed} removed tags; {}",
        answers(&replicas.logs())
    );
    assert!(live > 0, "{}", replicas.logs());
    replicas.command(&["registry", "verify"]).succeeded();
    replicas.command(&["registry", "gc"]).succeeded();
    replicas.command(&["registry", "verify"]).succeeded();
    for client in &clients {
        for (tag, _) in client.tags() {
            let pulled = client.check(tag);
            assert!(pulled.is_ok(), "{pulled:?}\n{}", replicas.logs());
        }
    }
}
