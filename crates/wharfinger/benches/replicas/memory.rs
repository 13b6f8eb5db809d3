//! What one large transfer adds to the memory of a server.

use crate::common::transfer::{self, REPOSITORY};
use crate::world::{Options, Server, World};

pub(crate) fn table(world: &World) {
    let options = Options {
        is_proxy: true,
        ..Options::default()
    };
    let ours = || world.replica(&options);
    let third = || world.registry3(true);
    println!("\n| 300 MiB up and down through S3, MB above idle | MB | goal |");
    println!("|---|---|---|");
    let rows: [(&str, &str, &dyn Fn() -> Server); 3] = [
        ("a replica, HTTP/1.1", "--http1.1", &ours),
        ("a replica, HTTP/2", "--http2-prior-knowledge", &ours),
        ("registry 3, HTTP/1.1", "--http1.1", &third),
    ];
    for (name, version, start) in rows {
        let server = start();
        let bearer = server.bearer(REPOSITORY, "pull,push");
        let megabytes = transfer::megabytes(&server.process, version, &bearer);
        println!("| {name} | {megabytes:.1} | ≤ 24 |");
    }
}
