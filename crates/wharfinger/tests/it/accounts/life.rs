//! Accounts from `user add` to `user remove`, with the clients that use them.

use std::path::Path;

use peers::{Server, TestCertificate, TestKeyKind, wait_until};

use super::{Installation, PROGRAM, SCOPE};

#[test]
fn an_account_lives_and_ends_by_commands_beside_the_server() {
    let installation = Installation::new("");
    assert_eq!(installation.token("bob", "sesame", SCOPE).status, 401);
    let added = installation.json(
        &["user", "add"],
        &["bob", "--label", "team=red", "--password-stdin"],
        "sesame\n",
    );
    assert_eq!(
        (&added["name"], &added["disabled"]),
        (&"bob".into(), &false.into())
    );
    assert_eq!(added["labels"]["team"][0], "red");
    // The login needs no second: it reads the account.
    assert_eq!(installation.token("bob", "sesame", SCOPE).status, 200);
    assert_eq!(installation.token("bob", "wrong", SCOPE).status, 401);
    assert_eq!(installation.granted("bob", "sesame", SCOPE), "");

    // A rule opens a repository, and its removal closes it.
    let rule = installation.json(
        &["rule", "add"],
        &[
            "--label",
            "team=red",
            "--name",
            "${account}/*",
            "--actions",
            "pull,push",
        ],
        "",
    );
    assert_eq!(rule["match"]["labels"]["team"], "red");
    wait_until(|| installation.granted("bob", "sesame", SCOPE) == SCOPE);
    wait_until(|| installation.server.log().contains("rule#1"));
    let explained = installation.run(&["explain"], &["--account", "bob", SCOPE], "");
    assert!(explained.succeeded().contains("decided by rule#1"));

    // The session of a disabled account ends, and stays ended.
    let session = installation.session("bob", "sesame");
    assert_eq!(installation.refresh(&session), 200);
    installation
        .run(&["user", "disable"], &["bob"], "")
        .succeeded();
    assert_eq!(installation.refresh(&session), 401);
    wait_until(|| installation.token("bob", "sesame", SCOPE).status == 401);
    let sessions = installation.run(&["sessions", "list"], &[], "");
    let sessions = sessions.succeeded();
    assert!(!sessions.contains("bob"), "{sessions}");
    installation
        .run(&["user", "enable"], &["bob"], "")
        .succeeded();
    assert_eq!(installation.token("bob", "sesame", SCOPE).status, 200);
    assert_eq!(installation.refresh(&session), 401);

    let session = installation.session("bob", "sesame");
    installation
        .run(&["user", "passwd"], &["bob", "--password-stdin"], "other")
        .succeeded();
    assert_eq!(installation.refresh(&session), 401);
    wait_until(|| installation.token("bob", "sesame", SCOPE).status == 401);
    assert_eq!(installation.token("bob", "other", SCOPE).status, 200);

    installation
        .run(&["user", "label"], &["bob", "team=blue", "site=oslo"], "")
        .succeeded();
    wait_until(|| installation.granted("bob", "other", SCOPE).is_empty());
    let session = installation.session("bob", "other");
    installation
        .run(&["user", "remove"], &["bob"], "")
        .succeeded();
    assert_eq!(installation.refresh(&session), 401);
    wait_until(|| installation.token("bob", "other", SCOPE).status == 401);

    let log = installation.run(&["audit", "changes"], &["--json"], "");
    let log = log.succeeded();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let actions: Vec<_> = lines
        .iter()
        .map(|line| line["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "user.add",
            "rule.add",
            "user.disable",
            "user.enable",
            "user.passwd",
            "user.label",
            "user.remove"
        ]
    );
    for line in &lines {
        assert_eq!(line["origin"], "command");
        assert!(line["actor"].as_str().unwrap().contains("uid "), "{line}");
    }
    assert!(!log.contains("sesame") && !log.contains("argon2"), "{log}");
    let text = installation.run(&["audit", "changes"], &["--object", "rule 1"], "");
    assert_eq!(text.succeeded().lines().count(), 2);
}

#[test]
fn another_person_of_a_removed_account_s_name_does_not_get_its_tokens() {
    let installation = Installation::new("");
    installation.add("bob", "first password");
    let options = ["--user", "bob", "--name", "laptop", "--unlimited"];
    let created = installation.json(&["personal-token", "create"], &options, "");
    let secret = created["secret"].as_str().unwrap();
    assert_eq!(installation.token("bob", secret, "").status, 200);
    installation
        .run(&["user", "remove"], &["bob"], "")
        .succeeded();
    installation.add("bob", "second password");
    assert_eq!(installation.token("bob", "second password", "").status, 200);
    wait_until(|| installation.token("bob", secret, "").status == 401);
}

#[test]
fn the_database_alone_can_have_all_accounts_and_rules() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let config = format!(
        "server: {{addr: '@addr@'}}\ntoken: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         database: {{url: 'sqlite://{}'}}\naccounts: {{}}\n",
        pair.certificate.display(),
        pair.key.display(),
        folder.path().join("wharfinger.db").display(),
    );
    let server = Server::start(Path::new(PROGRAM), &config);
    let installation = Installation {
        file: server.config(),
        server,
        _folder: folder,
    };
    installation.add("bob", "sesame");
    assert_eq!(installation.token("bob", "sesame", SCOPE).status, 200);
    let tried = installation.run(&["check"], &["--connect"], "");
    let tried = tried.succeeded();
    assert!(
        tried.contains("accounts: 1 accounts in the database"),
        "{tried}"
    );
    assert!(
        tried.contains("accounts: 0 rules in the database"),
        "{tried}"
    );
    let printed = installation.run(&["check"], &["--print"], "");
    let printed = printed.succeeded();
    assert!(printed.contains("accounts:\n  enabled: true"), "{printed}");
}
