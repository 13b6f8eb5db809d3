//! Immutable tags and the history of tags, with the programs that people use.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use peers::{Docker, Image, Output, Server, crane, http, podman, skopeo, wait_until};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");
const PLAIN: &str = "--tls-verify=false";

/// A registry without authentication. In its configuration, releases of `prod` are immutable.
struct World {
    directory: TempDir,
    server: Server,
}

impl World {
    fn start(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "server: {{addr: '@addr@'}}\n\
             audit: {{flush: 100ms}}\n\
             registry:\n  \
             storage: {{filesystem: {{root: {}}}, delete: true}}\n  \
             auth: {{none: true}}\n  \
             immutable_tags:\n    - {{repository: 'prod/**', tag: 'v*', except: ['*-dev']}}\n{more}",
            directory.path().join("data").display(),
        );
        let server = Server::start(Path::new(PROGRAM), &config);
        Self { directory, server }
    }

    fn config(&self) -> String {
        self.server.config().display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        peers::run(Command::new(PROGRAM).args(arguments))
    }

    /// `wharfinger registry immutable COMMAND FILE …`.
    fn immutable(&self, command: &str, arguments: &[&str]) -> Output {
        let file = self.config();
        self.run(&[&["registry", "immutable", command, &file], arguments].concat())
    }

    fn push(&self, image: &Image, name: &str) -> Output {
        let target = format!("docker://{}/{name}", self.server.host_port());
        let layout = format!("oci:{}", image.layout().display());
        skopeo().run(&["copy", "--dest-tls-verify=false", &layout, &target])
    }

    fn digest(&self, name: &str) -> String {
        let image = format!("{}/{name}", self.server.host_port());
        let digest = self.run(&["digest", &image]);
        digest.succeeded().trim().to_owned()
    }
}

#[test]
fn every_client_says_which_rule_keeps_a_tag() {
    let world = World::start("");
    let host = world.server.host_port();
    let (first, second) = (Image::saying("first"), Image::saying("second"));
    world.push(&first, "prod/app:v1").succeeded();
    world.push(&first, "prod/app:v1").succeeded();
    let before = world.digest("prod/app:v1");
    let reference = format!("{host}/prod/app:v1");
    let docker = Docker::start();
    docker.import(&second, &reference).succeeded();
    let layout = second.layout().display().to_string();
    let podman = podman();
    let other = format!("{host}/prod/app:other");
    world.push(&second, "prod/app:other").succeeded();
    podman.run(&["pull", PLAIN, &other]).succeeded();
    for refused in [
        world.push(&second, "prod/app:v1"),
        docker.client().run(&["push", &reference]),
        crane().run(&["push", &layout, &reference]),
        podman.run(&["push", PLAIN, &other, &reference]),
    ] {
        let said = refused.refused();
        for part in ["denied", "v1", &before, "immutable", ".yml:"] {
            let found = said.to_lowercase().contains(&part.to_lowercase());
            assert!(found, "{part} is not in {said}");
        }
    }
    assert_eq!(world.digest("prod/app:v1"), before);
    let refused = world.run(&["delete", &reference]);
    assert!(refused.refused().contains("immutable"), "{refused:?}");
    // What the rule excepts moves.
    world.push(&first, "prod/app:v2-dev").succeeded();
    world.push(&second, "prod/app:v2-dev").succeeded();
    // Each refusal is in the audit table.
    let file = world.config();
    wait_until(|| {
        let events = world.run(&["audit", "list", &file, "--json"]);
        events.succeeded().contains("tag_refused")
    });
}

