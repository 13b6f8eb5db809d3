//! Healthy registries of every kind: nothing fails, and nothing is doubtful.

use std::fs;
use std::path::Path;

use peers::{Auth, Image, Nginx, RegistryConfig, Server, TestCertificate, TestKeyKind};

use super::certificates::Wanted;
use super::{ALL, Realm, run_probes, tls};
use crate::client::runner::User;
use crate::e2e::world::{ADMIN, Memory, World, program};

#[test]
fn with_a_bundle_and_with_a_jwks() {
    // The three are registry 2.8 and 3 with a bundle, and 3 with a JWKS; keys of RSA, and of EC.
    for kind in [TestKeyKind::P256, TestKeyKind::Rsa] {
        let world = World::start(kind, Memory::None);
        let image = Image::saying("healthy");
        for registry in &world.registries {
            let (host, user) = (registry.host_port(), User::new());
            user.login(ADMIN, &host).succeeded();
            let (layout, name) = (
                format!("oci:{}", image.layout().display()),
                format!("{host}/team/app:1"),
            );
            user.run(&["push", "-q", &layout, &name]).succeeded();
            let report = run_probes(
                &["--user", ADMIN.0, "--password-stdin", "--push", &name],
                ADMIN.1,
            );
            report.is_healthy();
            report.says("push-body", "bodies of 2 and 110 MB are accepted", "");
            report.says("token-access", "granted repository:team/app:pull,push", "");
            report.says("pull", image.digest(), "");
            // Without a repository, and without a login.
            run_probes(&[&host], "").is_healthy();
        }
    }
}

#[test]
fn open_to_every_client() {
    for made in ALL {
        let registry = made.open();
        let report = run_probes(&["--push", &format!("{}/a", registry.host_port())], "");
        report.is_healthy();
        report.says("registry-challenge", "does not ask for a login", "");
        report.says("token-key", "the registry does not ask for a token", "");
    }
}

#[test]
fn with_passwords_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("htpasswd");
    fs::write(
        &users,
        "alice:$2y$05$46GincwW0k5Lk.a4CjT2y.ebjWYrk14U9s2/fNwBCUtpZ1mWvjW3u\n",
    )
    .unwrap();
    for made in ALL {
        let auth = Auth::Htpasswd(users.clone());
        let registry = made.start(&RegistryConfig {
            auth,
            ..RegistryConfig::default()
        });
        let name = format!("{}/team/app:1", registry.host_port());
        let user = User::new();
        user.login(("alice", "secret"), &registry.host_port())
            .succeeded();
        let image = Image::saying("passwords");
        user.run(&[
            "push",
            "-q",
            &format!("oci:{}", image.layout().display()),
            &name,
        ])
        .succeeded();
        let report = run_probes(
            &["--user", "alice", "--password-stdin", "--push", &name],
            "secret",
        );
        report.is_healthy();
        report.says("registry-challenge", "one challenge: Basic", "");
        report.says("login", "accepted by the registry", "");
        report.says("pull", "the registry itself sends its layers", "");
        run_probes(&[&registry.host_port()], "").is_healthy();
        let wrong = run_probes(
            &["--user", "alice", "--password-stdin", &registry.host_port()],
            "wrong-horse",
        );
        wrong.fails(
            &["login"],
            "login as alice with a password rejected",
            "check the user name and the password",
        );
    }
}

#[test]
fn ours_as_up_starts_it() {
    let server = Server::start_with(
        program(),
        &["up", "--data", "@directory@/data", "--listen", "@addr@"],
    );
    let log = server.log();
    let login = log
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("Password of the user admin: "))
        .unwrap();
    let password = login.rsplit(' ').next().unwrap();
    let name = format!("{}/team/app", server.host_port());
    let config = server
        .directory()
        .join("data/wharfinger.yml")
        .display()
        .to_string();
    let arguments = [
        "--config",
        &config,
        "--user",
        "admin",
        "--password-stdin",
        "--push",
        &name,
    ];
    let report = run_probes(&arguments, password);
    report.is_healthy();
    report.says("realm-address", "is on the registry's host", "");
    report.says("token-accepted", "accepts the token", "");
    run_probes(&[&server.host_port()], "").is_healthy();
}

#[test]
fn behind_nginx_with_tls() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Wanted::for_this_machine().write(directory.path(), "tls", None);
    let trusted = pair.certificate.display().to_string();
    let realm = Realm::start();
    let tokens = in_tls(&pair, &realm.server.host_port());
    for made in ALL {
        let auth = match realm.auth() {
            Auth::Token {
                service,
                issuer,
                trust,
                ..
            } => Auth::Token {
                realm: format!("https://{}/auth", tokens.host_port()),
                service,
                issuer,
                trust,
            },
            auth => auth,
        };
        let registry = made.start(&RegistryConfig {
            auth,
            ..RegistryConfig::default()
        });
        let proxy = in_tls(&pair, &registry.host_port());
        let name = format!("{}/team/app", proxy.host_port());
        let report = run_probes(
            &[
                "--ca-file",
                &trusted,
                "--user",
                ADMIN.0,
                "--password-stdin",
                "--push",
                &name,
            ],
            ADMIN.1,
        );
        report.is_healthy();
    }
}

/// nginx as it should be.
fn in_tls(pair: &TestCertificate, upstream: &str) -> Nginx {
    Nginx::start(&format!(
        "listen @listen@ ssl; {} client_max_body_size 0; proxy_set_header Host $http_host;\n\
         proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;\n\
         location / {{ proxy_pass http://{upstream}; }}",
        tls(pair),
    ))
}

#[test]
fn ours_in_one_process_behind_nginx_with_tls() {
    let directory = tempfile::tempdir().unwrap();
    let key = TestCertificate::new(TestKeyKind::P256, directory.path(), "token");
    let pair = Wanted::for_this_machine().write(directory.path(), "tls", None);
    let rules = include_str!("../../e2e/world.yml").replace("services: {@services@}", "");
    let config = rules.replace(
        "addr: \"@addr@\"",
        "addr: \"@addr@\"\n  trusted_proxies: [127.0.0.1]",
    ) + &format!(
        "registry: {{storage: {{filesystem: {{root: {}}}}}}}\n",
        directory.path().join("data").display()
    );
    let server = Server::start(
        Path::new(program()),
        &crate::e2e::world::with_pair(&config, &key),
    );
    let proxy = in_tls(&pair, &server.host_port());
    let (trusted, name) = (
        pair.certificate.display().to_string(),
        format!("{}/team/app", proxy.host_port()),
    );
    let report = run_probes(
        &[
            "--ca-file",
            &trusted,
            "--user",
            ADMIN.0,
            "--password-stdin",
            "--push",
            &name,
        ],
        ADMIN.1,
    );
    report.is_healthy();
    report.says("realm-scheme", "the token server speaks https", "");
}

#[test]
fn a_token_server_that_knows_no_strangers() {
    let no_strangers = |rules: &str| rules.replace("  \"\": {}\n", "");
    let realm = Realm::with_rules(no_strangers);
    for made in ALL {
        let registry = realm.registry(made);
        let anonymous = run_probes(&[&registry.host_port()], "");
        anonymous.is_healthy();
        anonymous.says(
            "token-claims",
            "gives no token without a login; --user NAME",
            "",
        );
        run_probes(
            &["--user", ADMIN.0, "--password-stdin", &registry.host_port()],
            ADMIN.1,
        )
        .is_healthy();
    }
}
