//! The kill storm. Clients push, pull and delete, and content is collected. Meanwhile replicas are killed and
//! paused, at any moment and at named steps, the database is stopped, its standby is promoted, and the store
//! fails. What was acknowledged is kept, and nothing refers to what is gone.
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
mod database;
mod takeover;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::world::{OPEN, Replicas, SetOnDrop, Ways, number};
use client::{Client, Tagged};
use database::DatabaseHosts;

const CLIENTS: usize = 4;
const SECONDS: &str = "WHARFINGER_TEST_STORM";
const REPLICAS: &str = "WHARFINGER_TEST_REPLICAS";
/// The path of a program of the release before, which every second replica runs.
const OLD_PROGRAM: &str = "WHARFINGER_TEST_OLD_PROGRAM";

/// What the threads of a storm share.
struct Storm {
    /// `HOST:PORT` of each replica, which stay the same after a kill.
    addresses: Vec<String>,
    /// Clients begin no further operation.
    is_over: AtomicBool,
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

/// Replicas, and the hosts of their database.
struct World {
    replicas: Replicas,
    hosts: DatabaseHosts,
}

impl World {
    /// So many replicas, and proxies for one more program.
    fn start(count: usize, registry: &str) -> Self {
        let replicas = Replicas::without_servers();
        let hosts = DatabaseHosts::start(&replicas.postgres, count + 1);
        let mut world = Self { replicas, hosts };
        let old = std::env::var_os(OLD_PROGRAM).map(PathBuf::from);
        for replica in 0..count {
            let config = world.config(replica, registry);
            match &old {
                Some(program) if replica % 2 == 1 => world.replicas.add_program(program, &config),
                _ => world.replicas.add(&config),
            }
        }
        world
    }

    fn config(&self, replica: usize, registry: &str) -> String {
        let ways = Ways {
            database: &self.hosts.ports(replica),
            store: self.replicas.proxy.host_port(),
        };
        self.replicas.config_by(&ways, "", registry)
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    let count = usize::try_from(number(REPLICAS, 3)).unwrap();
    let world = World::start(count, OPEN);
    let storm = Storm {
        addresses: world
            .replicas
            .servers
            .iter()
            .map(peers::Server::host_port)
            .collect(),
        is_over: AtomicBool::new(false),
    };
    let folder = tempfile::tempdir().unwrap();
    let collection = folder.path().join("collection.yml");
    let config = world.config(count, OPEN).replace("@addr@", "127.0.0.1:0");
    std::fs::write(&collection, config).unwrap();
    let world = Mutex::new(world);
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
        let collector = scope.spawn(|| chaos::collect(&storm, &world, &collection, seed));
        let over = SetOnDrop(&storm.is_over);
        let done = chaos::run(&storm, &world, seed, end);
        println!("{done}");
        drop(over);
        let clients: Result<Vec<_>, _> = running
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect();
        let (succeeded, killed) = collector.join().unwrap();
        println!("{succeeded} collections, {killed} killed at a step");
        clients.unwrap_or_else(|problem| {
            panic!("{problem}\n{}", world.lock().unwrap().replicas.logs());
        })
    });

    let world = world.into_inner().unwrap();
    let replicas = &world.replicas;
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
    replicas.command_succeeds(&["registry", "verify"]);
    replicas.command_succeeds(&["registry", "gc"]);
    replicas.command_succeeds(&["registry", "verify"]);
    for client in &clients {
        for (tag, _) in client.tags() {
            let pulled = client.check(tag);
            assert!(pulled.is_ok(), "{pulled:?}\n{}", replicas.logs());
        }
    }
}
