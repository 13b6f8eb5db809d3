//! `wharfinger registry retention` and `undelete`, beside a running server.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use peers::{Image, Output, Server, http};
use serde_json::Value;
use tempfile::TempDir;

use super::world::push;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Longer than the grace time.
const GRACE: Duration = Duration::from_secs(3);

struct Retained {
    server: Server,
    _folder: TempDir,
}

impl Retained {
    /// A registry whose tags go by these rules, but not by themselves.
    fn with_rules(rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        let config = format!(
            "server: {{addr: '@addr@'}}\n\
             database: {{url: 'sqlite://{root}/wharfinger.db'}}\n\
             registry:\n  storage: {{filesystem: {{root: {root}/content}}}}\n  auth: {{none: true}}\n  \
             gc: {{grace: 1s}}\n  retention: {{schedule: off, rules: [{rules}]}}\n\
             audit: {{flush: 100ms}}\n"
        );
        Self {
            server: Server::start(Path::new(PROGRAM), &config),
            _folder: folder,
        }
    }

    /// Ends the server, which writes what it has in memory, and starts it again.
    fn restart(mut self) -> Self {
        let text = std::fs::read_to_string(self.server.config()).unwrap();
        let text = text.replace(&self.server.host_port(), "@addr@");
        assert!(self.server.terminate().success());
        Self {
            server: Server::start(Path::new(PROGRAM), &text),
            ..self
        }
    }

    fn push(&self, text: &str, name: &str) {
        push(&Image::saying(text), &self.server.host_port(), name);
    }

    fn manifest(&self, repository: &str, reference: &str) -> http::Answer {
        let path = format!("/v2/{repository}/manifests/{reference}");
        http::get(&self.server.url(&path))
    }

    fn run(&self, words: &[&str]) -> Output {
        let file = self.server.config();
        let words = words.iter().map(|word| match *word {
            "FILE" => file.to_str().unwrap(),
            word => word,
        });
        peers::run(Command::new(PROGRAM).args(words))
    }

    /// The lines of a command that prints JSON, and the last of them.
    fn lines(&self, words: &[&str]) -> (Vec<Value>, Value) {
        let words = [&["registry", "retention"], words, &["--json"]].concat();
        let printed = self.run(&words);
        let lines = printed.succeeded().lines();
        let mut lines: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let total = lines.pop().unwrap();
        (lines, total["total"].clone())
    }

    fn events(&self, kind: &str) -> Vec<Value> {
        let exported = self.run(&["audit", "export", "FILE", "--event", kind]);
        let lines = exported.succeeded().lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn wait_for(&self, kind: &str, count: usize) -> Vec<Value> {
        loop {
            let events = self.events(kind);
            if events.len() >= count {
                return events;
            }
            sleep(Duration::from_millis(50));
        }
    }
}

/// The tags of lines with this action.
fn tags(lines: &[Value], action: &str) -> BTreeSet<String> {
    let lines = lines.iter().filter(|line| line["action"] == action);
    lines
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            format!("{}:{}", text("repository"), text("tag"))
        })
        .collect()
}

fn set(tags: &[&str]) -> BTreeSet<String> {
    tags.iter().map(|tag| (*tag).to_owned()).collect()
}

