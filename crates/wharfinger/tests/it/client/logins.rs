//! Logins that are shared: what we store, others use, and the other way round.

use std::fs;

use peers::{Client, Docker, Image, TestKeyKind, crane, podman, regctl, skopeo};

use super::runner::{User, code};
use crate::e2e::ours::Ours;
use crate::e2e::world::{ADMIN, Memory, READER, World, crane_login};

#[test]
fn a_login_is_tried_and_kept_where_others_look() {
    for memory in [Memory::RefreshTokens, Memory::None] {
        let world = World::start(TestKeyKind::P256, memory);
        let image = Image::saying("shared logins");
        let layout = format!("oci:{}", image.layout().display());
        for registry in &world.registries {
            let (host, user) = (registry.host_port(), User::new());
            let wrong = user.login((ADMIN.0, "wrong"), &host);
            assert_eq!(code(&wrong), 4, "{wrong}");
            assert!(
                wrong.stderr.contains("login as \"admin\" rejected"),
                "{wrong}"
            );
            assert_eq!(
                user.file(".docker/config.json"),
                "",
                "nothing is kept of a refused login"
            );

            user.login(ADMIN, &host).succeeded();
            let kept = user.file(".docker/config.json");
            assert_eq!(
                kept.contains("identitytoken"),
                memory == Memory::RefreshTokens,
                "{kept}"
            );
            assert!(!kept.contains(ADMIN.1), "{kept}");
            let name = format!("{host}/team/app:1");
            user.run(&["push", &layout, &name]).succeeded();
            assert_eq!(user.run(&["digest", &name]).succeeded(), image.digest());
            others_use(&user, &host, &name, image.digest());

            user.run(&["logout", &host]).succeeded();
            let denied = user.run(&["digest", &name]);
            assert_eq!(code(&denied), 5, "{denied}");
            assert!(
                denied.stderr.contains(&format!(
                    "hint: no login was sent: log in with `wharfinger login {host}`"
                )),
                "{denied}"
            );
        }
    }
}

/// crane, regctl and skopeo, with the file that we wrote.
fn others_use(user: &User, host: &str, name: &str, digest: &str) {
    let (crane, regctl, skopeo) = (crane(), regctl(host), skopeo());
    for home in [crane.home(), regctl.home()] {
        fs::create_dir_all(home.join(".docker")).unwrap();
        fs::write(
            home.join(".docker/config.json"),
            user.file(".docker/config.json"),
        )
        .unwrap();
    }
    assert_eq!(crane.run(&["digest", name]).succeeded(), digest);
    assert_eq!(regctl.run(&["image", "digest", name]).succeeded(), digest);
    fs::write(
        skopeo.home().join("auth.json"),
        user.file(".docker/config.json"),
    )
    .unwrap();
    let docker = format!("docker://{name}");
    let inspected = skopeo.run(&[
        "inspect",
        "--tls-verify=false",
        "--format",
        "{{.Digest}}",
        &docker,
    ]);
    assert_eq!(inspected.succeeded(), digest);
}

#[test]
fn docker_and_podman_use_what_is_kept_and_we_what_they_keep() {
    let ours = Ours::start();
    let image = Image::saying("engines");
    let docker = Docker::start();
    for memory in [Memory::RefreshTokens, Memory::None] {
        let world = World::start(TestKeyKind::P256, memory);
        for host in [
            ours.host(),
            world.registries[0].host_port(),
            world.registries[1].host_port(),
        ] {
            let (user, name) = (User::new(), format!("{host}/team/app:1"));
            user.login(ADMIN, &host).succeeded();
            user.run(&[
                "push",
                "-q",
                &format!("oci:{}", image.layout().display()),
                &name,
            ])
            .succeeded();
            // The file alone, in another home, where no password is typed.
            let (dockers, podmans) = (docker.client(), podman());
            dockers.run(&["pull", &name]).refused();
            fs::create_dir_all(dockers.home().join(".docker")).unwrap();
            fs::write(
                dockers.home().join(".docker/config.json"),
                user.file(".docker/config.json"),
            )
            .unwrap();
            dockers.run(&["pull", &name]).succeeded();
            dockers.run(&["rmi", &name]).succeeded();
            let auth = podmans.home().join("auth.json").display().to_string();
            let variables = [("REGISTRY_AUTH_FILE", auth.as_str())];
            let login = ["login", "--user", ADMIN.0, "--password-stdin", &host];
            assert!(
                user.run_with(&login, ADMIN.1, &variables)
                    .succeeded()
                    .contains(&auth)
            );
            podmans
                .run(&["pull", "--tls-verify=false", &name])
                .succeeded();

            // And the other way round.
            let (dockers, ours) = (docker.client(), User::new());
            login_with(&dockers, ADMIN, &host).succeeded();
            let config = dockers.home().join(".docker").display().to_string();
            let digest = ours.run_with(&["digest", &name], "", &[("DOCKER_CONFIG", &config)]);
            assert_eq!(digest.succeeded(), image.digest());
        }
    }
}

