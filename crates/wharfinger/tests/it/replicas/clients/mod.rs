//! Real clients log in, push, pull, list, mount and delete, and every request goes to the next of three replicas.
//!
//! Each has repositories of its own, so all of them run at once. Blobs come from the registry, or from the bucket
//! to which it sends the clients.

mod containerd;
mod containers;
mod docker;
mod go;

use std::thread;

use peers::{FaultProxy, Image};

use super::cluster::Cluster;

/// What one client does.
type ClientRun = fn(&Cluster);

/// An image that no other client has.
fn image_of(client: &str) -> Image {
    Image::saying(&format!("{client} over replicas"))
}

/// How many blobs were mounted into a repository. A blob of it that was uploaded has another answer.
fn mounts_into(cluster: &Cluster, repository: &str) -> usize {
    let path = format!("path=\"/v2/{repository}/blobs/uploads/\"");
    let logs = cluster.replicas.logs();
    let is_mount = |line: &&str| {
        let mut words = ["method=\"POST\"", "status=201", &path].into_iter();
        words.all(|word| line.contains(word))
    };
    logs.lines().filter(is_mount).count()
}

#[test]
fn every_client_over_three_replicas() {
    every_client(&Cluster::start("", "    redirect: {enabled: false}\n"));
}

/// The bucket has another host name than the registry, so that the server may send clients there.
#[test]
fn every_client_over_three_replicas_that_send_it_to_the_bucket() {
    // Its address must be known before there is a bucket.
    let bucket = FaultProxy::start("127.0.0.1:1");
    let endpoint = bucket.host_port().replace("127.0.0.1", "localhost");
    let redirect = format!("    redirect: {{from: 100, endpoint: 'http://{endpoint}'}}\n");
    let cluster = Cluster::start("", &redirect);
    bucket.redirect(cluster.replicas.gateway.host_port());
    every_client(&cluster);
    let seen = bucket.take_seen();
    // Each of the six has pulled a layer at least.
    let pulled = seen.iter().filter(|line| line.starts_with("GET ")).count();
    assert!(pulled >= 6, "{seen:?}");
}

fn every_client(cluster: &Cluster) {
    let clients: [(&str, ClientRun); 6] = [
        ("docker", docker::docker),
        ("containerd", containerd::containerd),
        ("podman", containers::podman),
        ("skopeo", containers::skopeo),
        ("crane", go::crane),
        ("regctl", go::regctl),
    ];
    let failed: Vec<_> = thread::scope(|scope| {
        let running = clients.map(|(name, client)| (name, scope.spawn(move || client(cluster))));
        let ended = running.map(|(name, client)| client.join().err().map(|_| name));
        ended.into_iter().flatten().collect()
    });
    assert!(failed.is_empty(), "{failed:?} failed\n{}", cluster.logs());
    for server in &cluster.replicas.servers {
        assert!(
            server.log().contains("wharfinger::access"),
            "{}",
            cluster.logs()
        );
    }
    let verify = cluster.replicas.command(&["registry", "verify"]);
    verify.succeeded();
}
