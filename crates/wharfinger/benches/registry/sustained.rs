//! Gigabytes pushed in a row while the page cache is full, as in a registry that has run for a day.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use oci::Digest;
use peers::program;

use crate::common::load::{Figure, load_over};
use crate::content::{Content, LARGE};
use crate::servers::{Kind, Server, directory};

const REPOSITORY: &str = "bench/sustained";
/// How much is pushed, in MiB.
const PUSHED: usize = 8 << 10;
/// The number of a blob that is pulled before.
const PULLED: u64 = u64::MAX;

pub(crate) fn table() {
    println!(
        "\n| {} GiB pushed in a row, 100 MiB each | ours, MB per CPU-second | registry 3 | ours to registry 3 | ours, MB a second | registry 3 | a pulled blob stays in memory | registry 3 |",
        PUSHED >> 10
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, is_patch) in [("PUT", false), ("PATCH + PUT", true)] {
        for connections in [2, 8] {
            let [(ours, stays), (third, third_stays)] =
                [Kind::Ours, Kind::Registry3].map(|kind| push(kind, is_patch, connections));
            let [cpu, third_cpu] = [ours, third].map(Figure::megabytes_per_cpu_second);
            println!(
                "| {name}, {connections} at once | {cpu:.0} | {third_cpu:.0} | {:.2} | {:.0} | {:.0} | {stays:.0} % | {third_stays:.0} % |",
                cpu / third_cpu,
                ours.megabytes_per_second(),
                third.megabytes_per_second()
            );
        }
    }
}

/// What it costs a new server, and the share of the pulled blob that is still in memory afterwards.
fn push(kind: Kind, is_patch: bool, connections: usize) -> (Figure, f64) {
    let directory = directory();
    let server = Server::start(kind, directory.path());
    let content = Content::new(LARGE);
    let bearer = server.bearer("repository", REPOSITORY, "pull,push");
    // So that the first push need not hash what all have in common.
    let pulled = content.digest(PULLED);
    let mut connection = server.connect();
    content.put(&mut connection, REPOSITORY, &bearer, PULLED);
    for _ in 0..3 {
        let url = format!("/v2/{REPOSITORY}/blobs/{pulled}");
        assert_eq!(connection.ask("GET", &url, &bearer).status, 200);
    }
    let _cache = fill_page_cache(directory.path());
    let each = (PUSHED / (LARGE >> 20) / connections) as u64;
    let figure = load_over(
        &server.process,
        connections,
        |done, _| done < each,
        |connection, number| match is_patch {
            false => content.put(connection, REPOSITORY, &bearer, number),
            true => content.patch(connection, REPOSITORY, &bearer, number),
        },
    );
    (figure, in_memory(directory.path(), &pulled))
}

/// A file that fills what memory is free with pages of the page cache. It takes no room on the disk.
fn fill_page_cache(directory: &Path) -> File {
    let information = fs::read_to_string("/proc/meminfo").unwrap();
    let field = |name: &str| -> u64 {
        let line = information.lines().find_map(|line| line.strip_prefix(name));
        let words = line.unwrap().split_whitespace().next();
        words.unwrap().parse::<u64>().unwrap() << 10
    };
    let path = directory.join("filler");
    let made = File::create(&path).unwrap();
    made.set_len(field("MemFree:")).unwrap();
    let mut file = File::open(&path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer).unwrap() > 0 {}
    file
}

/// How much of a blob is in memory, in hundredths.
fn in_memory(directory: &Path, digest: &Digest) -> f64 {
    let file = find(directory, &digest.encoded()).unwrap();
    let mut command = Command::new(program("fincore"));
    command.args(["--bytes", "--noheadings", "--output", "RES"]);
    let output = command.arg(file).output().unwrap();
    let resident = String::from_utf8(output.stdout).unwrap();
    100.0 * resident.trim().parse::<f64>().unwrap() / LARGE as f64
}

/// The file of [`LARGE`] whose path names `digest`.
fn find(directory: &Path, digest: &str) -> Option<PathBuf> {
    fs::read_dir(directory).unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        if metadata.is_dir() {
            return find(&path, digest);
        }
        let is_it = metadata.len() == LARGE as u64 && path.to_string_lossy().contains(digest);
        is_it.then_some(path)
    })
}
