//! The dashboard and the alerts of `deploy/prometheus`: every metric that they name exists.

use std::collections::BTreeSet;
use std::path::PathBuf;

use peers::{TestPostgresDatabase, http, promtool};
use serde_json::Value;

use super::{Measured, TOKEN};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(directory().join(name)).unwrap()
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| {
        ["registry_", "wharfinger_", "process_"]
            .iter()
            .any(|prefix| word.starts_with(prefix))
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

/// The expressions of a dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "expr" => found.push(text.clone()),
                    member => expressions(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn promtool_accepts_the_alerts_and_their_tests() {
    let checked = promtool(&directory(), &["check", "rules", "alerts.yml"]);
    assert!(checked.status.success(), "{checked}");
    let tested = promtool(&directory(), &["test", "rules", "alerts-test.yml"]);
    assert!(tested.status.success(), "{tested}");
    let rules = read("alerts.yml");
    let tests = read("alerts-test.yml");
    for line in rules.lines() {
        if let Some((_, name)) = line.split_once("- alert: ") {
            assert!(tests.contains(name), "{name} has no test");
        }
    }
}

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_exists() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let mut all = Vec::new();
    expressions(&dashboard, &mut all);
    assert!(all.len() > 40, "{}", all.len());
    // The operator who imports it chooses the data source.
    for panel in dashboard["panels"].as_array().unwrap() {
        let source = &panel["datasource"]["uid"];
        assert!(
            panel["type"] == "row" || source == "${datasource}",
            "{panel}"
        );
    }
    let mut wanted = named(&all.join("\n"));
    let alerts = read("alerts.yml");
    for line in alerts
        .lines()
        .filter(|line| !line.contains("summary:") && !line.contains("description:"))
    {
        wanted.extend(named(line));
    }
    let file = Measured::start(&format!("token: {TOKEN}"), None);
    let database = TestPostgresDatabase::create();
    let server = Measured::start(&format!("token: {TOKEN}"), Some(&database.url()));
    let mut scrapes = String::new();
    for measured in [&file, &server] {
        measured.push_and_pull("app");
        let login = format!(
            "Authorization: Bearer {}",
            measured.token("repository:app:pull")
        );
        let url = measured.server.url("/v2/other/manifests/latest");
        assert_eq!(http::request(&["-H", &login, &url]).status, 401);
        scrapes += &measured.scrape(&[]).body;
    }
    let exists = |name: &String| {
        let mut lines = scrapes.lines();
        lines.any(|line| {
            let rest = line.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        })
    };
    let missing: Vec<_> = wanted.iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "{missing:?}\n{scrapes}");
}
