//! crane and regctl.

use peers::{crane as crane_client, regctl as regctl_client};

use super::{Cluster, image_of, mounts_into};
use crate::e2e::world::{ADMIN, crane_login};

pub(super) fn crane(cluster: &Cluster) {
    let (host, crane) = (cluster.host(), crane_client());
    let reference = |name: &str| format!("{host}/crane/{name}");
    let image = image_of("crane");
    let layout = image.layout().display().to_string();
    crane.run(&["push", &layout, &reference("app:1")]).refused();
    crane_login(&crane, ADMIN, &host);
    for tag in ["app:1", "app:2", "app:3"] {
        crane.run(&["push", &layout, &reference(tag)]).succeeded();
    }
    // A tag moves, and each replica says so at once.
    let other = image_of("another crane");
    let other_layout = other.layout().display().to_string();
    crane
        .run(&["push", &other_layout, &reference("app:3")])
        .succeeded();
    for _ in &cluster.replicas.servers {
        let digest = crane.run(&["digest", &reference("app:3")]);
        assert_eq!(digest.succeeded(), other.digest());
    }
    crane
        .run(&["copy", &reference("app:1"), &reference("mounted:1")])
        .succeeded();
    assert_eq!(mounts_into(cluster, "crane/mounted"), 2);
    let tags = crane.run(&["ls", &reference("app")]);
    assert_eq!(tags.succeeded(), "1\n2\n3");
    let catalog = crane.run(&["catalog", &host]);
    assert!(catalog.succeeded().contains("crane/mounted"), "{catalog}");
    let pulled = crane.home().join("pulled.tar").display().to_string();
    crane
        .run(&["pull", &reference("mounted:1"), &pulled])
        .succeeded();

    let by_digest = reference(&format!("app@{}", image.digest()));
    crane.run(&["delete", &by_digest]).succeeded();
    for _ in &cluster.replicas.servers {
        let gone = crane.run(&["digest", &reference("app:1")]).refused();
        assert!(
            gone.contains("404") || gone.contains("MANIFEST_UNKNOWN"),
            "{gone}"
        );
        assert_eq!(crane.run(&["ls", &reference("app")]).succeeded(), "3");
    }
}

pub(super) fn regctl(cluster: &Cluster) {
    let host = cluster.host();
    let regctl = regctl_client(&host);
    let image = image_of("regctl");
    let layout = format!("ocidir://{}:latest", image.layout().display());
    let reference = |name: &str| format!("{host}/regctl/{name}");
    let login = [
        "registry",
        "login",
        &host,
        "--user",
        ADMIN.0,
        "--pass-stdin",
    ];
    regctl.run_with_input(&login, "wrong").refused();
    regctl.run_with_input(&login, ADMIN.1).succeeded();
    let copy = |from: &str, to: &str| regctl.run(&["image", "copy", from, to]);
    copy(&layout, &reference("app:1")).succeeded();
    copy(&layout, &reference("app:2")).succeeded();
    copy(&reference("app:1"), &reference("mounted:1")).succeeded();
    assert_eq!(mounts_into(cluster, "regctl/mounted"), 2);
    let tags = regctl.run(&["tag", "ls", &reference("app")]);
    assert_eq!(tags.succeeded(), "1\n2");
    let repositories = regctl.run(&["repo", "ls", &host]);
    assert!(repositories.succeeded().contains("regctl/mounted"));
    let exported = regctl.home().join("exported.tar").display().to_string();
    regctl
        .run(&["image", "export", &reference("mounted:1"), &exported])
        .succeeded();

    // One tag, then the image.
    regctl
        .run(&["tag", "delete", &reference("app:2")])
        .succeeded();
    for _ in &cluster.replicas.servers {
        let tags = regctl.run(&["tag", "ls", &reference("app")]);
        assert_eq!(tags.succeeded(), "1");
    }
    let delete = ["manifest", "delete", "--force-tag-dereference"];
    regctl
        .run(&[&delete[..], &[&reference("app:1")]].concat())
        .succeeded();
    for _ in &cluster.replicas.servers {
        regctl
            .run(&["image", "digest", &reference("app:1")])
            .refused();
    }
}
