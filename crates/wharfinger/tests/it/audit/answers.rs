//! What `audit list`, `who`, `what` and `export`, the API and `policy diff` answer.

use serde_json::Value;

use super::{Audited, FLUSH};
use crate::personal_tokens::basic;

/// A push, a pull by its tag, one of another manifest, and one without a login.
fn audited() -> Audited {
    let audited = Audited::new(FLUSH);
    let digest = audited.push("public/app", "1", 1);
    audited.push("public/app", "2", 2);
    let eve = audited.bearer(&basic("eve", "badmin"), "repository:public/app:pull");
    assert_eq!(audited.pull(&eve, "public/app", &digest), 200);
    assert_eq!(audited.pull(&eve, "public/app", "2"), 200);
    let anonymous = audited.bearer(&basic("", ""), "repository:public/app:pull");
    assert_eq!(audited.pull(&anonymous, "public/app", "1"), 200);
    audited.wait_for("manifest_pulled", 3);
    audited.wait_for("manifest_pushed", 2);
    audited
}

fn lines(output: &str) -> Vec<Value> {
    output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn commands_say_who_pulled_an_image_and_what_an_account_did() {
    let audited = audited();
    let who = audited.run(&[
        "audit",
        "who",
        "FILE",
        "public/app:1",
        "--event",
        "manifest_pulled",
        "--json",
    ]);
    let pulls = lines(who.succeeded());
    let accounts: Vec<&str> = pulls
        .iter()
        .map(|event| event["account"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(accounts, ["eve", ""], "of the tag and of what it points at");
    let rule = pulls[0]["rule"].as_str().unwrap();
    assert!(rule.contains(".yml:"), "{rule}");
    let table = audited.run(&["audit", "who", "FILE", "public/app:1"]);
    let table = table.succeeded();
    assert!(
        table.starts_with("TIME") && table.lines().next().unwrap().contains("RULE"),
        "{table}"
    );
    assert!(
        table.contains("manifest_pushed") && table.contains(rule),
        "{table}"
    );
    let what = audited.run(&["audit", "what", "FILE", "eve", "--json"]);
    let what = lines(what.succeeded());
    assert!(
        what.iter().all(|event| event["account"] == "eve"),
        "{what:?}"
    );
    let kinds: Vec<&str> = what
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "login_accepted",
            "token_issued",
            "manifest_pulled",
            "manifest_pulled"
        ]
    );
    let list = audited.run(&[
        "audit", "list", "FILE", "--limit", "1", "--json", "--since", "now-1h",
    ]);
    assert_eq!(lines(list.succeeded()).len(), 1);
    let none = audited.run(&["audit", "list", "FILE", "--json", "--until", "now-1h"]);
    assert_eq!(none.succeeded(), "");
    let all = lines(audited.run(&["audit", "export", "FILE"]).succeeded());
    let middle = all[all.len() / 2]["id"].as_i64().unwrap();
    let rest = audited.run(&["audit", "export", "FILE", "--after", &middle.to_string()]);
    let rest = lines(rest.succeeded());
    assert!(
        rest.iter()
            .all(|event| event["id"].as_i64().unwrap() > middle)
    );
    assert_eq!(rest.len(), all.len() - all.len() / 2 - 1);
}

#[test]
fn the_api_answers_as_the_commands_do() {
    let audited = audited();
    let url = "/auth?service=wharfinger-api&scope=wharfinger:audit:read";
    let token = |user: &str| {
        let mut connection = crate::wire::Connection::open(&audited.server.host_port());
        let authorization = basic(user, "badmin");
        let answer = connection.request("GET", url, &[("Authorization", &authorization)], None);
        format!("Bearer {}", answer.json()["token"].as_str().unwrap())
    };
    let admin = token("admin");
    let get = |path: &str| {
        let path = format!("/api/v1/audit/events?{path}");
        audited.send(("GET", &path), &admin, "")
    };
    let refused = audited.send(("GET", "/api/v1/audit/events"), &token("eve"), "");
    assert_eq!(refused.status, 403, "{}", refused.body);
    let page = get("repository=public/app&tag=1&event=manifest_pulled");
    assert_eq!(page.status, 200, "{}", page.body);
    let mut items = page.json()["items"].as_array().unwrap().clone();
    items.reverse();
    let who = audited.run(&[
        "audit",
        "who",
        "FILE",
        "public/app:1",
        "--event",
        "manifest_pulled",
        "--json",
    ]);
    assert_eq!(items, lines(who.succeeded()));
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(&format!("limit=1&account=eve&event=manifest_pulled{after}"));
        let page = page.json();
        ids.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].as_i64().unwrap()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(ids.is_sorted_by(|a, b| a > b));
    for wrong in ["tag=1", "after=x", "since=yesterday", "limit=0", "page=2"] {
        assert_eq!(get(wrong).status, 400, "{wrong}");
    }
}

#[test]
fn rules_are_compared_over_the_recorded_requests() {
    let audited = audited();
    let file = audited.file();
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replace(
        "- match: {account: '/.*/', name: 'public/*'}",
        "- match: {account: bob}",
    );
    assert_ne!(text, changed);
    let new = audited.server.directory().join("new.yml");
    std::fs::write(&new, changed).unwrap();
    let (file, new) = (file.to_str().unwrap(), new.to_str().unwrap());
    let diff = |new: &str| {
        audited.run(&[
            "policy",
            "diff",
            file,
            file,
            new,
            "--requests",
            "database",
            "--json",
        ])
    };
    let same = diff(file);
    let same: Value = serde_json::from_str(same.succeeded()).unwrap();
    assert_eq!(
        (&same["compared"], &same["changes"]),
        (&4.into(), &serde_json::json!([]))
    );
    let differs = diff(new);
    assert_eq!(differs.status.code(), Some(1), "{differs}");
    let report: Value = serde_json::from_str(&differs.stdout).unwrap();
    let changes = report["changes"].as_array().unwrap();
    let lost: Vec<_> = changes
        .iter()
        .map(|change| (&change["account"], &change["loses"][0]))
        .collect();
    assert_eq!(
        lost,
        [
            (&"".into(), &"pull".into()),
            (&"eve".into(), &"pull".into())
        ]
    );
    assert_eq!(changes[1]["scope"], "repository:public/app:pull");
}
