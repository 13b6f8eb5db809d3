//! crane and regctl: clients in Go that share no code with docker's.

use peers::{Client, Image, Output, RunningRegistry, TestKeyKind, crane, regctl};

use super::world::{ADMIN, Memory, READER, World, crane_login};

#[test]
fn crane_and_regctl_with_an_rsa_key() {
    every_registry(TestKeyKind::Rsa, Memory::RefreshTokens);
}

#[test]
fn crane_and_regctl_with_an_ec_key() {
    every_registry(TestKeyKind::P256, Memory::None);
}

fn every_registry(kind: TestKeyKind, memory: Memory) {
    let world = World::start(kind, memory);
    for registry in &world.registries {
        crane_appends_pushes_and_pulls(registry);
        regctl_copies_lists_and_deletes(registry);
    }
}

fn crane_appends_pushes_and_pulls(registry: &RunningRegistry) {
    let (host, image) = (registry.host_port(), Image::saying("crane"));
    let reference = |name: &str| format!("{host}/{name}");
    let (layer, layout) = (
        image.layer().display().to_string(),
        image.layout().display().to_string(),
    );
    let append = ["append", "--new_layer", &layer, "--new_tag"];

    let admin = crane();
    denied(&admin.run(&[&append[..], &[&reference("team/appended:1")]].concat()));
    crane_login(&admin, ADMIN, &host);
    admin
        .run(&[&append[..], &[&reference("team/appended:1")]].concat())
        .succeeded();
    for name in ["team/pushed:1", "public/pushed:1"] {
        admin.run(&["push", &layout, &reference(name)]).succeeded();
    }
    // A mount from another repository of the same registry: two scopes in one request.
    admin
        .run(&[
            "copy",
            &reference("team/pushed:1"),
            &reference("team/mounted:1"),
        ])
        .succeeded();
    assert!(
        admin
            .run(&["catalog", &host])
            .succeeded()
            .contains("team/mounted")
    );

    let reader = crane();
    crane_login(&reader, READER, &host);
    assert_eq!(
        reader
            .run(&["digest", &reference("team/pushed:1")])
            .succeeded(),
        image.digest()
    );
    let pulled = reader.home().join("pulled.tar").display().to_string();
    reader
        .run(&["pull", &reference("team/pushed:1"), &pulled])
        .succeeded();
    denied(&reader.run(&["push", &layout, &reference("team/reader:1")]));

    assert_eq!(
        crane()
            .run(&["digest", &reference("public/pushed:1")])
            .succeeded(),
        image.digest()
    );
    denied(&crane().run(&["digest", &reference("team/pushed:1")]));
    // crane's login only stores; the password is tried when it is needed.
    let wrong = crane();
    crane_login(&wrong, (ADMIN.0, "wrong"), &host);
    denied(&wrong.run(&["digest", &reference("public/pushed:1")]));
}

fn regctl_copies_lists_and_deletes(registry: &RunningRegistry) {
    let (host, image) = (registry.host_port(), Image::saying("regctl"));
    let layout = format!("ocidir://{}:latest", image.layout().display());
    let reference = format!("{host}/team/regctl:1");
    let anonymous = regctl(&host);
    denied(&anonymous.run(&["image", "copy", &layout, &reference]));
    let admin = regctl(&host);
    regctl_login(&admin, ADMIN, &host).succeeded();
    admin
        .run(&["image", "copy", &layout, &reference])
        .succeeded();
    assert_eq!(
        admin
            .run(&["tag", "ls", &format!("{host}/team/regctl")])
            .succeeded(),
        "1"
    );

    let reader = regctl(&host);
    regctl_login(&reader, (READER.0, "wrong"), &host).refused();
    regctl_login(&reader, READER, &host).succeeded();
    assert_eq!(
        reader.run(&["image", "digest", &reference]).succeeded(),
        image.digest()
    );
    denied(&reader.run(&["manifest", "delete", "--force-tag-dereference", &reference]));
    admin
        .run(&["manifest", "delete", "--force-tag-dereference", &reference])
        .succeeded();
}

fn regctl_login(client: &Client, (user, password): (&str, &str), host: &str) -> Output {
    client.run_with_input(
        &["registry", "login", host, "--user", user, "--pass-stdin"],
        password,
    )
}

fn denied(output: &Output) {
    let said = output.refused().to_lowercase();
    assert!(
        said.contains("unauthorized") || said.contains("denied"),
        "{said}"
    );
}
