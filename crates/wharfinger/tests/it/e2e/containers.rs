//! skopeo, podman and buildah: one library, containers/image, and three ways to use it.

use std::fs;

use peers::{Client, Image, RunningRegistry, TestKeyKind, buildah, podman, skopeo};

use super::world::{ADMIN, Memory, READER, World, login};

#[test]
fn skopeo_podman_and_buildah_with_an_rsa_key() {
    every_registry(TestKeyKind::Rsa, Memory::None);
}

#[test]
fn skopeo_podman_and_buildah_with_an_ec_key() {
    every_registry(TestKeyKind::P256, Memory::RefreshTokens);
}

fn every_registry(kind: TestKeyKind, memory: Memory) {
    let world = World::start(kind, memory);
    for registry in &world.registries {
        let image = Image::saying("containers");
        skopeo_copies_lists_and_deletes(registry, &image);
        podman_pulls_and_pushes(registry);
        buildah_builds_and_pushes(registry);
    }
}

fn logged_in(client: Client, user: (&str, &str), registry: &RunningRegistry) -> Client {
    login(&client, &[PLAIN], user, &registry.host_port()).succeeded();
    client
}

fn skopeo_copies_lists_and_deletes(registry: &RunningRegistry, image: &Image) {
    let host = registry.host_port();
    let layout = format!("oci:{}:latest", image.layout().display());
    let remote = |repository: &str| format!("docker://{host}/{repository}");
    let (private, public) = (remote("team/app:1"), remote("public/hello:1"));
    assert!(
        login(&skopeo(), &[PLAIN], (ADMIN.0, "wrong"), &host)
            .refused()
            .contains("invalid username/password")
    );

    let admin = logged_in(skopeo(), ADMIN, registry);
    for reference in [&private, &public] {
        admin
            .run(&[
                "copy",
                "--preserve-digests",
                "--dest-tls-verify=false",
                &layout,
                reference,
            ])
            .succeeded();
    }
    let tags = admin.run(&["list-tags", PLAIN, &remote("team/app")]);
    assert!(tags.succeeded().contains(r#""1""#), "{tags}");

    let reader = logged_in(skopeo(), READER, registry);
    let copied = format!("oci:{}:latest", reader.home().join("copied").display());
    reader
        .run(&[
            "copy",
            "--preserve-digests",
            "--src-tls-verify=false",
            &private,
            &copied,
        ])
        .succeeded();
    let digest = reader.run(&["inspect", "--format", "{{.Digest}}", &copied]);
    assert_eq!(digest.succeeded(), image.digest());
    refused(
        &reader,
        &["copy", "--dest-tls-verify=false", &layout, &private],
    );
    refused(&reader, &["delete", PLAIN, &private]);

    skopeo().run(&["inspect", PLAIN, &public]).succeeded();
    refused(&skopeo(), &["inspect", PLAIN, &private]);

    admin.run(&["delete", PLAIN, &public]).succeeded();
    let gone = admin.run(&["inspect", PLAIN, &public]).refused();
    assert!(gone.contains("manifest unknown"), "{gone}");
}

fn podman_pulls_and_pushes(registry: &RunningRegistry) {
    let host = registry.host_port();
    let (pulled, pushed) = (
        format!("{host}/team/app:1"),
        format!("{host}/team/podman:1"),
    );
    let admin = logged_in(podman(), ADMIN, registry);
    admin.run(&["pull", PLAIN, &pulled]).succeeded();
    admin.run(&["tag", &pulled, &pushed]).succeeded();
    admin.run(&["push", PLAIN, &pushed]).succeeded();
    admin.run(&["logout", &host]).succeeded();
    refused(&admin, &["push", PLAIN, &pushed]);
    login(&admin, &[PLAIN], READER, &host).succeeded();
    admin.run(&["rmi", &pushed]).succeeded();
    admin.run(&["pull", PLAIN, &pushed]).succeeded();
    refused(&admin, &["push", PLAIN, &pushed]);
}

fn buildah_builds_and_pushes(registry: &RunningRegistry) {
    let reference = format!("{}/team/buildah:1", registry.host_port());
    let admin = logged_in(buildah(), ADMIN, registry);
    let context = admin.home().join("context");
    fs::create_dir(&context).unwrap();
    fs::write(
        context.join("Containerfile"),
        "FROM scratch\nCOPY text /text\n",
    )
    .unwrap();
    fs::write(context.join("text"), "buildah").unwrap();
    admin
        .run(&[
            "bud",
            "--isolation",
            "chroot",
            "--tag",
            &reference,
            &context.display().to_string(),
        ])
        .succeeded();
    admin.run(&["push", PLAIN, &reference]).succeeded();
    login(&admin, &[PLAIN], READER, &registry.host_port()).succeeded();
    refused(&admin, &["push", PLAIN, &reference]);
}

/// The words of containers/image, whatever the reason.
fn refused(client: &Client, arguments: &[&str]) {
    let said = client.run(arguments).refused().to_lowercase();
    assert!(
        said.contains("authentication required") || said.contains("denied"),
        "{said}"
    );
}

const PLAIN: &str = "--tls-verify=false";
