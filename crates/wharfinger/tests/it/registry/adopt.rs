//! What `wharfinger registry adopt` says of a data directory in which something is wrong.

use std::collections::BTreeSet;
use std::path::Path;

use oci::{Digest, DigestAlgorithm};
use peers::http;
use serde_json::Value;
use storage::hash;

use super::layout::{BASE, Layout, data, image};
use super::registry_2::Running;
use super::world::World;

/// As registry 2.8 still served it.
const SCHEMA_1: &[u8] =
    br#"{"schemaVersion":1,"name":"app","tag":"old","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}"#;

/// A data directory with one good image, `app:1`, and every kind of problem; and what the
/// command reports.
fn with_problems() -> (Layout, Vec<(String, String)>) {
    let old = Layout::new();
    let config = old.layer("app", b"{}");
    old.manifest("app", image(&config, 2).as_bytes(), "1");
    let schema_1 = old.manifest("app", SCHEMA_1, "old");
    let nonsense = old.manifest("app", b"nonsense", "nonsense");
    let gone = old.layer("app", b"gone");
    old.remove(&gone);
    let lost = old.manifest("app", image(&config, 3).as_bytes(), "lost");
    old.remove(&lost);
    let never = hash::digest(DigestAlgorithm::Sha256, b"never pushed");
    old.tag("app", "dangling", &never);
    old.write(
        "repositories/app/_uploads/1f5e4a57-0a0c-4a05-9f5f-1ab8cb4a1a17/data",
        b"half",
    );
    old.write("repositories/app/_manifests/tags/empty/current/link", b"");
    old.write("repositories/Upper/_layers/x", b"");

    let at = |path: &str| format!("{BASE}/{path}");
    let tag = |tag: &str| {
        at(&format!(
            "repositories/app/_manifests/tags/{tag}/current/link"
        ))
    };
    let missing = |digest: &Digest| format!("a link to {digest}, which is missing");
    let told = vec![
        (
            at(&data(&schema_1)),
            "a manifest of schema 1, which is not served any more".to_owned(),
        ),
        (
            at(&data(&nonsense)),
            "not a known kind of manifest: ".to_owned(),
        ),
        (at(&data(&gone)), missing(&gone)),
        (at(&data(&lost)), missing(&lost)),
        (tag("old"), missing(&schema_1)),
        (tag("nonsense"), missing(&nonsense)),
        (tag("lost"), missing(&lost)),
        (tag("dangling"), missing(&never)),
        (tag("empty"), "a broken link".to_owned()),
        (
            at("repositories/app/_uploads/1f5e4a57-0a0c-4a05-9f5f-1ab8cb4a1a17"),
            "an upload that was never finished".to_owned(),
        ),
        (
            at("repositories/Upper"),
            "not the name of a repository or tag".to_owned(),
        ),
    ];
    (old, told)
}

#[test]
fn each_thing_that_is_wrong_is_named_and_the_rest_is_there() {
    let (old, told) = with_problems();
    let mut world = World::new();
    world.serve();
    let directory = old.path().display().to_string();
    let output = world.run("adopt", &[&directory]);
    // What can be taken over was: that is success, and what could not be is on standard output.
    assert_eq!(output.status.code(), Some(0), "{output}");
    let lines: BTreeSet<&str> = output.stdout.lines().collect();
    for (path, problem) in &told {
        let line = format!("{path}: {problem}");
        assert!(
            lines.iter().any(|found| found.starts_with(&line)),
            "{line} is not in\n{output}"
        );
    }
    let end = format!(
        "adopted {directory}: 1 repository, 1 tag, 1 manifest and 1 blob; 11 things above could not be taken over"
    );
    assert!(lines.contains(end.as_str()), "{output}");
    assert_eq!(lines.len(), told.len() + 1, "{output}");

    let report: Value =
        serde_json::from_str(world.run("adopt", &[&directory, "--json"]).succeeded()).unwrap();
    let listed: BTreeSet<&str> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["path"].as_str().unwrap())
        .collect();
    assert_eq!(listed, told.iter().map(|(path, _)| path.as_str()).collect());

    assert_eq!(
        http::get(&world.server().url("/v2/app/manifests/1")).status,
        200
    );
    for tag in ["old", "nonsense", "lost", "dangling", "empty"] {
        assert_eq!(
            http::get(&world.server().url(&format!("/v2/app/manifests/{tag}"))).status,
            404,
            "{tag}"
        );
    }
    // It came to its end all the same.
    assert_eq!(world.json("adopt", &[&directory, "--final"])["final"], true);
}

#[test]
fn a_changed_blob_is_named_where_digests_are_checked() {
    let old = Layout::new();
    let digest = old.layer("app", b"sound");
    old.write(&data(&digest), b"changed");
    let changed = hash::digest(DigestAlgorithm::Sha256, b"changed");
    let mut world = World::new();
    world.serve();
    let directory = old.path().display().to_string();
    let checked = world.run("adopt", &[&directory, "--check-digests"]);
    let told = format!(
        "{BASE}/{}: its digest is {changed}: it was changed on the disk",
        data(&digest)
    );
    assert!(checked.succeeded().starts_with(&told), "{checked}");
}

#[test]
fn a_server_in_its_place_logs_the_same() {
    let (old, told) = with_problems();
    let server = Running::start_on(Path::new(env!("CARGO_BIN_EXE_wharfinger")), old.path());
    server.wait_for_log("problems=11");
    for (path, problem) in told {
        let log = server.log();
        let line = log
            .lines()
            .find(|line| line.contains(&format!("path=\"{path}\"")));
        assert!(
            line.is_some_and(|line| line.contains(&problem)),
            "{path}: {problem} is not in\n{log}"
        );
    }
    assert_eq!(http::get(&server.url("/v2/app/manifests/1")).status, 200);
}
