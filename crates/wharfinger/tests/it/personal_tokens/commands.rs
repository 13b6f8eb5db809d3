//! The commands beside a running server.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use peers::wait_until;

use super::{add_robot, command, create_token, granted, json, printed, rejected};
use crate::e2e::ours::Ours;

const APP: &str = "scope=repository:team/app:pull,push,delete&scope=repository:team/other:pull";

#[test]
fn robots_from_the_first_secret_to_the_end() {
    let ours = Ours::start();
    let text = command(
        &ours,
        &[
            "robot",
            "add",
            "FILE",
            "ci",
            "--scope",
            "repository:team/app:pull,push",
            "--registry",
            "r.example",
        ],
    );
    let text = text.succeeded().to_owned();
    let secret = text.lines().next().unwrap();
    for line in [
        &format!("  printf %s '{secret}' | docker login r.example -u 'robot+ci' --password-stdin"),
        "  metadata: {name: pull-robot-ci}",
        "  type: kubernetes.io/dockerconfigjson",
        "    with: {registry: r.example, username: \"robot+ci\", password: \"${{ secrets.REGISTRY_TOKEN }}\"}",
        "    - printf %s \"$REGISTRY_TOKEN\" | docker login r.example -u 'robot+ci' --password-stdin",
    ] {
        assert!(
            text.lines().any(|printed| printed == line),
            "{line} in\n{text}"
        );
    }
    assert_eq!(granted(&ours, secret, APP), "repository:team/app:pull,push");

    let list = command(&ours, &["robot", "list", "FILE"]);
    let list = list.succeeded();
    assert!(
        !list.contains(secret) && list.contains("robot+ci  (system)"),
        "{list}"
    );
    let shown = json(&ours, &["robot", "show", "FILE", "robot+ci"]);
    assert_eq!(shown[0]["ceiling"][0]["name"], "team/app");

    command(&ours, &["robot", "disable", "FILE", "ci"]).succeeded();
    assert_eq!(rejected(&ours, secret), "the robot is disabled");
    command(&ours, &["robot", "enable", "FILE", "ci"]).succeeded();
    granted(&ours, secret, APP);

    let second = printed(&ours, &["robot", "rotate", "FILE", "ci", "--overlap", "1h"]);
    granted(&ours, secret, APP);
    granted(&ours, &second.secret, APP);
    let third = printed(&ours, &["robot", "rotate", "FILE", "ci"]);
    assert_eq!(
        rejected(&ours, secret),
        "the token has expired: ask for a new one"
    );
    assert_eq!(
        rejected(&ours, &second.secret),
        "the token has expired: ask for a new one"
    );
    granted(&ours, &third.secret, APP);

    command(&ours, &["robot", "remove", "FILE", "ci"]).succeeded();
    assert_eq!(
        rejected(&ours, &third.secret),
        "the token was revoked: ask for a new one"
    );
    let again = command(&ours, &["robot", "remove", "FILE", "ci"]);
    assert!(
        again.refused().contains("there is no robot robot+ci"),
        "{again}"
    );
    assert_eq!(
        json(&ours, &["robot", "list", "FILE", "--json"]),
        serde_json::json!([])
    );
}

#[test]
fn personal_tokens_one_and_all_of_a_person() {
    let ours = Ours::start();
    let scope = ["--scope", "repository:team/*:pull"];
    let laptop = create_token(&ours, "admin", "laptop", &scope);
    let desk = create_token(&ours, "admin", "desk", &["--unlimited"]);
    let reader = create_token(&ours, "reader", "laptop", &["--unlimited", "--ttl", "2h"]);
    assert_eq!(
        granted(&ours, &laptop.secret, APP),
        "repository:team/app:pull repository:team/other:pull"
    );
    assert_eq!(
        granted(&ours, &desk.secret, APP),
        "repository:team/app:delete,pull,push repository:team/other:pull"
    );
    assert_eq!(
        granted(&ours, &reader.secret, "scope=repository:team/app:pull,push"),
        "repository:team/app:pull",
        "no more than the owner may"
    );
    let listed = json(
        &ours,
        &[
            "personal-token",
            "list",
            "FILE",
            "--user",
            "admin",
            "--json",
        ],
    );
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|token| &token["name"])
        .collect();
    assert_eq!(names, ["desk", "laptop"]);

    let rotated = printed(&ours, &["personal-token", "rotate", "FILE", &laptop.id]);
    assert_eq!(rotated.account, "admin");
    assert_eq!(
        rejected(&ours, &laptop.secret),
        "the token has expired: ask for a new one"
    );
    granted(&ours, &rotated.secret, APP);
    let revoke = ["personal-token", "revoke", "FILE"];
    let one = command(&ours, &[&revoke[..], &["--id", &desk.id]].concat());
    assert_eq!(one.succeeded(), "1 personal token revoked");
    let words = "the token was revoked: ask for a new one";
    assert_eq!(rejected(&ours, &desk.secret), words);
    let all = command(&ours, &[&revoke[..], &["--user", "admin"]].concat());
    assert_eq!(all.succeeded(), "1 personal token revoked");
    assert_eq!(rejected(&ours, &rotated.secret), words);
    granted(&ours, &reader.secret, APP);
    let none = command(&ours, &[&revoke[..], &["--id", &desk.id]].concat());
    assert!(
        none.refused().contains("or it was revoked already"),
        "{none}"
    );
}

