//! What moving images costs the client: `cargo bench -p wharfinger --bench client`.
//!
//! Registry 3 is pinned to the first core and the clients, ours and three others, to the second.
//! The figure is CPU-seconds of the *client*, user and system time together, so that neither the
//! registry nor the disk decides; of several runs in turn it is the best. Beside them stands how
//! long aws-lc-rs hashes the same bytes, which no client that proves what it moves can do without;
//! crane hashes nothing of what it pushes. Machines differ and are noisy: the ratios are what to
//! look at.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark has no caller that an error could be returned to"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use peers::{RegistryConfig, RunningRegistry, program, registry3, run};
use serde_json::{Value, json};

/// Four layers of this many bytes.
const LARGE: usize = 60_000_000;
/// The layer of a small image, in bytes.
const SMALL: usize = 2_000;
/// How many small images there are, each moved by a process of its own.
const MANY: usize = 200;
/// How often each client moves the large image, and the small ones.
const RUNS: [usize; 2] = [5, 2];

/// A client, and the shell's words for a pull and a push of `$HOST/$NAME:1`, to and from the layout
/// `$DIR`.
struct Client {
    name: &'static str,
    program: PathBuf,
    pull: &'static str,
    push: &'static str,
}

fn clients() -> [Client; 4] {
    [
        Client {
            name: "wharfinger",
            program: env!("CARGO_BIN_EXE_wharfinger").into(),
            pull: "$IT pull --quiet $HOST/$NAME:1 oci:$DIR:1",
            push: "$IT push --quiet oci:$DIR:1 $HOST/$NAME:1",
        },
        Client {
            name: "crane",
            program: program("crane"),
            pull: "$IT pull --format=oci $HOST/$NAME:1 $DIR",
            push: "$IT push $DIR $HOST/$NAME:1",
        },
        Client {
            name: "regctl",
            program: program("regctl"),
            pull: "$IT --host reg=$HOST,tls=disabled image copy $HOST/$NAME:1 ocidir://$DIR:1",
            push: "$IT --host reg=$HOST,tls=disabled image copy ocidir://$DIR:1 $HOST/$NAME:1",
        },
        Client {
            name: "skopeo",
            program: program("skopeo"),
            pull: "$IT --insecure-policy copy -q --src-tls-verify=false docker://$HOST/$NAME:1 oci:$DIR:1",
            push: "$IT --insecure-policy copy -q --dest-tls-verify=false oci:$DIR:1 docker://$HOST/$NAME:1",
        },
    ]
}

fn main() {
    // `cargo test --benches` runs this, too, and asks for nothing to be measured.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let bench = Bench::new();
    let clients = clients();
    print!("| CPU-seconds of the client |");
    clients
        .iter()
        .for_each(|client| print!(" {} |", client.name));
    println!(
        " ours / crane's | SHA-256 alone |\n|---|{}---|---|",
        "---|".repeat(clients.len())
    );
    let limit = sha256(&vec![7; 4 * LARGE]);
    let large = [
        ("pull of 240 MB in four layers", false),
        ("push of 240 MB in four layers", true),
    ];
    for (case, push) in large {
        row(
            case,
            &bench.all(&clients, RUNS[0], |client, number| {
                bench.once(client, push, number, 1)
            }),
            Some(limit),
        );
    }
    for (case, push) in [
        ("pull of 200 small images", false),
        ("push of 200 small images", true),
    ] {
        row(
            case,
            &bench.all(&clients, RUNS[1], |client, number| {
                bench.once(client, push, number, MANY)
            }),
            None,
        );
    }
}

fn row(case: &str, seconds: &[f64], limit: Option<f64>) {
    let all: Vec<String> = seconds
        .iter()
        .map(|seconds| format!("{seconds:.3}"))
        .collect();
    let limit = limit.map_or_else(|| "-".to_owned(), |limit| format!("{limit:.3}"));
    println!(
        "| {case} | {} | {:.2} | {limit} |",
        all.join(" | "),
        seconds[0] / seconds[1]
    );
}

