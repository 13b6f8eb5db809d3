//! A page that puts `docker_auth` in front of registry 2, with one certificate for both. `auth_config.yml` is its
//! configuration, completed by users and passwords that were lost in print; our program takes it as `docker_auth`
//! does, as its only argument.

use peers::{Auth, Certificate, Docker, Image, KeyKind, RegistryConfig, Server, Trust, registry2};

use crate::e2e::world::{DENIED, login, program, with_pair};

#[test]
fn hussien_pushes_ubuntu_but_not_fedora() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Certificate::new(KeyKind::Rsa, directory.path(), "server");
    let server = Server::start_as(program(), &[], &with_pair(include_str!("auth_config.yml"), &pair));
    let auth = Auth::Token {
        realm: server.url("/auth"),
        service: "Docker registry".to_owned(),
        issuer: "Auth Service".to_owned(),
        trust: Trust::Bundle(pair.certificate.clone()),
    };
    let registry =
        registry2(&RegistryConfig { auth, tls: Some((pair.certificate, pair.key)), ..RegistryConfig::default() });
    let (docker, host) = (Docker::start(), registry.host_port());
    let image = |name: &str| format!("{host}/{name}");
    for name in ["ubuntu", "fedora", "hello-world"] {
        docker.import(&Image::saying("page"), &image(name)).succeeded();
    }

    let hussien = docker.client();
    login(&hussien, &[], ("hussien", "pyramid"), &host).succeeded();
    assert!(hussien.run(&["push", &image("fedora")]).refused().contains(DENIED));
    let pushed = hussien.run(&["push", &image("ubuntu")]);
    assert!(pushed.succeeded().contains("digest: sha256:"), "{pushed}\n{}", server.log());

    let admin = docker.client();
    login(&admin, &[], ("admin", "badmin"), &host).succeeded();
    for name in ["fedora", "hello-world"] {
        admin.run(&["push", &image(name)]).succeeded();
    }
    hussien.run(&["pull", &image("fedora")]).succeeded();

    let test = docker.client();
    login(&test, &[], ("test", "123"), &host).succeeded();
    assert!(test.run(&["pull", &image("fedora")]).refused().contains("pull access denied"));

    let anonymous = docker.client();
    anonymous.run(&["pull", &image("hello-world")]).succeeded();
    assert!(anonymous.run(&["pull", &image("ubuntu")]).refused().contains("pull access denied"));
}
