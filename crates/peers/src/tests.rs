//! The peers themselves: every client logs in to a registry with an htpasswd file, pushes and pulls.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::*;

/// A registry where `user` has the password `secret`.
fn registry() -> (RunningRegistry, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("htpasswd");
    let line = run(Command::new(program("htpasswd")).args(["-nbBC", "4", "user", "secret"]));
    fs::write(&path, line.succeeded()).unwrap();
    let config = RegistryConfig {
        auth: Auth::Htpasswd(path),
        ..RegistryConfig::default()
    };
    (registry2(&config), directory)
}

#[test]
fn docker() {
    let ((registry, _directory), docker) = (registry(), Docker::start());
    let (host, client) = (registry.host_port(), docker.client());
    let reference = format!("{host}/docker/image:1");
    docker
        .import(&Image::saying("docker"), &reference)
        .succeeded();
    assert!(
        client
            .run(&["push", &reference])
            .refused()
            .contains("no basic auth credentials")
    );
    client
        .run_with_input(
            &["login", "--username", "user", "--password-stdin", &host],
            "secret",
        )
        .succeeded();
    assert!(client.file(".docker/config.json").contains(&host));
    client.run(&["push", &reference]).succeeded();
    client.run(&["rmi", &reference]).succeeded();
    client.run(&["pull", &reference]).succeeded();
}

#[test]
fn containerd() {
    let ((registry, _directory), containerd) = (registry(), Containerd::start());
    let (image, client) = (Image::saying("containerd"), containerd.client());
    let base = format!("{}/ctr/image", registry.host_port());
    let (reference, archive) = (
        format!("{base}:latest"),
        image.archive().display().to_string(),
    );
    client
        .run(&[
            "images",
            "import",
            "--snapshotter",
            "native",
            "--base-name",
            &base,
            &archive,
        ])
        .succeeded();
    client
        .run(&[
            "images",
            "push",
            "--plain-http",
            "--user",
            "user:secret",
            &reference,
        ])
        .succeeded();
    client.run(&["images", "remove", &reference]).succeeded();
    client
        .run(&[
            "images",
            "pull",
            "--plain-http",
            "--user",
            "user:secret",
            "--snapshotter",
            "native",
            &reference,
        ])
        .succeeded();
    client
        .run(&[
            "images",
            "push",
            "--plain-http",
            "--user",
            "user:wrong",
            &reference,
        ])
        .refused();
}

#[test]
fn skopeo_podman_and_buildah() {
    let (registry, _directory) = registry();
    let (host, image) = (registry.host_port(), Image::saying("containers"));
    let layout = format!("oci:{}:latest", image.layout().display());
    let login = [
        "login",
        "--tls-verify=false",
        "--username",
        "user",
        "--password-stdin",
        &host,
    ];
    let (reference, remote) = (
        format!("{host}/containers/image:1"),
        format!("docker://{host}/containers/image:1"),
    );

    let skopeo = skopeo();
    skopeo.run_with_input(&login, "secret").succeeded();
    skopeo
        .run(&["copy", "--dest-tls-verify=false", &layout, &remote])
        .succeeded();

    let podman = podman();
    podman.run_with_input(&login, "secret").succeeded();
    podman
        .run(&["pull", "--tls-verify=false", &reference])
        .succeeded();
    podman
        .run(&["push", "--tls-verify=false", &reference])
        .succeeded();

    let buildah = buildah();
    buildah.run_with_input(&login, "secret").succeeded();
    buildah
        .run(&["pull", "--tls-verify=false", &reference])
        .succeeded();
    buildah
        .run(&["push", "--tls-verify=false", &reference])
        .succeeded();
}

#[test]
fn crane_and_regctl() {
    let (registry, _directory) = registry();
    let (host, image) = (registry.host_port(), Image::saying("crane"));
    let reference = format!("{host}/crane/image:1");

    let crane = crane();
    crane
        .run_with_input(
            &[
                "auth",
                "login",
                &host,
                "--username",
                "user",
                "--password-stdin",
            ],
            "secret",
        )
        .succeeded();
    crane
        .run(&[
            "append",
            "--new_layer",
            &image.layer().display().to_string(),
            "--new_tag",
            &reference,
        ])
        .succeeded();
    assert_eq!(
        crane
            .run(&["ls", &format!("{host}/crane/image")])
            .succeeded(),
        "1"
    );

    let regctl = regctl(&host);
    regctl
        .run_with_input(
            &["registry", "login", &host, "--user", "user", "--pass-stdin"],
            "secret",
        )
        .succeeded();
    assert_eq!(
        regctl
            .run(&["tag", "ls", &format!("{host}/crane/image")])
            .succeeded(),
        "1"
    );
}

#[test]
fn buildkit() {
    let ((registry, _directory), buildkit) = (registry(), BuildKit::start());
    let (docker, client) = (Docker::start(), buildkit.client());
    let (host, login) = (registry.host_port(), docker.client());
    let reference = format!("{host}/buildkit/image:1");
    docker
        .import(&Image::saying("buildkit"), &reference)
        .succeeded();
    login
        .run_with_input(
            &["login", "--username", "user", "--password-stdin", &host],
            "secret",
        )
        .succeeded();
    login.run(&["push", &reference]).succeeded();
    buildkit.build_from(&client, &reference).refused();
    fs::create_dir(client.home().join(".docker")).unwrap();
    let config = login.file(".docker/config.json");
    fs::write(client.home().join(".docker/config.json"), config).unwrap();
    buildkit.build_from(&client, &reference).succeeded();
    login.run(&["rmi", &reference]).succeeded();
    docker.build_from(&login, &reference).succeeded();
}

#[test]
fn helm_and_the_types_of_kubernetes() {
    let (registry, _directory) = registry();
    let (host, helm) = (registry.host_port(), helm());
    helm.run_with_input(
        &[
            "registry",
            "login",
            &host,
            "--username",
            "user",
            "--password-stdin",
        ],
        "secret",
    )
    .succeeded();
    fs::create_dir(helm.home().join("chart")).unwrap();
    let chart = "apiVersion: v2\nname: chart\nversion: 0.1.0\n";
    fs::write(helm.home().join("chart/Chart.yaml"), chart).unwrap();
    helm.run(&["package", "chart"]).succeeded();
    let to = format!("oci://{host}/charts");
    helm.run(&["push", "--plain-http", "chart-0.1.0.tgz", &to])
        .succeeded();
    let json = kubernetes_peer().run_with_input(&["json"], chart);
    assert_eq!(
        json.succeeded(),
        r#"{"apiVersion":"v2","name":"chart","version":"0.1.0"}"#
    );
    let unknown = kubernetes_peer().run_with_input(&["decode"], "apiVersion: v1\nkind: Sekret\n");
    assert!(unknown.refused().contains("no kind"), "{unknown}");
}