/// A registry with all images, and layouts with each of them.
struct Bench {
    folder: tempfile::TempDir,
    registry: RunningRegistry,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
            registry: pinned(),
        };
        layout(&bench.layout("large"), 4, LARGE, 0);
        for number in 0..MANY {
            layout(
                &bench.layout(&format!("small{number}")),
                1,
                SMALL,
                number as u64 + 1,
            );
        }
        // What is pulled has been pushed by a program that is not measured here.
        let all = "for LAYOUT in $FOLDER/*; do $IT push $LAYOUT $HOST/$(basename $LAYOUT):1 || exit; done";
        let mut command = Command::new("bash");
        command
            .args(["-c", all])
            .env("IT", program("crane"))
            .env("FOLDER", bench.folder.path());
        run(command.env("HOST", bench.registry.host_port())).succeeded();
        bench
    }

    fn layout(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The best of several runs of each, in turn.
    fn all(
        &self,
        clients: &[Client],
        runs: usize,
        once: impl Fn(&Client, usize) -> f64,
    ) -> Vec<f64> {
        let mut best = vec![f64::INFINITY; clients.len()];
        for number in 0..runs {
            for (best, client) in best.iter_mut().zip(clients) {
                *best = best.min(once(client, number));
            }
        }
        best
    }

    /// Moves the large image (`many` is one) or all the small ones; CPU-seconds of all processes
    /// together.
    fn once(&self, client: &Client, push: bool, number: usize, many: usize) -> f64 {
        let scratch = tempfile::tempdir().unwrap();
        // Each push goes to a registry that has nothing yet: some clients remember where a blob
        // was, and mount it.
        let fresh = push.then(pinned);
        let registry = fresh.as_ref().unwrap_or(&self.registry);
        let script = match (push, many) {
            (false, 1) => format!("NAME=large DIR=$SCRATCH/large; {}", client.pull),
            (false, _) => {
                format!(
                    "for I in $(seq 0 {}); do NAME=small$I DIR=$SCRATCH/$I; {}; done",
                    many - 1,
                    client.pull
                )
            }
            (true, 1) => format!("NAME=$TO/large DIR=$FOLDER/large; {}", client.push),
            (true, _) => {
                format!(
                    "for I in $(seq 0 {}); do NAME=$TO/small$I DIR=$FOLDER/small$I; {}; done",
                    many - 1,
                    client.push
                )
            }
        };
        let timed = format!(
            "set -e; TIMEFORMAT='%3U %3S'; time {{ {script}; }} > $SCRATCH/out 2> $SCRATCH/errors"
        );
        let mut command = Command::new("taskset");
        command
            .args(["-c", "1", "bash", "-c", &timed])
            .env("IT", &client.program)
            .env("HOME", scratch.path());
        command
            .env("HOST", registry.host_port())
            .env("TO", format!("{}{number}", client.name));
        command
            .env("FOLDER", self.folder.path())
            .env("SCRATCH", scratch.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let times = String::from_utf8(output.stderr).unwrap();
        let errors = fs::read_to_string(scratch.path().join("errors")).unwrap();
        assert!(output.status.success(), "{}: {times}{errors}", client.name);
        times
            .split_whitespace()
            .map(|seconds| seconds.parse::<f64>().unwrap())
            .sum()
    }
}

/// Registry 3 on the first core.
fn pinned() -> RunningRegistry {
    let registry = registry3(&RegistryConfig::default());
    run(Command::new("taskset").args(["-a", "-p", "-c", "0", &registry.id().to_string()]))
        .succeeded();
    registry
}

/// Writes a layout with one image, whose layers claim to be compressed, so no client compresses
/// them.
fn layout(directory: &Path, layers: usize, size: usize, seed: u64) {
    fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
    let layers: Vec<Value> = (0..layers as u64)
        .map(|layer| {
            blob(
                directory,
                "application/vnd.oci.image.layer.v1.tar+gzip",
                &noise(size, seed * 8 + layer),
            )
        })
        .collect();
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| &l["digest"]).collect::<Vec<_>>()}});
    let config = blob(
        directory,
        "application/vnd.oci.image.config.v1+json",
        config.to_string().as_bytes(),
    );
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
    let mut manifest = blob(directory, media_type, manifest.to_string().as_bytes());
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "1"});
    fs::write(
        directory.join("index.json"),
        json!({"schemaVersion": 2, "manifests": [manifest]}).to_string(),
    )
    .unwrap();
    fs::write(
        directory.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
}

fn blob(directory: &Path, media_type: &str, content: &[u8]) -> Value {
    let hex = HEXLOWER.encode(aws_lc_rs::digest::digest(&SHA256, content).as_ref());
    fs::write(directory.join("blobs/sha256").join(&hex), content).unwrap();
    json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": content.len()})
}

/// Bytes that cannot be compressed, with gzip's first bytes in front.
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0x1f, 0x8b, 8, 0];
    while bytes.len() < size {
        // Xorshift (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// CPU-seconds that hashing takes, piece by piece as it would come: the best of three.
fn sha256(content: &[u8]) -> f64 {
    let once = || {
        let (began, mut context) = (own_seconds(), Context::new(&SHA256));
        content
            .chunks(256 * 1024)
            .for_each(|piece| context.update(piece));
        let _ = context.finish();
        own_seconds() - began
    };
    (0..3).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// What this thread took until now (Linux, sched-stats: the first field, in nanoseconds).
fn own_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_whitespace()
        .next()
        .unwrap()
        .parse::<f64>()
        .unwrap()
        / 1e9
}
