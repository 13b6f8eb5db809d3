//! Remedies are carried out as they are printed, and nothing is wrong afterwards.

use std::path::Path;
use std::process::Command;

use peers::{Server, TestCertificate, TestKeyKind, run};

use super::certificates::Wanted;
use super::{ALL, Made, ProbeReport, Realm, code, examine_as, proxy, run_probes, tls_proxy};
use crate::client::runner::User;
use crate::e2e::world::{ADMIN, READER, program, with_pair};

/// What stands in backticks in the remedy of a probe: commands and settings.
fn quoted(report: &ProbeReport, id: &str) -> Vec<String> {
    let probe = report.probes.iter().find(|probe| probe["id"] == id);
    let remedy = probe.unwrap()["remedy"].as_str().unwrap();
    let quoted = remedy.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

#[test]
fn a_certificate_that_is_made_as_printed_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let registry = Made::Ours.open();
    for (name, wanted) in [
        ("nameless", Wanted::for_this_machine().named(&[])),
        (
            "other",
            Wanted::for_this_machine().named(&["other.example"]),
        ),
    ] {
        let wrong = wanted.write(directory.path(), name, None);
        let server = tls_proxy(&registry, &wrong, "");
        let trusted = wrong.certificate.display().to_string();
        let report = run_probes(&["--ca-file", &trusted, &server.host_port()], "");
        let commands = quoted(&report, "registry-certificate");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &commands[0]])
            .current_dir(directory.path());
        run(&mut shell).succeeded();
        let made = TestCertificate {
            certificate: directory.path().join("server.crt"),
            key: directory.path().join("server.key"),
        };
        let server = tls_proxy(&registry, &made, "");
        let trusted = made.certificate.display().to_string();
        run_probes(&["--ca-file", &trusted, &server.host_port()], "").is_healthy();
    }
}

/// Runs a printed `wharfinger` command; a login gets a name and a password.
fn run_printed(user: &User, command: &str, login: (&str, &str)) {
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[0], "wharfinger", "{command}");
    let mut arguments = words[1..].to_vec();
    if words[1] == "login" {
        arguments.extend(["--user", login.0, "--password-stdin"]);
    }
    user.run_with(&arguments, login.1, &[]).succeeded();
}

