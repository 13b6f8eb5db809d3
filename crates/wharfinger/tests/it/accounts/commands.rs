//! What the commands refuse, print and need.

use std::fs;

use peers::{TestCertificate, TestKeyKind, run};

use super::{Installation, command};

#[test]
fn what_commands_refuse() {
    let installation = Installation::new("");
    installation.add("bob", "sesame");
    for (words, more, code, said) in [
        (
            &["user", "add"][..],
            &["bob"][..],
            1,
            "the account \"bob\" exists already",
        ),
        (
            &["user", "add"],
            &["admin"],
            1,
            "admin is an account of the configuration already",
        ),
        (&["user", "add"], &["robot+ci"], 2, "reserved for robots"),
        (&["user", "add"], &["a:b"], 2, "a colon"),
        (
            &["user", "add"],
            &["eve", "--password-stdin"],
            2,
            "the password is empty",
        ),
        (
            &["user", "show"],
            &["eve"],
            6,
            "there is no account \"eve\"",
        ),
        (
            &["user", "remove"],
            &["eve"],
            6,
            "there is no account \"eve\"",
        ),
        (&["user", "label"], &["bob"], 2, "LABEL=VALUE"),
        (
            &["user", "label"],
            &["bob", "--remove", "x"],
            2,
            "no label \"x\"",
        ),
        (&["rule", "add"], &["--name", "a"], 2, "--actions"),
        (
            &["rule", "add"],
            &["--name", "/(/", "--deny"],
            2,
            "match.name: the regular expression",
        ),
        (&["rule", "move"], &["1"], 2, "moved nowhere"),
        (
            &["rule", "move"],
            &["1", "--first"],
            6,
            "no rule with the number 1",
        ),
        (&["rule", "remove"], &["1"], 6, "no rule with the number 1"),
    ] {
        let output = installation.run(words, more, "");
        assert_eq!(output.status.code(), Some(code), "{words:?} {more:?}");
        let refused = output.refused();
        assert!(refused.contains(said), "{words:?} {more:?}: {refused}");
    }
    let listed = installation.json(&["user", "list"], &[], "");
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(
        installation.json(&["rule", "list"], &[], ""),
        serde_json::json!([])
    );
}

/// A name may change the direction of a terminal's text, and a comment, too.
#[test]
fn json_is_json_whatever_a_text_has() {
    let installation = Installation::new("");
    let text = "a\u{202e}b";
    // A terminal would show such a name as another.
    let refused = installation.run(&["user", "add"], &[text, "--password-stdin"], "sesame");
    assert_eq!(refused.status.code(), Some(2), "{refused}");
    let label = format!("team={text}");
    let bob = ["bob", "--password-stdin", "--label", &label];
    let added = installation.json(&["user", "add"], &bob, "sesame");
    assert_eq!(added["labels"]["team"][0], text);
    let rule = ["--account", text, "--deny", "--comment", text];
    let rule = installation.json(&["rule", "add"], &rule, "");
    assert_eq!(
        (&rule["match"]["account"], &rule["comment"]),
        (&text.into(), &text.into())
    );
    for command in [["user", "list"], ["rule", "list"]] {
        let list = installation.json(&command, &[], "");
        assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    }
    let log = installation.run(&["audit", "changes"], &["--json"], "");
    for line in log.succeeded().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    for command in [["user", "list"], ["rule", "list"]] {
        let shown = installation.run(&command, &[], "");
        assert!(!shown.succeeded().contains('\u{202e}'), "{shown}");
    }
}

#[test]
fn rules_are_listed_in_their_order_and_a_rule_that_decides_all_is_noted() {
    let installation = Installation::new("");
    let bob = [
        "--account",
        "bob",
        "--name",
        "bob/*",
        "--actions",
        "*",
        "--comment",
        "their own",
    ];
    installation.run(&["rule", "add"], &bob, "").succeeded();
    let noted = installation.run(&["rule", "add"], &["--actions", "pull", "--first"], "");
    assert!(noted.succeeded().starts_with("rule 2 added"));
    let listed = installation.run(&["rule", "list"], &[], "");
    let text = listed.succeeded();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].starts_with("2       {}"), "{text}");
    assert!(lines[2].ends_with(r#"["*"]     their own"#), "{text}");
    installation
        .run(&["rule", "move"], &["2", "--after", "1"], "")
        .succeeded();
    let listed = installation.json(&["rule", "list"], &[], "");
    assert_eq!(
        (&listed[0]["number"], &listed[1]["number"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn commands_need_a_database_that_a_server_has_made() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let file = folder.path().join("c.yml");
    let list = || run(&mut command(&["user", "list"], &file));
    let head = format!(
        "server: {{addr: ':5001'}}\ntoken: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         users: {{'': {{}}}}\nacl: [{{match: {{}}, actions: [pull]}}]\n",
        pair.certificate.display(),
        pair.key.display()
    );
    fs::write(&file, &head).unwrap();
    assert!(list().refused().contains("has no database"));
    let database = folder.path().join("wharfinger.db");
    let with = format!(
        "{head}database: {{url: 'sqlite://{}'}}\n",
        database.display()
    );
    fs::write(&file, &with).unwrap();
    let refused = list().refused();
    assert!(refused.contains("start the server once"), "{refused}");
    assert!(!database.exists());
    // What reads the rules works before the first start.
    let explained = run(command(&["explain"], &file).arg("repository:a:pull"));
    assert!(explained.succeeded().contains("granted: pull"));
    fs::write(&file, format!("{with}accounts: {{enabled: false}}\n")).unwrap();
    let refused = list().refused();
    assert!(
        refused.contains("does not ask the database for accounts")
            || refused.contains("start the server once"),
        "{refused}"
    );
}