#[test]
fn rules_in_the_database_count_at_once() {
    let world = World::start("");
    let (first, second) = (Image::saying("first"), Image::saying("second"));
    world.push(&first, "team/app:1.0").succeeded();
    world.push(&second, "team/app:1.0").succeeded();
    let wrong = world.immutable("add", &["--repository", "^team/", "--tag", "*"]);
    assert!(wrong.refused().contains("character 1"), "{wrong:?}");
    let added = world.immutable(
        "add",
        &[
            "--repository",
            "team/*",
            "--tag",
            "[0-9]*",
            "--except",
            "*-rc?",
        ],
    );
    assert!(added.succeeded().starts_with("rule 1 added"), "{added:?}");
    let refused = world.push(&first, "team/app:1.0");
    assert!(
        refused.refused().contains("rule 1 of the database"),
        "{refused:?}"
    );
    world.push(&first, "team/app:1.0-rc1").succeeded();
    world.push(&second, "team/app:1.0-rc1").succeeded();
    let listed = world.immutable("list", &[]);
    assert_eq!(
        listed.succeeded(),
        "NUMBER  REPOSITORY  TAG     EXCEPT\n1       team/*      [0-9]*  *-rc?"
    );
    for (image, says, code) in [
        ("team/app:2", "rule 1 of the database", 0),
        ("team/app:2-rc1", "not immutable", 1),
        ("prod/app:v7", ".yml:", 0),
        ("prod/app:v7-dev", "not immutable", 1),
    ] {
        let checked = world.immutable("check", &[image]);
        assert!(checked.stdout.contains(says), "{image}: {checked:?}");
        assert_eq!(checked.status.code(), Some(code), "{image}");
    }
    world.immutable("remove", &["1"]).succeeded();
    let gone = world.immutable("remove", &["1"]);
    assert!(gone.refused().contains("no rule"), "{gone:?}");
    for _ in 0..50 {
        if world.push(&first, "team/app:1.0").status.success() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    world.push(&second, "team/app:1.0").succeeded();
    let file = world.config();
    let log = world.run(&["audit", "list", &file]);
    for action in ["immutable_tags.add", "immutable_tags.remove"] {
        assert!(log.succeeded().contains(action), "{log:?}");
    }
}

#[test]
fn a_tag_goes_back_to_an_earlier_digest() {
    let world = World::start("");
    let host = world.server.host_port();
    let (first, second) = (Image::saying("first"), Image::saying("second"));
    world.push(&first, "team/app:latest").succeeded();
    let old = world.digest("team/app:latest");
    world.push(&second, "team/app:latest").succeeded();
    let new = world.digest("team/app:latest");
    let image = format!("{host}/team/app");
    let history = || {
        let shown = world.run(&["history", &image, "--json"]);
        let shown: Value = serde_json::from_str(shown.succeeded()).unwrap();
        let changes = shown["history"].as_array().unwrap().clone();
        let ends = |name: &str, change: &Value| change[name].as_str().map(str::to_owned);
        let changes = changes.iter();
        changes
            .map(|change| (ends("from", change), ends("to", change)))
            .collect::<Vec<_>>()
    };
    let some = |digest: &String| Some(digest.clone());
    assert_eq!(history(), [(some(&old), some(&new)), (None, some(&old))]);
    let shown = world.run(&["history", &image]);
    assert!(shown.succeeded().starts_with("TIME"), "{shown:?}");
    let restored = world.run(&["restore", &format!("{image}:latest@{old}")]);
    assert_eq!(restored.succeeded(), format!("{image}:latest@{old}"));
    assert_eq!(world.digest("team/app:latest"), old);
    assert_eq!(history()[0], (some(&new), some(&old)));
    // Without the content, without a tag, and for an immutable tag: in words.
    let missing = format!("sha256:{}", "0".repeat(64));
    let refused = world.run(&["restore", &format!("{image}:latest@{missing}")]);
    assert!(
        refused.refused().contains("push the image again"),
        "{refused:?}"
    );
    let refused = world.run(&["restore", &format!("{image}@{old}")]);
    assert!(
        refused.refused().contains("HOST/NAME:TAG@DIGEST"),
        "{refused:?}"
    );
    world.push(&first, "prod/app:v1").succeeded();
    world.push(&second, "prod/app:other").succeeded();
    let refused = world.run(&["restore", &format!("{host}/prod/app:v1@{new}")]);
    assert!(refused.refused().contains("immutable"), "{refused:?}");
    let never = world.run(&["history", &format!("{image}:never")]);
    assert!(never.refused().contains("not found"), "{never:?}");
    let digest = world.run(&["history", &format!("{image}@{old}")]);
    assert!(digest.refused().contains("no history"), "{digest:?}");
}

#[test]
fn a_history_can_be_off() {
    let world = World::start("  tag_history: {enabled: false}\n");
    world.push(&Image::saying("one"), "a:1").succeeded();
    let url = world.server.url("/v2/a/_wharfinger/tags/history?tag=1");
    let shown: Value = serde_json::from_str(&http::get(&url).body).unwrap();
    assert_eq!(shown["history"].as_array().unwrap().len(), 0);
    assert!(world.directory.path().join("data").is_dir());
}
