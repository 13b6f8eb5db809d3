//! dockerd and docker. It neither lists nor deletes.

use peers::Docker;

use super::{Cluster, image_of, mounts_into};
use crate::e2e::world::{ADMIN, login};

pub(super) fn docker(cluster: &Cluster) {
    let (host, docker) = (cluster.host(), Docker::start());
    let client = docker.client();
    let reference = format!("{host}/docker/app:1");
    docker.import(&image_of("docker"), &reference).succeeded();
    client.run(&["push", &reference]).refused();
    let refused = login(&client, &[], (ADMIN.0, "wrong"), &host).refused();
    assert!(refused.contains("unauthorized"), "{refused}");
    login(&client, &[], ADMIN, &host).succeeded();
    client.run(&["push", &reference]).succeeded();

    let mounted = format!("{host}/docker/mounted:1");
    client.run(&["tag", &reference, &mounted]).succeeded();
    let pushed = client.run(&["push", &mounted]);
    let said = pushed.succeeded();
    assert!(said.contains("Mounted from docker/app"), "{said}");
    assert_eq!(mounts_into(cluster, "docker/mounted"), 1, "{said}");

    client.run(&["rmi", &reference, &mounted]).succeeded();
    client.run(&["pull", &mounted]).succeeded();
    client.run(&["pull", &reference]).succeeded();
    client.run(&["logout", &host]).succeeded();
    client.run(&["rmi", &reference, &mounted]).succeeded();
    client.run(&["pull", &reference]).refused();
}