fn login_with(client: &Client, user: (&str, &str), host: &str) -> peers::Output {
    crate::e2e::world::login(client, &[], user, host)
}

#[test]
fn what_others_keep_is_used() {
    let world = World::start(TestKeyKind::P256, Memory::RefreshTokens);
    let host = world.registries[0].host_port();
    let (podman, crane, ours) = (podman(), crane(), User::new());
    let login = [
        "login",
        "--tls-verify=false",
        "--username",
        ADMIN.0,
        "--password-stdin",
        &host,
    ];
    podman.run_with_input(&login, ADMIN.1).succeeded();
    let auth = podman.home().join("auth.json").display().to_string();
    let catalog = |variables: &[(&str, &str)]| {
        ours.run_with(&["tags", &format!("{host}/team/none")], "", variables)
    };
    // A caller with the right sees an empty list, others are denied.
    assert_eq!(code(&catalog(&[("REGISTRY_AUTH_FILE", &auth)])), 6);
    assert_eq!(code(&catalog(&[])), 5);
    crane_login(&crane, READER, &host);
    let docker = crane.home().join(".docker").display().to_string();
    assert_eq!(code(&catalog(&[("DOCKER_CONFIG", &docker)])), 6);
}

#[test]
fn a_credential_helper_keeps_the_secret() {
    let world = World::start(TestKeyKind::P256, Memory::RefreshTokens);
    let (host, user) = (world.registries[0].host_port(), User::new());
    fs::create_dir_all(user.path("bin")).unwrap();
    fs::create_dir_all(user.path(".docker")).unwrap();
    let helper = user.path("bin/docker-credential-test");
    fs::write(&helper, HELPER).unwrap();
    peers::run(std::process::Command::new("chmod").arg("755").arg(&helper)).succeeded();
    fs::write(
        user.path(".docker/config.json"),
        format!(r#"{{"credHelpers":{{"{host}":"test"}}}}"#),
    )
    .unwrap();
    let path = format!("{}:{}", user.path("bin"), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str], input: &str| user.run_with(arguments, input, &[("PATH", &path)]);
    let login = run(
        &["login", "--user", ADMIN.0, "--password-stdin", &host],
        ADMIN.1,
    );
    assert!(
        login
            .succeeded()
            .contains("in docker-credential-test (named in "),
        "{login}"
    );
    assert!(!user.file(".docker/config.json").contains("auths"));
    assert!(
        user.file("kept").contains(r#""Username":"<token>""#),
        "{}",
        user.file("kept")
    );
    run(&["catalog", &host], "").succeeded();
    run(&["logout", &host], "").succeeded();
    assert_eq!(user.file("kept"), "");
}

/// Keeps one login in a file.
const HELPER: &str = r#"#!/bin/sh
case "$1" in
store) cat > "$HOME/kept" ;;
erase) rm -f "$HOME/kept" ;;
get) test -s "$HOME/kept" && cat "$HOME/kept" || { echo "credentials not found in native keychain"; exit 1; } ;;
esac
"#;

/// `docker logout` would leave a copy of the token valid for 30 days.
#[test]
fn a_logout_revokes_the_refresh_token_at_our_server() {
    let ours = Ours::with_refresh_tokens();
    let (host, user, copy) = (ours.host(), User::new(), User::new());
    user.login(ADMIN, &host).succeeded();
    fs::create_dir_all(copy.path(".docker")).unwrap();
    let kept = user.file(".docker/config.json");
    fs::write(copy.path(".docker/config.json"), kept).unwrap();
    copy.run(&["catalog", &host]).succeeded();
    let sessions = ours.sessions();
    assert_eq!(
        (&sessions[0]["account"], &sessions[0]["backend"]),
        (&"admin".into(), &"users".into())
    );

    let logout = user.run(&["logout", &host]);
    let revoked = format!("revoked the refresh token for {host}");
    assert!(logout.succeeded().contains(&revoked), "{logout}");
    assert_eq!(ours.sessions(), serde_json::json!([]));
    let rejected = copy.run(&["catalog", &host]);
    assert_eq!(code(&rejected), 4, "{rejected}");
}

#[test]
fn passwords_are_no_arguments() {
    let refused = User::new().run(&[
        "login",
        "r.example",
        "--user",
        "ann",
        "--password",
        "sesame",
    ]);
    assert_eq!(code(&refused), 2);
    assert!(
        refused
            .stderr
            .contains("a password is not accepted as an argument"),
        "{refused}"
    );
    assert!(refused.stderr.contains("--password-stdin"), "{refused}");
}
