//! BuildKit, in dockerd and as a newer program of its own, and helm: with a password, with what
//! `docker login` stores, and with the secrets of a robot and of a person.

use std::fs;

use peers::{BuildKit, Client, Docker, Image, Output, crane, helm};

use super::{add_robot, create_token};
use crate::e2e::ours::Ours;
use crate::e2e::world::{ADMIN, READER, crane_login, login};

/// A registry with an image in `team/app` and one in `secret/app`.
fn with_images(ours: Ours) -> Ours {
    let (crane, image, host) = (crane(), Image::saying("builders"), ours.host());
    crane_login(&crane, ADMIN, &host);
    let layout = image.layout().display().to_string();
    for name in ["team/app", "secret/app"] {
        crane
            .run(&["push", &layout, &format!("{host}/{name}:1")])
            .succeeded();
    }
    ours
}

/// Users and secrets that may pull `team/app`, and nothing of `secret`.
fn logins(ours: &Ours) -> Vec<(String, String)> {
    let scope = ["--scope", "repository:team/*:pull,push"];
    let robot = add_robot(ours, "ci", &scope);
    let token = create_token(ours, "admin", "laptop", &scope);
    let owned = |(user, password): (&str, &str)| (user.to_owned(), password.to_owned());
    vec![
        owned(READER),
        (robot.account, robot.secret),
        owned(("<token>", &token.secret)),
        (token.account, token.secret),
    ]
}

/// Builds with every login, from an image that it may pull and from one that it may not.
fn builds(ours: &Ours, mut build: impl FnMut(&(String, String), &str) -> Output) {
    let host = ours.host();
    for login in logins(ours) {
        build(&login, &format!("{host}/team/app:1")).succeeded();
        let refused = build(&login, &format!("{host}/secret/app:1")).refused();
        // The ceiling of a secret does not allow it, or no rule does.
        let words = ["insufficient_scope: authorization failed", "403 Forbidden"];
        let is_denied = words.iter().any(|words| refused.contains(words));
        assert!(is_denied, "{login:?}: {refused}");
    }
}

#[test]
fn the_buildkit_in_dockerd_builds_from_a_private_image() {
    for (ours, stored) in [
        (Ours::start(), r#""auth":"#),
        (Ours::with_refresh_tokens(), "identitytoken"),
    ] {
        let (ours, docker) = (with_images(ours), Docker::start());
        builds(&ours, |(user, secret), reference| {
            let client = docker.client();
            login(&client, &[], (user, secret), &ours.host()).succeeded();
            assert!(client.file(".docker/config.json").contains(stored));
            docker.build_from(&client, reference)
        });
        let anonymous = docker.client();
        let reference = format!("{}/team/app:1", ours.host());
        docker.build_from(&anonymous, &reference).refused();
    }
}

#[test]
fn a_newer_buildkit_builds_from_a_private_image() {
    for (ours, stored) in [
        (Ours::start(), r#""auth":"#),
        (Ours::with_refresh_tokens(), "identitytoken"),
    ] {
        let (ours, docker, buildkit) = (with_images(ours), Docker::start(), BuildKit::start());
        builds(&ours, |(user, secret), reference| {
            let (docker, client) = (docker.client(), buildkit.client());
            login(&docker, &[], (user, secret), &ours.host()).succeeded();
            let config = docker.file(".docker/config.json");
            assert!(config.contains(stored), "{config}");
            keep_login(&client, &config);
            buildkit.build_from(&client, reference)
        });
        let anonymous = buildkit.client();
        let reference = format!("{}/team/app:1", ours.host());
        buildkit.build_from(&anonymous, &reference).refused();
    }
}

#[test]
fn helm_pushes_and_pulls_charts() {
    for ours in [Ours::start(), Ours::with_refresh_tokens()] {
        let host = ours.host();
        for (number, (user, secret)) in logins(&ours).iter().enumerate().skip(1) {
            let helm = helm();
            helm_login(&helm, (user, secret), &host).succeeded();
            let name = format!("chart{number}");
            push_chart(&helm, &name, &format!("oci://{host}/team")).succeeded();
            let pulled = pull_chart(&helm, &format!("oci://{host}/team/{name}"));
            pulled.succeeded();
            assert!(pulled.stderr.contains("Digest: sha256:"), "{pulled}");
            let over = push_chart(&helm, &name, &format!("oci://{host}/secret"));
            // A person's rules allow it, and a robot of the system has no rules.
            let status = ["401: Unauthorized", "403: Forbidden"];
            let refused = over.refused();
            assert!(
                status.iter().any(|status| refused.contains(status)),
                "{over}"
            );
            let wrong = helm_login(&peers::helm(), (user, "wrong"), &host);
            assert!(wrong.refused().contains("401"), "{wrong}");
        }
    }
}

/// Gives a client docker's login.
pub(super) fn keep_login(client: &Client, config: &str) {
    let folder = client.home().join(".docker");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), config).unwrap();
}

pub(crate) fn helm_login(helm: &Client, (user, secret): (&str, &str), host: &str) -> Output {
    let words = [
        "registry",
        "login",
        host,
        "--username",
        user,
        "--password-stdin",
    ];
    helm.run_with_input(&words, secret)
}

/// Pushes version 0.1.0 of a chart without templates.
pub(crate) fn push_chart(helm: &Client, name: &str, to: &str) -> Output {
    let folder = helm.home().join(name);
    fs::create_dir_all(&folder).unwrap();
    let text = format!("apiVersion: v2\nname: {name}\nversion: 0.1.0\n");
    fs::write(folder.join("Chart.yaml"), text).unwrap();
    helm.run(&["package", name]).succeeded();
    helm.run(&["push", "--plain-http", &format!("{name}-0.1.0.tgz"), to])
}

pub(crate) fn pull_chart(helm: &Client, chart: &str) -> Output {
    helm.run(&["pull", "--plain-http", "--version", "0.1.0", chart])
}
