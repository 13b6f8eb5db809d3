//! A large blob over TLS, beside nginx with the same certificate.

use std::process::Command;

use peers::program;

use crate::better;
use crate::common::Process;
use crate::seed::{self, APP, Image};
use crate::servers::{self, Kind, Server, directory};
use crate::table::Line;

/// How often both take turns. The best counts.
const ROUNDS: usize = 3;
/// Connections at once.
const CLIENTS: usize = 4;
/// How many blobs each client gets over one connection.
const BLOBS: usize = 5;

pub(crate) fn line() -> Line {
    let image = Image::with_large();
    let large = &image.blobs[2];
    let (content, files) = (directory(), directory());
    seed::ours(content.path(), &image, 1);
    std::fs::write(files.path().join("2"), large.bytes(0)).unwrap();
    let ours = Server::start(Kind::OursTls, content.path()).process;
    let nginx = servers::nginx(files.path(), Some(content.path()));
    let blob = format!("/v2/{APP}/blobs/{}", large.digest(0));
    let mut best = [None; 2];
    for _ in 0..ROUNDS {
        best[0] = better(best[0], Some(rate(&ours, &blob)));
        best[1] = better(best[1], Some(rate(&nginx, "/2")));
    }
    let [ours, nginx] = best.map(Option::unwrap);
    Line {
        case: "blob 100 MiB over TLS, MB",
        goal: "≥ nginx",
        ours,
        third: None,
        second: None,
        limit: Some(("nginx", nginx)),
    }
}

/// MB per CPU-second of the server.
fn rate(server: &Process, path: &str) -> f64 {
    get(server, path, 1);
    let before = server.cpu_seconds();
    get(server, path, BLOBS);
    let moved = CLIENTS * BLOBS * crate::content::LARGE;
    moved as f64 / 1e6 / (server.cpu_seconds() - before)
}

fn get(server: &Process, path: &str, blobs: usize) {
    let url = format!("https://{}{path}", server.address);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut command = Command::new(program("curl"));
            command.args(["-sS", "--insecure", "--fail", "--http1.1"]);
            for _ in 0..blobs {
                command.args(["-o", "/dev/null", &url]);
            }
            command.spawn().unwrap()
        })
        .collect();
    for mut client in clients {
        assert!(client.wait().unwrap().success(), "{url}");
    }
}
