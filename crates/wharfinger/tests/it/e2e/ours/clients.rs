//! Every client.

use std::fs;

use peers::{Containerd, Docker, Image, buildah, podman, regctl};

use super::{Ours, PLAIN, crane_for, layout, logged_in};
use crate::e2e::world::{ADMIN, DENIED, READER, login};

#[test]
fn docker_and_containerd() {
    let (ours, docker, containerd) = (Ours::start(), Docker::start(), Containerd::start());
    let (host, image) = (ours.host(), Image::saying("ours"));
    let reference = format!("{host}/team/app:1");
    docker.import(&image, &reference).succeeded();
    let admin = docker.client();
    assert!(admin.run(&["push", &reference]).refused().contains(DENIED));
    assert!(
        login(&admin, &[], (ADMIN.0, "wrong"), &host)
            .refused()
            .contains("unauthorized")
    );
    login(&admin, &[], ADMIN, &host).succeeded();
    admin.run(&["push", &reference]).succeeded();
    // The same layers under another name: docker mounts them.
    let mounted = format!("{host}/reader/app:1");
    admin.run(&["tag", &reference, &mounted]).succeeded();
    assert!(
        admin
            .run(&["push", &mounted])
            .succeeded()
            .contains("Mounted from team/app")
    );
    admin.run(&["rmi", &reference, &mounted]).succeeded();
    admin.run(&["pull", &reference]).succeeded();
    let reader = docker.client();
    login(&reader, &[], READER, &host).succeeded();
    assert!(reader.run(&["push", &reference]).refused().contains(DENIED));
    reader.run(&["pull", &reference]).succeeded();
    // A mount that is refused is an ordinary push: reader may not pull from `secret`.
    let (secret, own) = (
        format!("{host}/secret/app:1"),
        format!("{host}/reader/copy:1"),
    );
    admin.run(&["tag", &reference, &secret]).succeeded();
    admin.run(&["push", &secret]).succeeded();
    admin.run(&["tag", &secret, &own]).succeeded();
    reader.run(&["push", &own]).succeeded();

    let ctr = containerd.client();
    let pull = [
        "images",
        "pull",
        "--plain-http",
        "--snapshotter",
        "native",
        "--user",
        "admin:badmin",
        &reference,
    ];
    ctr.run(&pull).succeeded();
    let pushed = format!("{host}/team/containerd:1");
    ctr.run(&["images", "tag", &reference, &pushed]).succeeded();
    let push = |user: &str| ctr.run(&["images", "push", "--plain-http", "--user", user, &pushed]);
    push("reader:look-only").refused();
    push("admin:badmin").succeeded();
}

#[test]
fn skopeo_podman_and_buildah() {
    let ours = Ours::start();
    let (host, image) = (ours.host(), Image::saying("ours"));
    let reference = format!("docker://{host}/team/app:1");
    let skopeo = logged_in(peers::skopeo(), ADMIN, &host);
    let oci = format!("oci:{}:latest", image.layout().display());
    skopeo
        .run(&[
            "copy",
            "--preserve-digests",
            "--dest-tls-verify=false",
            &oci,
            &reference,
        ])
        .succeeded();
    assert!(
        skopeo
            .run(&["list-tags", PLAIN, &format!("docker://{host}/team/app")])
            .succeeded()
            .contains("\"1\"")
    );
    let digest = skopeo.run(&["inspect", "--format", "{{.Digest}}", PLAIN, &reference]);
    assert_eq!(digest.succeeded(), image.digest());
    let other = format!("docker://{host}/team/other:1");
    let both = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo
        .run(&[&["copy"], &both[..], &[&reference, &other]].concat())
        .succeeded();

    let podman = logged_in(podman(), ADMIN, &host);
    let (pulled, pushed) = (
        format!("{host}/team/app:1"),
        format!("{host}/team/podman:1"),
    );
    podman.run(&["pull", PLAIN, &pulled]).succeeded();
    podman.run(&["tag", &pulled, &pushed]).succeeded();
    podman.run(&["push", PLAIN, &pushed]).succeeded();

    let buildah = logged_in(buildah(), ADMIN, &host);
    let context = buildah.home().join("context");
    fs::create_dir(&context).unwrap();
    fs::write(
        context.join("Containerfile"),
        "FROM scratch\nCOPY text /text\n",
    )
    .unwrap();
    fs::write(context.join("text"), "buildah").unwrap();
    let built = format!("{host}/team/buildah:1");
    buildah
        .run(&[
            "bud",
            "--isolation",
            "chroot",
            "--tag",
            &built,
            &context.display().to_string(),
        ])
        .succeeded();
    buildah.run(&["push", PLAIN, &built]).succeeded();
    // An index that mixes Docker's words with OCI's.
    let list = format!("{host}/team/list:1");
    buildah.run(&["manifest", "create", "mixed"]).succeeded();
    buildah
        .run(&[
            "manifest",
            "add",
            PLAIN,
            "mixed",
            &format!("docker://{built}"),
        ])
        .succeeded();
    buildah
        .run(&[
            "manifest",
            "push",
            PLAIN,
            "--all",
            "--format",
            "v2s2",
            "mixed",
            &format!("docker://{list}"),
        ])
        .succeeded();
    assert!(
        skopeo
            .run(&["inspect", "--raw", PLAIN, &format!("docker://{list}")])
            .succeeded()
            .contains("manifest.list")
    );

    skopeo.run(&["delete", PLAIN, &other]).succeeded();
    let gone = skopeo.run(&["inspect", PLAIN, &other]).refused();
    assert!(gone.contains("manifest unknown"), "{gone}");
    let reader = logged_in(peers::skopeo(), READER, &host);
    reader.run(&["delete", PLAIN, &reference]).refused();
    peers::skopeo()
        .run(&["inspect", PLAIN, &reference])
        .refused();
}