#[test]
fn tags_go_by_a_plan_and_come_back_as_they_were() {
    let registry = Retained::with_rules("{repositories: 'team/**', keep: {newest_versions: 1}}");
    registry.push("old", "team/app:1.0");
    registry.push("new", "team/app:1.1");
    registry.push("old", "team/app:latest");
    registry.push("old", "other/app:1.0");
    sleep(GRACE);

    let (planned, total) = registry.lines(&["plan", "FILE"]);
    assert_eq!(planned.len(), 4);
    assert_eq!(tags(&planned, "remove"), set(&["team/app:1.0"]));
    // No rule speaks of `other/app`.
    let counted = |total: &Value| (total["repositories"].clone(), total["tags"].clone());
    let planned_total = counted(&total);
    assert_eq!(planned_total, (1.into(), 3.into()));
    assert_eq!(total["remove"], 1);
    // The other tag of its manifest stays.
    assert!(planned.iter().all(|line| line["size"].is_null()));
    let before = registry.manifest("team/app", "1.0");
    assert_eq!(before.status, 200, "a plan changes nothing");
    let text = registry.run(&["registry", "retention", "plan", "FILE", "team/app"]);
    let text = text.succeeded();
    assert!(
        text.contains("remove team/app:1.0: rule 1 does not keep it\n"),
        "{text}"
    );
    assert!(
        text.contains("keep team/app:1.1: rule 1 keeps the newest 1 versions\n"),
        "{text}"
    );
    assert!(
        text.contains("keep team/app:latest: no rule speaks of it\n"),
        "{text}"
    );
    for command in ["plan", "run"] {
        let unknown = registry.run(&["registry", "retention", command, "FILE", "team/nothing"]);
        assert_eq!(unknown.status.code(), Some(2), "{unknown}");
        let message = "the registry has no repository team/nothing";
        assert!(unknown.stderr.contains(message), "{unknown}");
    }

    let (done, total) = registry.lines(&["run", "FILE"]);
    assert_eq!(tags(&done, "removed"), tags(&planned, "remove"));
    assert_eq!(counted(&total), planned_total, "a run counts as its plan");
    assert_eq!(
        (&total["removed"], &total["skipped"]),
        (&1.into(), &0.into())
    );
    assert_eq!(registry.manifest("team/app", "1.0").status, 404);
    assert_eq!(registry.manifest("team/app", "latest").body, before.body);
    let digest = done[0]["digest"].as_str().unwrap();
    assert_eq!(registry.manifest("team/app", digest).body, before.body);
    assert_eq!(registry.manifest("other/app", "1.0").status, 200);
    let removed = registry.wait_for("tag_removed_by_retention", 1);
    assert_eq!(removed[0]["reason"], "rule 1 does not keep it");
    assert_eq!(
        (&removed[0]["tag"], &removed[0]["digest"]),
        (&"1.0".into(), &digest.into())
    );

    let listed = registry.run(&["registry", "undelete", "FILE"]);
    assert!(
        listed
            .succeeded()
            .contains(&format!("team/app:1.0@{digest} removed "))
    );
    let restored = registry.run(&["registry", "undelete", "FILE", "team/app:1.0"]);
    assert_eq!(restored.succeeded(), format!("team/app:1.0@{digest}"));
    assert_eq!(registry.manifest("team/app", "1.0").body, before.body);
    assert_eq!(registry.wait_for("tag_restored", 1)[0]["tag"], "1.0");
    let again = registry.run(&["registry", "undelete", "FILE", "team/app:1.0"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        again.stderr.contains("nothing is left of team/app:1.0"),
        "{}",
        again.stderr
    );

    sleep(GRACE);
    registry.lines(&["run", "FILE", "team/app"]);
    registry.push("other", "team/app:1.0");
    let refused = registry.run(&["registry", "undelete", "FILE", "team/app:1.0"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        refused.stderr.contains("there is a tag team/app:1.0 again"),
        "{}",
        refused.stderr
    );
    let renamed = [
        "registry",
        "undelete",
        "FILE",
        "team/app:1.0",
        "--as",
        "old",
        "--json",
    ];
    let renamed: Value = serde_json::from_str(registry.run(&renamed).succeeded()).unwrap();
    assert_eq!(
        (&renamed["tag"], &renamed["digest"]),
        (&"old".into(), &digest.into())
    );
    assert_eq!(registry.manifest("team/app", "old").body, before.body);
    let empty: Value = serde_json::from_str(
        registry
            .run(&["registry", "undelete", "FILE", "--json"])
            .succeeded(),
    )
    .unwrap();
    assert_eq!(empty["tombstones"], Value::Array(Vec::new()));
}

#[test]
fn pulls_by_digest_and_by_head_are_noted_for_the_tag() {
    let registry = Retained::with_rules("{repositories: '**', keep: {pulled_within: 30d}}");
    for tag in ["by-digest", "by-tag", "unused"] {
        registry.push(tag, &format!("app:{tag}"));
    }
    sleep(GRACE);
    let registry = registry.restart();
    let (planned, _) = registry.lines(&["plan", "FILE"]);
    let digest = planned[0]["digest"].as_str().unwrap();
    assert_eq!(registry.manifest("app", digest).status, 200);
    let path = registry.server.url("/v2/app/manifests/by-tag");
    assert_eq!(http::request(&["--head", &path]).status, 200);
    let registry = registry.restart();

    let (planned, total) = registry.lines(&["plan", "FILE"]);
    let pulled = planned.iter().map(|line| line["pulled_at"].is_string());
    assert_eq!(pulled.collect::<Vec<_>>(), [true, true, false]);
    // They are recorded for a few seconds, so nothing goes by them.
    assert_eq!(
        (&total["remove"], &total["waiting"][0]["rule"]),
        (&0.into(), &1.into())
    );
    let text = registry.run(&["registry", "retention", "plan", "FILE"]);
    assert!(
        text.stderr.contains("note: rule 1 removes nothing before "),
        "{}",
        text.stderr
    );
}
