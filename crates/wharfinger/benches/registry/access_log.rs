//! What the access log costs.

use crate::better;
use crate::reads::{READS, Read};
use crate::seed::{self, Image};
use crate::servers::{Kind, Server, directory};

/// How often both take turns. The best counts.
const ROUNDS: usize = 5;

pub(crate) fn table() {
    println!("\n| operations per CPU-second | with an access log | without | cost |");
    println!("|---|---|---|---|");
    let image = Image::with_large();
    let (logged, unlogged) = (directory(), directory());
    for directory in [&logged, &unlogged] {
        seed::ours(directory.path(), &image, 1);
    }
    let servers = [
        Server::start(Kind::Ours, logged.path()),
        Server::start(Kind::OursUnlogged, unlogged.path()),
    ];
    let is_wanted = |read: &&Read| matches!(read.name, "tag" | "blob-1k");
    for read in READS.iter().filter(is_wanted) {
        let mut best = [None; 2];
        for _ in 0..ROUNDS {
            for (best, server) in best.iter_mut().zip(&servers) {
                *best = better(*best, read.figure(server, &image));
            }
        }
        let [with, without] = best.map(Option::unwrap);
        let cost = 100.0 * (1.0 - with / without);
        println!("| {} | {with:.0} | {without:.0} | {cost:.1} % |", read.case);
    }
}
