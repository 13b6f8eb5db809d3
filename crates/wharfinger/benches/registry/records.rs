//! What a record of each request costs: a line of the access log, an event of the audit table.

use crate::better;
use crate::reads::{READS, Read};
use crate::seed::{self, Image};
use crate::servers::{Kind, Server, directory};

/// How often both take turns. The best counts.
const ROUNDS: usize = 5;

/// The cost of the access log.
pub(crate) fn of_access_log() {
    println!("\n| operations per CPU-second | with an access log | without | cost |");
    println!("|---|---|---|---|");
    compare(Kind::Ours, Kind::OursUnlogged);
}

/// The cost of the audit table.
pub(crate) fn of_audit_table() {
    println!("\n| operations per CPU-second | with an audit table | without | cost |");
    println!("|---|---|---|---|");
    compare(Kind::OursAudited, Kind::Ours);
}

fn compare(with: Kind, without: Kind) {
    let image = Image::with_large();
    let directories = [directory(), directory()];
    for directory in &directories {
        seed::ours(directory.path(), &image, 1);
    }
    let servers = [
        Server::start(with, directories[0].path()),
        Server::start(without, directories[1].path()),
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