#[test]
fn what_cannot_be_is_refused_with_words() {
    let ours = Ours::start();
    let create = [
        "personal-token",
        "create",
        "FILE",
        "--name",
        "x",
        "--unlimited",
        "--user",
    ];
    for (words, expected) in [
        (
            vec!["robot", "add", "FILE", "ci", "--unlimited"],
            "a robot of the system needs a ceiling",
        ),
        (
            vec!["robot", "add", "FILE", "c i", "--unlimited"],
            "is not a name: write 1 to 64 letters",
        ),
        (
            vec!["robot", "add", "FILE", "ci", "--scope", "team/app"],
            "is not written TYPE:NAME:ACTIONS, such as repository:team/*:pull,push",
        ),
        (
            vec![
                "robot",
                "add",
                "FILE",
                "ci",
                "--scope",
                "a:b:c",
                "--network",
                "10.0.0.0/99",
            ],
            "is neither an IP address nor a network",
        ),
        (
            vec![
                "robot", "add", "FILE", "ci", "--scope", "a:b:c", "--ttl", "400d",
            ],
            "it would last longer than personal_tokens.max_ttl allows (365 days)",
        ),
        (
            [&create[..], &["missing"]].concat(),
            r#"no backend has the account "missing""#,
        ),
        (
            [&create[..], &["robot+ci"]].concat(),
            "a robot cannot own robots or tokens",
        ),
        (
            vec!["personal-token", "rotate", "FILE", "0123"],
            "there is no robot or personal token with this name or id",
        ),
    ] {
        let output = command(&ours, &words);
        assert!(output.refused().contains(expected), "{words:?}: {output}");
    }
}

#[test]
fn a_list_says_who_created_a_token_and_where_it_was_used() {
    let ours = Ours::start();
    let ci = add_robot(&ours, "ci", &["--scope", "repository:team/*:pull"]);
    let list = || json(&ours, &["robot", "list", "FILE", "--json"])[0].clone();
    assert_eq!(
        list()["secrets"][0]["last_used_at"],
        serde_json::Value::Null
    );
    granted(&ours, &ci.secret, "scope=repository:team/app:pull");
    // It is written in the background.
    wait_until(|| list()["secrets"][0]["last_used_at"].is_string());
    let listed = list();
    let secret = &listed["secrets"][0];
    assert_eq!(secret["last_used_from"], "127.0.0.1");
    assert_eq!(secret["last_used_for"], "team/app");
    let by = listed["created_by"].as_str().unwrap();
    assert!(by.starts_with("root (uid 0)"), "{by}");
    let text = command(&ours, &["robot", "list", "FILE"]);
    assert!(
        text.succeeded().contains("from 127.0.0.1 (team/app)"),
        "{text}"
    );
}

#[test]
fn a_killed_command_loses_nothing_that_it_printed() {
    let ours = Ours::start();
    for number in 0..5 {
        let mut add = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
        add.args(["robot", "add"]).arg(ours.config());
        add.args([&format!("ci{number}"), "--scope", "repository:team/*:pull"]);
        let mut add = add.stdout(Stdio::piped()).spawn().unwrap();
        let mut secret = String::new();
        BufReader::new(add.stdout.take().unwrap())
            .read_line(&mut secret)
            .unwrap();
        add.kill().unwrap();
        add.wait().unwrap();
        granted(&ours, secret.trim_end(), "scope=repository:team/app:pull");
    }
}

#[test]
fn explain_shows_the_owner_s_rules_and_the_ceiling() {
    let ours = Ours::start();
    let options = ["--owner", "reader", "--scope", "repository:*/app:pull"];
    let deploy = add_robot(&ours, "deploy", &options);
    let scopes = [
        "repository:reader/app:pull,push",
        "repository:reader/x:pull",
    ];
    let explain = |token: &str, more: &[&str]| {
        let words = ["explain", "FILE", "--token", token];
        command(&ours, &[&words[..], more, &scopes].concat())
    };
    let text = explain("robot+deploy", &[]);
    for line in [
        &format!("robot+deploy (id {}) is owned by reader", deploy.id),
        "  granted: pull",
        "  the ceiling allows: pull (repository:*/app:pull)",
        "  granted: pull, push",
        "  the ceiling allows: nothing (no entry matches)",
    ] {
        let text = text.succeeded();
        assert!(
            text.lines().any(|printed| printed == line),
            "{line} in\n{text}"
        );
    }
    let by_id = explain(&deploy.id, &["--json"]);
    let report: serde_json::Value = serde_json::from_str(by_id.succeeded()).unwrap();
    assert_eq!(report["scopes"][0]["granted"], serde_json::json!(["pull"]));
    assert_eq!(
        report["scopes"][0]["owner"]["granted"],
        serde_json::json!(["pull", "push"])
    );
    assert_eq!(
        report["scopes"][1]["ceiling"]["allows"],
        serde_json::json!([])
    );
    add_robot(&ours, "system", &["--scope", "repository:reader/*:push"]);
    let system = explain("robot+system", &[]);
    let line = "no rule is asked, because the robot is the system's";
    assert!(system.succeeded().contains(line), "{system}");
    command(&ours, &["robot", "disable", "FILE", "deploy"]).succeeded();
    let disabled = explain("robot+deploy", &[]);
    assert!(
        disabled.refused().contains("the robot is disabled"),
        "{disabled}"
    );
    let missing = explain("robot+missing", &[]);
    assert!(
        missing
            .refused()
            .contains("there is no robot or personal token"),
        "{missing}"
    );
}
