//! Every command once, on registry 2.8 and registry 3, and how each fails.

use std::fs;

use peers::{Image, RegistryConfig, TestKeyKind, registry2, registry3};
use serde_json::Value;

use super::runner::{User, code};
use crate::e2e::ours::Ours;
use crate::e2e::world::{ADMIN, Memory, READER, World};

#[test]
fn an_image_s_life() {
    let (two, three) = (
        registry2(&RegistryConfig::default()),
        registry3(&RegistryConfig::default()),
    );
    let ours = Ours::start();
    for host in [two.host_port(), three.host_port(), ours.host()] {
        let (user, image) = (User::new(), Image::saying("an image's life"));
        if host == ours.host() {
            user.login(ADMIN, &host).succeeded();
        }
        let name = format!("{host}/team/app");
        push_and_tag(&user, &image, &name);
        assert_eq!(user.run(&["catalog", &host]).succeeded(), "team/app");
        read(&user, &image, &name);
        let attached = attach(&user, &name);
        copy(&user, &image, &host, &attached);

        let untagged = user.run(&["delete", &format!("{name}:3")]);
        match host == two.host_port() {
            true => assert!(
                untagged.refused().contains("cannot delete the tag"),
                "{untagged}"
            ),
            false => assert!(untagged.succeeded().contains("deleted "), "{untagged}"),
        }
        user.run(&["delete", &format!("{name}@{}", image.digest())])
            .succeeded();
        assert_eq!(code(&user.run(&["digest", &format!("{name}:1")])), 6);
    }
}

fn push_and_tag(user: &User, image: &Image, name: &str) {
    let layout = format!("oci:{}", image.layout().display());
    let full = format!("{name}:1@{}", image.digest());
    assert_eq!(
        user.run(&["push", "--quiet", &layout, &format!("{name}:1")])
            .succeeded(),
        full
    );
    user.run(&["tag", &format!("{name}:1"), "2", "3"])
        .succeeded();
    assert_eq!(user.run(&["tags", name]).succeeded(), "1\n2\n3");
    assert_eq!(
        json(&user.run(&["tags", "--json", name]))["tags"],
        serde_json::json!(["1", "2", "3"])
    );
    assert_eq!(
        user.run(&["digest", &format!("{name}:2")]).succeeded(),
        image.digest()
    );
}

fn read(user: &User, image: &Image, name: &str) {
    let manifest = user.run(&["manifest", &format!("{name}:1")]);
    let manifest: Value = serde_json::from_str(manifest.succeeded()).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let config = user.run(&["config", &format!("{name}:1")]);
    assert_eq!(json(&config)["rootfs"]["diff_ids"][0], layer);
    let file = user.path("layer.tar");
    user.run(&["blob", &format!("{name}@{layer}"), "--output", &file])
        .succeeded();
    assert!(fs::read(&file).unwrap() == fs::read(image.layer()).unwrap());
}

/// Attaches a note to the image. Returns the note's digest.
fn attach(user: &User, name: &str) -> String {
    fs::write(user.path("note.txt"), "hello").unwrap();
    let attach = [
        "attach",
        &format!("{name}:1"),
        "--type",
        "test/note",
        "note.txt:text/plain",
        "--annotation",
        "a=b",
    ];
    let attached = user.run(&attach).succeeded().to_owned();
    let referrers = json(&user.run(&["referrers", "--json", &format!("{name}:1")]));
    assert_eq!(referrers["referrers"][0]["digest"], attached.as_str());
    assert_eq!(referrers["referrers"][0]["annotations"]["a"], "b");
    attached
}