#[test]
fn crane_and_regctl() {
    let ours = Ours::start();
    use_crane(&ours);
    use_regctl(&ours.host());
}

/// Leaves the tag `1` of `team/app` and of `team/index`.
fn use_crane(ours: &Ours) {
    let (host, image) = (ours.host(), Image::saying("ours"));
    let reference = |name: &str| format!("{host}/{name}");
    let crane = crane_for(ours, ADMIN);
    let layer = image.layer().display().to_string();
    crane
        .run(&[
            "append",
            "--new_layer",
            &layer,
            "--new_tag",
            &reference("team/appended:1"),
        ])
        .succeeded();
    crane
        .run(&["push", &layout(&image), &reference("team/app:1")])
        .succeeded();
    crane
        .run(&[
            "copy",
            &reference("team/app:1"),
            &reference("team/mounted:1"),
        ])
        .succeeded();
    assert_eq!(crane.run(&["ls", &reference("team/app")]).succeeded(), "1");
    assert_eq!(
        crane
            .run(&["digest", &reference("team/mounted:1")])
            .succeeded(),
        image.digest()
    );
    let pulled = crane.home().join("pulled.tar").display().to_string();
    crane
        .run(&["pull", &reference("team/app:1"), &pulled])
        .succeeded();
    crane
        .run(&[
            "index",
            "append",
            "-t",
            &reference("team/index:1"),
            "-m",
            &reference("team/app:1"),
        ])
        .succeeded();
    crane
        .run(&[
            "delete",
            &reference(&format!("team/mounted@{}", image.digest())),
        ])
        .succeeded();
    crane
        .run(&["digest", &reference("team/mounted:1")])
        .refused();
    let reader = crane_for(ours, READER);
    reader
        .run(&["push", &layout(&image), &reference("team/reader:1")])
        .refused();
    reader
        .run(&["digest", &reference("team/app:1")])
        .succeeded();
}

/// Uses what crane has left.
fn use_regctl(host: &str) {
    let reference = |name: &str| format!("{host}/{name}");
    let regctl = regctl(host);
    let login = ["registry", "login", host, "--user", ADMIN.0, "--pass-stdin"];
    regctl.run_with_input(&login, ADMIN.1).succeeded();
    let put = [
        "artifact",
        "put",
        "--artifact-type",
        "application/x.sbom",
        "--subject",
        &reference("team/app:1"),
    ];
    regctl
        .run_with_input(&put, "the bill of materials")
        .succeeded();
    let list = regctl.run(&[
        "artifact",
        "list",
        &reference("team/app:1"),
        "--format",
        "{{json .}}",
    ]);
    assert!(list.succeeded().contains("application/x.sbom"), "{list}");
    assert_eq!(
        regctl
            .run(&["tag", "ls", &reference("team/app")])
            .succeeded(),
        "1",
        "no fallback tag was made"
    );
    regctl
        .run(&["tag", "delete", &reference("team/index:1")])
        .succeeded();
    assert_eq!(
        regctl
            .run(&["tag", "ls", &reference("team/index")])
            .succeeded(),
        ""
    );
    regctl
        .run(&[
            "manifest",
            "delete",
            "--force-tag-dereference",
            &reference("team/app:1"),
        ])
        .succeeded();
}
