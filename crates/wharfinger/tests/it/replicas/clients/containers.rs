//! podman and skopeo, which share containers/image.

use peers::{podman as podman_client, skopeo as skopeo_client};

use super::{Cluster, image_of, mounts_into};
use crate::e2e::world::{ADMIN, login};

const PLAIN: &str = "--tls-verify=false";

pub(super) fn podman(cluster: &Cluster) {
    let (host, podman) = (cluster.host(), podman_client());
    let image = image_of("podman");
    let [reference, mounted] = ["app", "mounted"].map(|name| format!("{host}/podman/{name}:1"));
    let loaded = podman.run(&[
        "load",
        "--quiet",
        "--input",
        &image.archive().display().to_string(),
    ]);
    let (_, name) = loaded.succeeded().rsplit_once(' ').unwrap();
    podman.run(&["tag", name, &reference]).succeeded();
    login(&podman, &[PLAIN], (ADMIN.0, "wrong"), &host).refused();
    login(&podman, &[PLAIN], ADMIN, &host).succeeded();
    podman.run(&["push", PLAIN, &reference]).succeeded();
    podman.run(&["tag", &reference, &mounted]).succeeded();
    podman.run(&["push", PLAIN, &mounted]).succeeded();
    assert!(mounts_into(cluster, "podman/mounted") >= 1);

    podman.run(&["rmi", "--all", "--force"]).succeeded();
    podman.run(&["pull", PLAIN, &mounted]).succeeded();
    let repository = format!("{host}/podman/app");
    let tags = podman.run(&["search", "--list-tags", PLAIN, &repository]);
    assert!(tags.succeeded().contains(&repository), "{tags}");
}

pub(super) fn skopeo(cluster: &Cluster) {
    let (host, skopeo) = (cluster.host(), skopeo_client());
    let image = image_of("skopeo");
    let layout = format!("oci:{}:latest", image.layout().display());
    let remote = |name: &str| format!("docker://{host}/skopeo/{name}");
    let copy = |from: &str, to: &str| {
        let (from_tls, to_tls) = ("--src-tls-verify=false", "--dest-tls-verify=false");
        skopeo.run(&["copy", "--preserve-digests", from_tls, to_tls, from, to])
    };
    login(&skopeo, &[PLAIN], (ADMIN.0, "wrong"), &host).refused();
    login(&skopeo, &[PLAIN], ADMIN, &host).succeeded();
    copy(&layout, &remote("app:1")).succeeded();
    copy(&layout, &remote("app:2")).succeeded();
    copy(&remote("app:1"), &remote("mounted:1")).succeeded();
    assert!(mounts_into(cluster, "skopeo/mounted") >= 1);
    let tags = skopeo.run(&["list-tags", PLAIN, &remote("app")]);
    assert!(tags.succeeded().contains(r#""2""#), "{tags}");
    let copied = format!("oci:{}:latest", skopeo.home().join("copied").display());
    copy(&remote("mounted:1"), &copied).succeeded();
    let digest = skopeo.run(&["inspect", "--format", "{{.Digest}}", &copied]);
    assert_eq!(digest.succeeded(), image.digest());

    // It deletes by digest, which takes both tags along: at each replica, at once.
    skopeo.run(&["delete", PLAIN, &remote("app:1")]).succeeded();
    for _ in &cluster.replicas.servers {
        for tag in ["app:1", "app:2"] {
            let gone = skopeo.run(&["inspect", PLAIN, &remote(tag)]).refused();
            assert!(gone.contains("manifest unknown"), "{gone}");
        }
    }
    skopeo
        .run(&["inspect", PLAIN, &remote("mounted:1")])
        .succeeded();
}
