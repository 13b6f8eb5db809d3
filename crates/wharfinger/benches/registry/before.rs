//! Ours beside another build of it, such as one from before a change: `BEFORE=PROGRAM cargo bench -p
//! wharfinger --bench registry -- before`.
//!
//! Both take turns, and the best of each counts. How much the figures of one build differ is beside
//! them: a smaller difference between the builds means nothing.

use crate::common::number;
use crate::content;
use crate::pushes::Push;
use crate::reads::READS;
use crate::seed::{APP, Image};
use crate::servers::{Kind, Server, directory};
use crate::start;

/// How often each build is measured.
const ROUNDS: usize = 5;

/// The variable with the path of the other program.
pub(crate) const VARIABLE: &str = "BEFORE";

/// The two builds, in their turns.
const KINDS: [Kind; 2] = [Kind::Ours, Kind::Before];

/// The cases that are measured with a small image.
const CASES: [&str; 3] = ["tag", "digest", "blob-1k"];

/// The pushes.
const PUSHED: [&str; 2] = ["push-1k", "image"];

/// Prints the table.
pub(crate) fn table() {
    println!("\n| | now | before | now to before | differences within: now | before |");
    println!("|---|---|---|---|---|---|");
    let image = Image::new(&[content::SMALL, content::MEDIUM]);
    let directories = [directory(), directory()];
    let servers = [0, 1].map(|place| {
        let server = Server::start(KINDS[place], directories[place].path());
        push(&server, &image);
        server
    });
    for read in READS.iter().filter(|read| CASES.contains(&read.name)) {
        line(read.case, f64::max, |place| {
            read.figure(&servers[place], &image).unwrap()
        });
    }
    drop(servers);
    for push in PUSHED.map(Push::named) {
        line(push.case, f64::max, |place| push.figure(KINDS[place]));
    }
    let mut times = [Vec::new(), Vec::new()];
    line("resident when idle, MB", f64::min, |place| {
        let (memory, time) = start::idle(KINDS[place]);
        times[place].push(time.as_secs_f64() * 1e3);
        memory
    });
    line("ready after start, ms", f64::min, |place| {
        times[place].pop().unwrap()
    });
}

/// Fills a server as a client does: the other build may not know this one's database.
fn push(server: &Server, image: &Image) {
    let bearer = server.bearer("repository", APP, "pull,push");
    let mut connection = server.connect();
    for blob in &image.blobs {
        blob.put(&mut connection, APP, &bearer, 0);
    }
    content::put_manifest(&mut connection, APP, "latest", &bearer, &image.manifest);
}

/// Measures a case of both builds, in turns.
fn line(case: &str, better: fn(f64, f64) -> f64, mut figure: impl FnMut(usize) -> f64) {
    let mut figures = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (place, figures) in figures.iter_mut().enumerate() {
            figures.push(figure(place));
        }
    }
    let [now, before] = figures.each_ref().map(|figures| {
        let best = figures.iter().copied().reduce(better);
        best.unwrap()
    });
    let [of_now, of_before] = figures.map(|figures| {
        let (least, most) = (
            figures.iter().copied().fold(f64::MAX, f64::min),
            figures.iter().copied().fold(0.0, f64::max),
        );
        format!("{:.0} %", 100.0 * (most - least) / least)
    });
    println!(
        "| {case} | {} | {} | {:.2} | {of_now} | {of_before} |",
        number(now),
        number(before),
        now / before
    );
}