/// Copies the image to a layout and elsewhere on its registry, with what is attached to it.
fn copy(user: &User, image: &Image, host: &str, attached: &str) {
    let name = format!("{host}/team/app");
    let pulled = json(&user.run(&[
        "pull",
        &format!("{name}:1"),
        "oci:out",
        "--referrers",
        "--json",
    ]));
    assert_eq!(pulled["images"][0]["digest"], image.digest());
    assert_eq!(pulled["images"][0]["manifests"], 2);
    user.run(&["copy", "oci:out:1", &format!("{host}/other:1")])
        .succeeded();
    let wrong = format!("{host}/other@sha256:{}", "0".repeat(64));
    assert_eq!(code(&user.run(&["copy", "oci:out:1", &wrong])), 8);
    user.run(&["copy", "--all-tags", &name, "oci:all"])
        .succeeded();
    assert!(user.file("all/index.json").contains(r#"ref.name":"3""#));
    // With what is attached to it, mounted beside, and by way of an archive.
    let beside = json(&user.run(&[
        "copy",
        "--json",
        "--referrers",
        &format!("{name}:1"),
        &format!("{host}/team/beside:1"),
    ]));
    assert_eq!(beside["images"][0]["blobs"]["sent"], 0, "{beside}");
    assert!(
        beside["images"][0]["blobs"]["mounted"].as_u64() >= Some(2),
        "{beside}"
    );
    let referrers = json(&user.run(&["referrers", "--json", &format!("{host}/team/beside:1")]));
    assert_eq!(referrers["referrers"][0]["digest"], attached);
    user.run(&["pull", "-q", &format!("{name}:1"), "app.tar"])
        .succeeded();
    user.run(&["push", "-q", "app.tar", &format!("{host}/archived:1")])
        .succeeded();
    assert_eq!(
        user.run(&["digest", &format!("{host}/archived:1")])
            .succeeded(),
        image.digest()
    );
    let many = json(&user.run(&[
        "copy",
        "--all-tags",
        "--json",
        &name,
        &format!("{host}/mirror"),
    ]));
    assert_eq!(
        user.run(&["tags", &format!("{host}/mirror")])
            .succeeded()
            .lines()
            .count(),
        many["images"].as_array().unwrap().len()
    );
}

#[test]
fn failures_have_codes_and_hints() {
    let world = World::start(TestKeyKind::Rsa, Memory::None);
    let (host, user, image) = (
        world.registries[0].host_port(),
        User::new(),
        Image::saying("refused"),
    );
    user.login(ADMIN, &host).succeeded();
    let (layout, name) = (
        format!("oci:{}", image.layout().display()),
        format!("{host}/team/app:1"),
    );
    user.run(&["push", "-q", &layout, &name]).succeeded();
    user.login(READER, &host).succeeded();
    user.run(&["digest", &name]).succeeded();
    let denied = user.run(&["push", &layout, &format!("{host}/team/app:2")]);
    assert_eq!(code(&denied), 5, "{denied}");
    assert!(
        denied
            .stderr
            .contains("hint: the login works but does not have this right"),
        "{denied}"
    );

    for (arguments, expected, words) in [
        (
            &["digest", "ubuntu"][..],
            2,
            "does not begin with a registry",
        ),
        (&["digest", "127.0.0.1:1/a"], 7, "cannot be reached"),
        (
            &["delete", &format!("{host}/team/app")],
            2,
            "tag or digest required",
        ),
        (&["blob", &name], 2, "digest required"),
        (&["pull", &name, &name], 2, "is an image in a registry"),
        (&["push", &name, &name], 2, "is an image in a registry"),
        (&["push", "oci:nowhere", &name], 6, "not an OCI layout"),
        (
            &["copy", "--all-tags", &name, "oci:x"],
            2,
            "--all-tags copies every tag",
        ),
    ] {
        let failed = user.run(arguments);
        assert_eq!(code(&failed), expected, "{failed}");
        assert!(failed.stderr.contains(words), "{failed}");
    }
}

#[test]
fn a_trace_shows_the_steps_and_no_secret() {
    let world = World::start(TestKeyKind::P256, Memory::RefreshTokens);
    let (host, user, image) = (
        world.registries[0].host_port(),
        User::new(),
        Image::saying("traced"),
    );
    let login = [
        "login",
        "--trace",
        "--user",
        ADMIN.0,
        "--password-stdin",
        &host,
    ];
    let traced = user.run_with(&login, ADMIN.1, &[]);
    traced.succeeded();
    let layout = format!("oci:{}", image.layout().display());
    user.run(&["push", "-q", &layout, &format!("{host}/team/app:1")])
        .succeeded();
    let manifest = user.run(&["manifest", "--trace", &format!("{host}/team/app:1")]);
    assert!(
        manifest.succeeded().starts_with('{'),
        "the trace is not on standard output"
    );
    let steps: Vec<&str> = manifest
        .stderr
        .lines()
        .filter(|line| !line.starts_with(' '))
        .collect();
    let numbers: Vec<&str> = steps.iter().filter_map(|line| line.get(..3)).collect();
    // The first is the handshake that a registry without TLS on this machine answers in plain http.
    assert_eq!(
        numbers,
        ["1 >", "1 >", "2 <", "3 >", "4 <", "5 >", "6 <"],
        "{manifest}"
    );
    for line in [
        "challenge: Bearer",
        "requested  repository:team/app:pull",
        "granted    repository:team/app:pull",
        "exp  ",
    ] {
        assert!(manifest.stderr.contains(line), "{manifest}");
    }
    let kept: Value = serde_json::from_str(&user.file(".docker/config.json")).unwrap();
    let refresh_token = kept["auths"][&host]["identitytoken"].as_str().unwrap();
    let basic = base64(&format!("{}:{}", ADMIN.0, ADMIN.1));
    for secret in [ADMIN.1, refresh_token, &basic] {
        assert!(
            !traced.stderr.contains(secret) && !manifest.stderr.contains(secret),
            "{secret}"
        );
    }
    let bearer = manifest
        .stderr
        .lines()
        .find(|line| line.contains("authorization: Bearer"))
        .unwrap();
    assert_eq!(bearer.trim(), "authorization: Bearer [hidden]");
}

#[test]
fn shells_and_man_know_every_command() {
    let user = User::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            user.run(&["completions", shell])
                .succeeded()
                .contains("referrers")
        );
    }
    user.run(&["man", "man1"]).succeeded();
    for page in ["wharfinger.1", "wharfinger-pull.1", "wharfinger-login.1"] {
        assert!(user.file(&format!("man1/{page}")).contains(".TH"), "{page}");
    }
}

fn json(output: &peers::Output) -> Value {
    serde_json::from_str(output.succeeded()).unwrap()
}

/// Base64, by a program that is not ours.
fn base64(text: &str) -> String {
    let mut command = std::process::Command::new("base64");
    peers::run_with_input(command.arg("--wrap=0"), text)
        .succeeded()
        .to_owned()
}
