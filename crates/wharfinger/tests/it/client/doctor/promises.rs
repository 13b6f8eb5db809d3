//! What the doctor promises whomever it examines: exit codes, that it changes nothing, and answers
//! that a person can use to hosts that are no registries at all.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::{fs, thread};

use super::{ALL, Realm, code, examine_as, run_probes};
use crate::client::runner::User;
use crate::e2e::world::ADMIN;

#[test]
fn what_cannot_be_examined_ends_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    fs::write(&text, "neither keys nor certificates").unwrap();
    let text = text.display().to_string();
    for (arguments, said) in [
        (&["a b"][..], "is not a host"),
        (&["https://r.example"], "without a scheme"),
        (&["--config", "nowhere.yml", "127.0.0.1:1"], "nowhere.yml"),
        (
            &["--config", &text, "127.0.0.1:1"],
            "is not a configuration",
        ),
        (
            &["--rootcertbundle", "nowhere.pem", "127.0.0.1:1"],
            "nowhere.pem",
        ),
        (
            &["--rootcertbundle", &text, "127.0.0.1:1"],
            "there is no certificate in it",
        ),
        (&["--jwks", &text, "127.0.0.1:1"], "is not a JWKS"),
        (&["--ca-file", "nowhere.pem", "127.0.0.1:1"], "nowhere.pem"),
        (&["--ca-file", &text, "127.0.0.1:1"], "no certificate in it"),
        (
            &["--user", "ann", "--password-stdin", "127.0.0.1:1"],
            "the password is empty",
        ),
        (
            &["--user", "ann", "127.0.0.1:1"],
            "standard input is not a terminal",
        ),
    ] {
        let output = User::new().run(&[&["doctor"], arguments].concat());
        assert_eq!(code(&output), 2, "{output}");
        assert!(
            output.stderr.contains(said) && output.stdout.is_empty(),
            "{output}"
        );
    }
}

#[test]
fn a_bundle_that_is_elsewhere_is_said_and_not_missed() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("registry.yml");
    fs::write(
        &config,
        "auth: {token: {issuer: i, service: s, rootcertbundle: /certs/of/the/container.pem}}",
    )
    .unwrap();
    let output = User::new().run(&[
        "doctor",
        "--json",
        "--config",
        &config.display().to_string(),
        "127.0.0.1:1",
    ]);
    assert_eq!(code(&output), 1, "{output}");
    assert!(
        output.stderr.contains("note: /certs/of/the/container.pem")
            && output.stderr.contains("--rootcertbundle")
    );
}

#[test]
fn a_configuration_without_tokens_is_said_and_the_rest_is_examined() {
    let directory = tempfile::tempdir().unwrap();
    for text in [
        "version: 0.1\nstorage: filesystem\n",
        "users: {ann: {}}\n",
        "",
    ] {
        let config = directory.path().join("config.yml");
        fs::write(&config, text).unwrap();
        let config = config.display().to_string();
        let output = User::new().run(&["doctor", "--config", &config, "127.0.0.1:1"]);
        assert_eq!(code(&output), 1, "{output}");
        assert!(output.stdout.contains("registry-reachable"), "{output}");
        let note = format!("note: {config} says nothing about tokens");
        assert!(output.stderr.contains(&note), "{output}");
        assert!(output.stderr.contains("REGISTRY_AUTH_*"), "{output}");
    }
}

/// Every file below a directory, by content.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => _ = found.insert(path.display().to_string(), fs::read(&path).unwrap()),
        }
    }
    found
}

#[test]
fn nothing_is_changed() {
    let realm = Realm::start();
    for made in ALL {
        let registry = realm.registry(made);
        let (host, user) = (registry.host_port(), User::new());
        user.login(ADMIN, &host).succeeded();
        let image = peers::Image::saying("stays");
        let name = format!("{host}/team/app:1");
        user.run(&[
            "push",
            "-q",
            &format!("oci:{}", image.layout().display()),
            &name,
        ])
        .succeeded();
        let home = Path::new(&user.path("")).to_owned();
        let data = registry.directory().join("data");
        let content = |files: BTreeMap<String, Vec<u8>>| {
            // Ours keeps its books in a database, whose pages move. Distribution's registries write
            // the state of a hash once more when they have forgotten the upload, for their own
            // purging.
            let books = |path: &String| path.contains(".db") || path.contains("/hashstates/");
            files
                .into_iter()
                .filter(|(path, _)| !books(path))
                .collect::<BTreeMap<_, _>>()
        };
        let before = (files(&home), content(files(&data)));
        assert!(before.1.len() > 2, "{:?}", before.1.keys());
        let report = examine_as(&user, &["--push", &name], "");
        report.is_healthy();
        report.says("push-body", "110 MB are accepted", "");
        assert_eq!(before.0, files(&home));
        let after = content(files(&data));
        assert_eq!(
            before.1.keys().collect::<Vec<_>>(),
            after.keys().collect::<Vec<_>>()
        );
        assert!(before.1 == after, "a file has other content");
        let tags = user.run(&["tags", &format!("{host}/team/app")]);
        assert_eq!(tags.succeeded(), "1");
    }
}

/// A host that answers every connection like this, or not at all.
fn host(answer: &'static [u8], ends: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer);
                while !ends && stream.read(&mut request).is_ok_and(|length| length > 0) {}
            });
        }
    });
    address
}

#[test]
fn hosts_that_are_no_registries_are_told_apart() {
    let closed = "127.0.0.1:1".to_owned();
    let ssh = host(b"SSH-2.0-OpenSSH_9.2\r\n", true);
    let closes = host(b"", true);
    let silent = host(b"", false);
    let page = host(
        b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nServer: Apache\r\n\r\n<h1>It works!</h1>",
        true,
    );
    // Waiting takes its time, so the silent one is asked once.
    for (host, first, remedy) in [
        (&closed, "cannot be reached", "the server is running"),
        (
            &"no-such-host.invalid:5000".to_owned(),
            "cannot be found by name",
            "check the spelling",
        ),
        (&ssh, "does not speak HTTP", "check the port"),
        (&closes, "closed the connection early", "check the port"),
        (&silent, "did not respond in time", "firewall"),
    ] {
        if *host != silent {
            run_probes(&[host], "").fails(
                &["registry-reachable"],
                &format!("{host} {first}"),
                remedy,
            );
        }
        // For people the first line is the answer, and the second what to do.
        let output = User::new().run(&["doctor", host]);
        let lines: Vec<_> = output.stdout.lines().collect();
        let failure = format!("failure     registry-reachable    {host} {first}");
        assert!(lines[0].starts_with(&failure), "{output}");
        assert!(lines[1].contains(remedy), "{output}");
        assert_eq!(
            lines.last(),
            Some(&format!("failed at {host}: registry-reachable").as_str()),
            "{output}"
        );
        assert!(
            lines.len() < 12,
            "probes that were not made take one line: {output}"
        );
    }
    run_probes(&[&page], "").fails(
        &["registry-challenge"],
        "is a web page (Server: Apache)",
        "check the host name",
    );
}

#[test]
fn a_healthy_registry_in_words() {
    let registry = super::Made::Registry3.open();
    let output = User::new().run(&["doctor", &registry.host_port()]);
    assert!(
        output
            .succeeded()
            .starts_with(&format!("no probe failed at {}\n\n", registry.host_port())),
        "{output}"
    );
}

#[test]
fn every_probe_is_in_the_manual() {
    let page =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doctor.md")).unwrap();
    let explained: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .collect();
    assert_eq!(explained, client::PROBES);
}