#[test]
fn logins_that_are_removed_and_stored_as_printed_are_accepted() {
    let realm = Realm::start();
    for made in ALL {
        let registry = realm.registry(made);
        let (host, user) = (registry.host_port(), User::new());
        let store = |file: &str, (name, password): (&str, &str)| {
            let pair = data_encoding::BASE64.encode(format!("{name}:{password}").as_bytes());
            let path = user.path(file);
            std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
            let content = format!(r#"{{"auths":{{"{host}":{{"auth":"{pair}"}}}}}}"#);
            std::fs::write(path, content).unwrap();
        };
        store(".docker/config.json", ADMIN);
        store(".config/containers/auth.json", READER);
        let report = examine_as(&user, &[&host], "");
        let commands = quoted(&report, "stored-logins");
        assert_eq!(commands.len(), 2, "{commands:?}");
        for command in commands {
            run_printed(&user, &command, ADMIN);
        }
        examine_as(&user, &[&host], "").is_healthy();

        store(".docker/config.json", (ADMIN.0, "last-year"));
        let report = examine_as(&user, &[&host], "");
        let commands = quoted(&report, "login");
        run_printed(&user, &commands[0], ADMIN);
        examine_as(&user, &[&host], "").is_healthy();
    }
}

/// The hint of an error that a command prints leads on, too.
#[test]
fn the_hint_of_a_denied_pull_is_carried_out() {
    let realm = Realm::start();
    let registry = realm.registry(Made::Ours);
    let (host, user) = (registry.host_port(), User::new());
    let denied = user.run(&["tags", &format!("{host}/team/app")]);
    assert_eq!(code(&denied), 5, "{denied}");
    let command = denied.stderr.split('`').nth(1).unwrap();
    run_printed(&user, command, ADMIN);
    let found = user.run(&["tags", &format!("{host}/team/app")]);
    assert!(code(&found) != 5, "{found}");
}

#[test]
fn a_rule_that_is_added_as_printed_grants_what_was_missing() {
    let arguments = ["--user", READER.0, "--password-stdin", "--push"];
    let realm = Realm::start();
    let registry = realm.registry(Made::Ours);
    let name = format!("{}/team/app", registry.host_port());
    let report = run_probes(&[&arguments[..], &[&name]].concat(), READER.1);
    let rule = quoted(&report, "token-access").remove(0);
    let realm = Realm::with_rules(|rules| {
        let changed = rules.replacen("acl:\n", &format!("acl:\n  {rule}\n"), 1);
        assert!(changed != rules);
        changed
    });
    let registry = realm.registry(Made::Ours);
    let name = format!("{}/team/app", registry.host_port());
    run_probes(&[&arguments[..], &[&name]].concat(), READER.1).is_healthy();
}

#[test]
fn limits_of_nginx_that_are_raised_as_printed_let_layers_pass() {
    let registry = Made::Ours.open();
    let small = proxy(&registry, "proxy_set_header Host $http_host;", "");
    let name = format!("{}/a", small.host_port());
    let report = run_probes(&["--push", &name], "");
    let directives = quoted(&report, "push-body").join(" ");
    let directives = format!("proxy_set_header Host $http_host; {directives}");
    let large = proxy(&registry, &directives, "");
    run_probes(&["--push", &format!("{}/a", large.host_port())], "").is_healthy();
}

/// Our own server behind nginx, which ends TLS: the settings that are printed are the ones that its
/// file has.
#[test]
fn our_server_behind_a_proxy_is_healed_as_printed() {
    let directory = tempfile::tempdir().unwrap();
    let key = TestCertificate::new(TestKeyKind::P256, directory.path(), "token");
    let pair = Wanted::for_this_machine().write(directory.path(), "tls", None);
    let trusted = pair.certificate.display().to_string();
    let start = |proxies: &str| {
        let rules = include_str!("../../e2e/world.yml").replace("services: {@services@}", "");
        let server = format!("addr: \"@addr@\"\n  trusted_proxies: [{proxies}]");
        let data = directory.path().join(format!("data{}", proxies.len()));
        let config = rules.replace("addr: \"@addr@\"", &server)
            + &format!(
                "registry: {{storage: {{filesystem: {{root: {}}}}}}}\n",
                data.display()
            );
        Server::start(Path::new(program()), &with_pair(&config, &key))
    };
    let in_front = |server: &Server, directives: &str| {
        peers::Nginx::start(&format!(
            "listen @listen@ ssl; {} client_max_body_size 0; location / {{ proxy_pass http://{}; {directives} }}",
            super::tls(&pair),
            server.host_port()
        ))
    };
    let server = start("");
    let nginx = in_front(&server, "");
    let arguments = |name: String| {
        let fixed = [
            "--ca-file",
            &trusted,
            "--user",
            ADMIN.0,
            "--password-stdin",
            "--push",
        ];
        let mut arguments: Vec<String> = fixed.map(str::to_owned).into();
        arguments.push(name);
        arguments
    };
    let examine = |nginx: &peers::Nginx| {
        let arguments = arguments(format!("{}/team/app", nginx.host_port()));
        run_probes(
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
            ADMIN.1,
        )
    };
    let report = examine(&nginx);
    report.says("realm-scheme", "is plain http", "server.trusted_proxies");
    report.says("realm-scheme", "", "server.public_url: https://127.0.0.1:");
    let probe = report
        .probes
        .iter()
        .find(|probe| probe["id"] == "realm-scheme");
    assert!(
        !probe.unwrap()["remedy"]
            .as_str()
            .unwrap()
            .contains("auth.token.realm")
    );
    let directives = quoted(&report, "realm-scheme").join(" ");

    let server = start("127.0.0.1");
    examine(&in_front(&server, &directives)).is_healthy();
}

/// What was not sent was not rejected.
#[test]
fn an_expired_certificate_keeps_the_login_from_being_tested() {
    let realm = Realm::start();
    let directory = tempfile::tempdir().unwrap();
    let expired = Wanted::expired().write(directory.path(), "expired", None);
    let trusted = expired.certificate.display().to_string();
    for made in ALL {
        let registry = realm.registry(made);
        let server = tls_proxy(&registry, &expired, "proxy_set_header Host $http_host;");
        let name = format!("{}/team/app", server.host_port());
        let arguments = [
            "--ca-file",
            &trusted,
            "--user",
            ADMIN.0,
            "--password-stdin",
            &name,
        ];
        let report = run_probes(&arguments, ADMIN.1);
        // The realm of this stage is plain http, which is a failure of its own.
        assert_eq!(
            report.with("failure"),
            ["registry-certificate", "realm-scheme"],
            "{}",
            report.made
        );
        let not_tested = report.with("not-tested");
        for id in [
            "login",
            "token-claims",
            "token-key",
            "token-access",
            "token-accepted",
        ] {
            assert!(not_tested.contains(&id), "{id} {}", report.made);
            report.says(id, "see registry-certificate first", "");
        }
    }
}

#[test]
fn with_insecure_no_certificate_is_tested() {
    let directory = tempfile::tempdir().unwrap();
    let nameless = Wanted::for_this_machine()
        .named(&[])
        .write(directory.path(), "n", None);
    let registry = Made::Ours.open();
    let server = tls_proxy(&registry, &nameless, "");
    let report = run_probes(&["--insecure", &server.host_port()], "");
    assert!(
        report.with("not-tested").contains(&"registry-certificate"),
        "{}",
        report.made
    );
    report.says("registry-certificate", "--insecure was given", "");
}
