//! What replicas cost: `cargo bench -p wharfinger --bench replicas`, or some rows: `… --bench replicas
//! -- images takeover`. `--quick` tries all rows in a few minutes, and its figures mean nothing.
//!
//! The replicas have the first core. PostgreSQL, the S3 store (versitygw) and the load share the
//! second. PostgreSQL syncs each commit to the disk. A figure is operations (or MB) per CPU-second of
//! the *replicas*, user and system time together, so that a slow client does not hide a fast server;
//! what it costs PostgreSQL and the store is beside it. Registry 3 has its content in the same bucket,
//! and one server of ours has a SQLite file and content in files. Ours verifies a token with each
//! request, and registry 3 is open. Machines differ: compare the ratios of one run.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark measures time, and stops at the first error"
)]

#[path = "../common/mod.rs"]
mod common;
mod content;
mod costs;
mod failover;
mod features;
mod images;
mod memory;
mod reads;
mod takeover;
mod world;

use std::process::Command;
use std::time::Duration;

use common::content::Content;
use world::World;

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// How many tags the large repository has.
    tags: usize,
    /// How many it has in registry 3, which needs an object for each.
    tags_of_registry3: usize,
    /// How long a case is loaded.
    load: Duration,
    /// How often each server is loaded, all taking turns. The best counts.
    rounds: usize,
    /// How often the time of one request is measured.
    samples: u64,
}

/// What the figures of the manual are measured with.
const FULL: Scale = Scale {
    tags: 500_000,
    tags_of_registry3: 5_000,
    load: Duration::from_secs(2),
    rounds: 3,
    samples: 300,
};

/// Enough to see that every row works.
const QUICK: Scale = Scale {
    tags: 2_000,
    tags_of_registry3: 200,
    load: Duration::from_millis(200),
    rounds: 1,
    samples: 20,
};

fn main() {
    // `cargo test --benches` runs this, too, and asks for nothing to be measured.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    // The clients are threads of this process. The peers that it starts share its core.
    let pin = Command::new("taskset")
        .args(["-a", "-p", "-c", "1", &std::process::id().to_string()])
        .output();
    assert!(pin.unwrap().status.success());
    let (options, rows): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with('-'));
    let is_quick = options.iter().any(|option| option == "--quick");
    let scale = if is_quick { QUICK } else { FULL };
    let is_wanted = |name: &str| rows.is_empty() || rows.iter().any(|row| row == name);
    if ["reads", "images", "memory", "features"].map(is_wanted) != [false; 4] {
        let world = World::start();
        if is_wanted("reads") {
            reads::tables(&world, scale);
        }
        if is_wanted("images") {
            images::table(&world, scale);
        }
        if is_wanted("memory") {
            memory::table(&world);
        }
        if is_wanted("features") {
            features::table(&world, scale);
        }
    }
    if is_wanted("takeover") {
        println!("\n| a replica or the database stops | s | goal, s |");
        println!("|---|---|---|");
        takeover::of_uploads();
        failover::lines();
        if !is_quick {
            takeover::of_collection();
        }
    }
    println!(
        "\n{} responses were 503, and the requests were sent again.",
        common::http::refused()
    );
}
