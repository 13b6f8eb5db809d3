//! dockerd and docker.

use std::collections::BTreeSet;
use std::fs;

use peers::{Client, Docker, Image, RunningRegistry, TestKeyKind, crane, skopeo};

use super::world::{ADMIN, DENIED, Memory, READER, World, login};

#[test]
fn docker_with_passwords_and_an_rsa_key() {
    docker(TestKeyKind::Rsa, Memory::None);
}

#[test]
fn docker_with_refresh_tokens_and_an_ec_key() {
    docker(TestKeyKind::P256, Memory::RefreshTokens);
}

fn docker(kind: TestKeyKind, memory: Memory) {
    let (world, docker) = (World::start(kind, memory), Docker::start());
    let image = Image::saying("docker");
    for registry in &world.registries {
        let host = registry.host_port();
        let (private, public) = (
            format!("{host}/team/app:1"),
            format!("{host}/public/hello:1"),
        );
        docker.import(&image, &private).succeeded();
        docker.import(&image, &public).succeeded();

        let admin = docker.client();
        assert!(admin.run(&["push", &private]).refused().contains(DENIED));
        let refused = login(&admin, &[], (ADMIN.0, "wrong"), &host).refused();
        assert!(refused.contains("unauthorized"), "{refused}");
        login(&admin, &[], ADMIN, &host).succeeded();
        keeps(&admin, memory);
        for reference in [&private, &public] {
            admin.run(&["push", reference]).succeeded();
            admin.run(&["rmi", reference]).succeeded();
        }
        admin.run(&["pull", &private]).succeeded();

        reader_may_only_pull(&docker, &host, &private);
        anonymous_pulls_what_is_public(&docker, &public, &private);
        if memory == Memory::RefreshTokens {
            others_use_what_docker_stored(&admin, registry);
            world.revoke_sessions_of(ADMIN.0);
            let refused = admin.run(&["push", &private]).refused();
            assert!(refused.contains("unauthorized"), "{refused}");
        }

        admin.run(&["logout", &host]).succeeded();
        assert!(!admin.file(CONFIG).contains(&host));
        assert!(admin.run(&["push", &private]).refused().contains(DENIED));
    }
}

/// docker stores a refresh token instead of the password, as `identitytoken`; the `auth` beside it
/// has an empty password then.
fn keeps(client: &Client, memory: Memory) {
    let stored = client.file(CONFIG);
    assert_eq!(
        stored.contains("identitytoken"),
        memory == Memory::RefreshTokens,
        "{stored}"
    );
    let with_password = data_encoding::BASE64.encode(format!("{}:{}", ADMIN.0, ADMIN.1).as_bytes());
    assert_eq!(
        stored.contains(&with_password),
        memory == Memory::None,
        "{stored}"
    );
}

fn reader_may_only_pull(docker: &Docker, host: &str, reference: &str) {
    let reader = docker.client();
    login(&reader, &[], READER, host).succeeded();
    reader.run(&["pull", reference]).succeeded();
    assert!(reader.run(&["push", reference]).refused().contains(DENIED));
}

fn anonymous_pulls_what_is_public(docker: &Docker, public: &str, private: &str) {
    let anonymous = docker.client();
    anonymous.run(&["pull", public]).succeeded();
    let refused = anonymous.run(&["pull", private]).refused();
    assert!(refused.contains("pull access denied"), "{refused}");
}

/// What `docker login` stored serves other programs that read docker's file: containers/image posts
/// it in chunks, with one `scope` field for each scope.
fn others_use_what_docker_stored(admin: &Client, registry: &RunningRegistry) {
    let repository = format!("{}/team/app", registry.host_port());
    let file = admin.home().join(CONFIG).display().to_string();
    let copy = format!("docker://{repository}:copied");
    let source = format!("docker://{repository}:1");
    let tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo()
        .run(&[&["copy", "--authfile", &file], &tls[..], &[&source, &copy]].concat())
        .succeeded();

    let crane = crane();
    fs::create_dir(crane.home().join(".docker")).unwrap();
    fs::copy(admin.home().join(CONFIG), crane.home().join(CONFIG)).unwrap();
    let tags = crane.run(&["ls", &repository]);
    // Registry 2.8 lists them in no order.
    assert_eq!(
        tags.succeeded().lines().collect::<BTreeSet<_>>(),
        BTreeSet::from(["1", "copied"])
    );
}

const CONFIG: &str = ".docker/config.json";
