//! Two files of rules, compared over the requests of a log.

use std::fs;

use peers::wait_until;

use super::{Installation, SCOPE};

#[test]
fn a_change_of_rules_is_compared_over_the_requests_of_a_log() {
    let installation = Installation::new("");
    installation.add("bob", "sesame");
    installation.token("admin", "badmin", "repository:app:pull,push");
    installation.token("bob", "sesame", SCOPE);
    installation.token("bob", "sesame", SCOPE);
    // The log is written by a thread of its own.
    wait_until(|| installation.server.log().matches("\"took_us\"").count() == 3);
    let log = installation.server.directory().join("requests.log");
    fs::write(&log, installation.server.log()).unwrap();
    let new = installation.server.directory().join("new.yml");
    let text = fs::read_to_string(&installation.file).unwrap();
    let rules = "acl: [{match: {account: admin}, actions: [pull]}, {match: {account: bob}, actions: ['*']}]";
    let text: Vec<_> = text
        .lines()
        .map(|line| {
            if line.starts_with("acl:") {
                rules
            } else {
                line
            }
        })
        .collect();
    fs::write(&new, text.join("\n")).unwrap();
    let (old, new) = (
        installation.file.display().to_string(),
        new.display().to_string(),
    );
    let log = log.display().to_string();
    let same = installation.run(&["policy", "diff"], &[&old, &old, "--requests", &log], "");
    assert!(
        same.succeeded()
            .starts_with("3 requests compared, 0 of them")
    );
    let differ = installation.run(
        &["policy", "diff"],
        &[&old, &new, "--requests", &log, "--json"],
        "",
    );
    assert_eq!(differ.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_str(&differ.stdout).unwrap();
    let changes = report["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{report}");
    assert_eq!(
        (&changes[0]["account"], &changes[0]["loses"][0]),
        (&"admin".into(), &"push".into())
    );
    assert_eq!(
        (&changes[1]["account"], &changes[1]["requests"]),
        (&"bob".into(), &2.into())
    );
    assert_eq!(changes[1]["gains"], serde_json::json!(["pull", "push"]));
    let refused = installation.run(
        &["policy", "diff"],
        &[&old, &new, "--requests", "database"],
        "",
    );
    let words = "database has no decision about a scope";
    assert!(refused.refused().contains(words), "{refused}");
}
