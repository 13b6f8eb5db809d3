//! `docker login`, push and pull with a user of each backend, at our registry and at registry 2.8.

use std::sync::{Mutex, Weak};

use peers::{Docker, Image};

use super::cases::{ACCOUNT, BackendCase, shared};
use super::running::RunningBackend;
use crate::e2e::world::{DENIED, login};

super::test_of_each_backend!(super::docker::check);

static DOCKER: Mutex<Weak<Docker>> = Mutex::new(Weak::new());

fn check(case: &BackendCase) {
    let docker = shared(&DOCKER, Docker::start);
    let running = RunningBackend::start(case);
    let registry_2 = running.registry_2();
    let image = Image::saying("every backend");
    for host in [running.server.host_port(), registry_2.host_port()] {
        let (own, other) = (format!("{host}/red/app:1"), format!("{host}/blue/app:1"));
        docker.import(&image, &own).succeeded();
        let client = docker.client();
        for (account, password) in [(ACCOUNT, "wr0ng"), ("unknown", &running.password)] {
            let refused = login(&client, &[], (account, password), &host).refused();
            assert!(refused.contains("unauthorized"), "{refused}");
        }
        let accepted = login(&client, &[], (ACCOUNT, &running.password), &host);
        assert!(
            accepted.status.success(),
            "{accepted}\n{}",
            running.server.log()
        );
        client.run(&["push", &own]).succeeded();
        client.run(&["tag", &own, &other]).succeeded();
        let refused = client.run(&["push", &other]).refused();
        assert!(refused.contains(DENIED), "{refused}");
        client.run(&["rmi", &own, &other]).succeeded();
        client.run(&["pull", &own]).succeeded();
        client.run(&["rmi", &own]).succeeded();
    }
}
