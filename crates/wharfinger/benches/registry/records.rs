//! What a record of each request costs: a line of the access log, an event of the audit table, and
//! the other [features](FEATURES) that do more for each request.

use std::thread;
use std::time::Duration;

use crate::common::features::FEATURES;
use crate::common::load::{Figure, load, next};
use crate::pushes::Push;
use crate::reads::{ACCEPT, READS};
use crate::seed::{self, Image, TAGGED, TAGS, tag};
use crate::servers::{Kind, Server, directory};

/// How often both take turns. The best of each counts: other work of the machine can only slow a server down.
const ROUNDS: usize = 5;

/// How long a case is loaded: what is done once a second must be in each figure.
const LOAD: Duration = Duration::from_secs(2);

/// How long it is waited after a load: until what follows from it is done.
const SETTLE: Duration = Duration::from_millis(1500);

/// What is asked of a server, and the most that a feature may cost.
enum Case {
    /// The read of this name.
    Read(&'static str, &'static str),
    /// Each tag of many in turn.
    EachTag,
    /// Each tag of many in turn, each time from another client program: no pull equals another one.
    EachPull,
    /// Small images.
    Images,
}

/// The cost of the access log.
pub(crate) fn of_access_log() {
    compare(
        "an access log",
        Kind::Ours,
        Kind::OursUnlogged,
        &[Case::Read("tag", "-"), Case::Read("blob-1k", "-")],
    );
}

/// The cost of each feature, or of that which is wanted.
pub(crate) fn of_features(is_wanted: impl Fn(&str) -> bool) {
    let cases = [
        Case::Read("tag", "≤ 5 %"),
        Case::EachTag,
        Case::EachPull,
        Case::Read("blob-1k", "-"),
        Case::Images,
    ];
    for feature in &FEATURES {
        if !is_wanted("features") && !is_wanted(feature.name) {
            continue;
        }
        let name = format!("`{}`", feature.name);
        compare(&name, Kind::OursWith(feature), Kind::Ours, &cases);
    }
}

/// The cost of 10,000 quotas.
pub(crate) fn of_quotas() {
    let cases = [Case::Read("tag", "≤ 5 %"), Case::Images];
    compare("10,000 quotas", Kind::OursWithQuotas, Kind::Ours, &cases);
}

fn compare(what: &str, with: Kind, without: Kind, cases: &[Case]) {
    println!("\n| CPU-µs of the server for each | with {what} | without | cost | goal |");
    println!("|---|---|---|---|---|");
    let image = Image::with_large();
    let directories = [directory(), directory()];
    for directory in &directories {
        seed::ours(directory.path(), &image, 1);
    }
    let servers = [
        Server::start(with, directories[0].path()),
        Server::start(without, directories[1].path()),
    ];
    for case in cases {
        let mut best = [f64::MAX; 2];
        for _ in 0..ROUNDS {
            for (server, best) in servers.iter().zip(&mut best) {
                *best = best.min(case.figure(server, &image).cpu_per_operation());
            }
        }
        let [with, without] = best;
        let cost = 100.0 * (with / without - 1.0);
        let (name, goal) = case.names();
        println!("| {name} | {with:.1} | {without:.1} | {cost:.1} % | {goal} |");
    }
}

impl Case {
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Read(name, goal) => {
                let read = READS.iter().find(|read| read.name == *name);
                (read.unwrap().case, goal)
            }
            Self::EachTag => ("manifest by tag, each of 5,000 in turn", "≤ 5 %"),
            Self::EachPull => ("the same, no pull like another one", "-"),
            Self::Images => ("small image", "≤ 10 %"),
        }
    }

    /// What it costs, with all that the server does afterwards because of it.
    fn figure(&self, server: &Server, image: &Image) -> Figure {
        let before = server.process.cpu_seconds();
        let figure = self.load(server, image);
        thread::sleep(SETTLE);
        figure.at_a_cost_of(server.process.cpu_seconds() - before)
    }

    fn load(&self, server: &Server, image: &Image) -> Figure {
        match self {
            Self::Read(name, _) => {
                let read = READS.iter().find(|read| read.name == *name).unwrap();
                let (url, headers) = read.request(server, image);
                pulls(server, |_| url.clone(), |_| headers.clone())
            }
            Self::EachTag => each_tag(server, |_| String::new()),
            Self::EachPull => each_tag(server, |_| format!("User-Agent: bench/{}\r\n", next())),
            Self::Images => Push::named("image").load(server),
        }
    }
}

/// Pulls of each tag in turn, with these headers beside that of the token.
fn each_tag(server: &Server, headers: impl Fn(u64) -> String + Sync) -> Figure {
    let bearer = server.bearer("repository", TAGGED, "pull");
    let url = |number| {
        let tag = tag(number as usize % TAGS);
        format!("/v2/{TAGGED}/manifests/{tag}")
    };
    pulls(server, url, |number| bearer.clone() + &headers(number))
}

fn pulls(
    server: &Server,
    url: impl Fn(u64) -> String + Sync,
    headers: impl Fn(u64) -> String + Sync,
) -> Figure {
    load(&server.process, LOAD, |connection, number| {
        let url = url(number);
        let answer = connection.ask("GET", &url, &(headers(number) + ACCEPT));
        assert_eq!(answer.status, 200, "{url}");
        answer.length
    })
}
