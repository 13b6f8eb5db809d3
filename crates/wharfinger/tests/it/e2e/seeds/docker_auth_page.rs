//! A page that puts `docker_auth` in front of registry 2, with one certificate for both.
//! `auth_config.yml` is its configuration, completed by users and passwords that were lost in
//! print; our program takes it as `docker_auth` does, as its only argument. The registry is started
//! as the page starts `registry:2`, by variables: the real one, and ours in its place.

use peers::{Docker, Image, Server, TestCertificate, TestKeyKind, http, program as installed};

use crate::e2e::world::{DENIED, login, program, with_pair};
use crate::registry::registry_2::Running;

#[test]
fn hussien_pushes_ubuntu_but_not_fedora() {
    let directory = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::Rsa, directory.path(), "server");
    let server = Server::start_as(
        program(),
        &[],
        &with_pair(include_str!("auth_config.yml"), &pair),
    );
    let (certificate, key) = (
        pair.certificate.display().to_string(),
        pair.key.display().to_string(),
    );
    let realm = server.url("/auth");
    let variables = [
        ("REGISTRY_AUTH", "token"),
        ("REGISTRY_AUTH_TOKEN_REALM", realm.as_str()),
        ("REGISTRY_AUTH_TOKEN_SERVICE", "Docker registry"),
        ("REGISTRY_AUTH_TOKEN_ISSUER", "Auth Service"),
        ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", &certificate),
        ("REGISTRY_HTTP_TLS_CERTIFICATE", &certificate),
        ("REGISTRY_HTTP_TLS_KEY", &key),
    ];
    let docker = Docker::start();
    for registry in [installed("docker-registry"), program().to_owned()] {
        let registry = Running::start(&registry, &variables);
        asks_for_a_token(&registry, &realm);
        walk(
            &docker,
            registry.base.strip_prefix("https://").unwrap(),
            &server,
        );
    }
}

/// The page's `curl -k -IL`: a redirect, and who to ask.
fn asks_for_a_token(registry: &Running, realm: &str) {
    let moved = http::request(&["-I", &format!("{}/v2", registry.base)]);
    assert_eq!(
        (
            moved.status,
            moved.header("docker-distribution-api-version")
        ),
        (301, Some("registry/2.0"))
    );
    let target = moved.header("location").unwrap();
    assert!(
        target == "/v2/" || target == format!("{}/v2/", registry.base),
        "{target}"
    );
    let refused = http::request(&["-I", &format!("{}/v2/", registry.base)]);
    let challenge = format!("Bearer realm=\"{realm}\",service=\"Docker registry\"");
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some(challenge.as_str()))
    );
    assert_eq!(
        refused.header("docker-distribution-api-version"),
        Some("registry/2.0")
    );
    assert_eq!(
        refused.header("content-type"),
        Some("application/json; charset=utf-8")
    );
}

fn walk(docker: &Docker, host: &str, server: &Server) {
    let image = |name: &str| format!("{host}/{name}");
    for name in ["ubuntu", "fedora", "hello-world"] {
        docker
            .import(&Image::saying("page"), &image(name))
            .succeeded();
    }

    let hussien = docker.client();
    login(&hussien, &[], ("hussien", "pyramid"), host).succeeded();
    assert!(
        hussien
            .run(&["push", &image("fedora")])
            .refused()
            .contains(DENIED)
    );
    let pushed = hussien.run(&["push", &image("ubuntu")]);
    assert!(
        pushed.succeeded().contains("digest: sha256:"),
        "{pushed}\n{}",
        server.log()
    );

    let admin = docker.client();
    login(&admin, &[], ("admin", "badmin"), host).succeeded();
    for name in ["fedora", "hello-world"] {
        admin.run(&["push", &image(name)]).succeeded();
    }
    hussien.run(&["pull", &image("fedora")]).succeeded();

    let test = docker.client();
    login(&test, &[], ("test", "123"), host).succeeded();
    assert!(
        test.run(&["pull", &image("fedora")])
            .refused()
            .contains("pull access denied")
    );

    let anonymous = docker.client();
    anonymous.run(&["pull", &image("hello-world")]).succeeded();
    assert!(
        anonymous
            .run(&["pull", &image("ubuntu")])
            .refused()
            .contains("pull access denied")
    );
}
