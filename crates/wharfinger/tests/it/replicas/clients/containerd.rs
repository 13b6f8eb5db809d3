//! containerd, by its `ctr`, which neither lists nor deletes.

use peers::Containerd;

use super::{Cluster, image_of, mounts_into};
use crate::e2e::world::ADMIN;

pub(super) fn containerd(cluster: &Cluster) {
    let (host, containerd) = (cluster.host(), Containerd::start());
    let (ctr, image) = (containerd.client(), image_of("containerd"));
    let base = format!("{host}/containerd/app");
    let (reference, mounted) = (
        format!("{base}:latest"),
        format!("{host}/containerd/mounted:latest"),
    );
    let archive = image.archive().display().to_string();
    let import = [
        "images",
        "import",
        "--no-unpack",
        "--base-name",
        &base,
        &archive,
    ];
    ctr.run(&import).succeeded();
    let run = |command: &[&str], user: &str, reference: &str| {
        let images = ["images", command[0], "--plain-http", "--user", user];
        ctr.run(&[&images, &command[1..], &[reference]].concat())
    };
    let (admin, wrong) = (
        format!("{}:{}", ADMIN.0, ADMIN.1),
        format!("{}:wrong", ADMIN.0),
    );
    run(&["push"], &wrong, &reference).refused();
    run(&["push"], &admin, &reference).succeeded();

    // It notes from where it has a layer when it pulls it.
    ctr.run(&["images", "remove", "--sync", &reference])
        .succeeded();
    let pull = ["pull", "--snapshotter", "native"];
    run(&pull, &admin, &reference).succeeded();
    ctr.run(&["images", "tag", &reference, &mounted])
        .succeeded();
    run(&["push"], &admin, &mounted).succeeded();
    assert!(mounts_into(cluster, "containerd/mounted") >= 1);
    ctr.run(&["images", "remove", "--sync", &reference, &mounted])
        .succeeded();
    run(&pull, &admin, &mounted).succeeded();
}
