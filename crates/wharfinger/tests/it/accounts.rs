//! Accounts and rules in the database: changed by commands while the server runs, with clients that
//! notice it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use data_encoding::BASE64;
use peers::{Output, Server, TestCertificate, TestKeyKind, run, run_with_input};
use tempfile::TempDir;

use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// bcrypt of `badmin`.
const ADMIN: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";

/// A token server with a database, and the commands beside it.
struct Installation {
    server: Server,
    file: PathBuf,
    _folder: TempDir,
}

impl Installation {
    /// Logins are remembered for an hour, so that only a change of an account ends one.
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = format!(
            "server: {{addr: '@addr@', log: {{format: json}}}}\n\
             token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
             users: {{admin: {{password: '{ADMIN}'}}}}\n\
             acl: [{{match: {{account: admin}}, actions: ['*']}}]\n\
             database: {{url: 'sqlite://{}'}}\nlogin: {{remember: 1h}}\n{more}",
            pair.certificate.display(),
            pair.key.display(),
            folder.path().join("wharfinger.db").display(),
        );
        let server = Server::start(Path::new(PROGRAM), &config);
        Self {
            file: server.config(),
            server,
            _folder: folder,
        }
    }

    /// Runs `wharfinger WORDS… FILE MORE…` with `input`.
    fn run(&self, words: &[&str], more: &[&str], input: &str) -> Output {
        let mut command = command(words, &self.file);
        run_with_input(command.args(more), input)
    }

    /// Runs a command whose JSON is printed.
    fn json(&self, words: &[&str], more: &[&str], input: &str) -> serde_json::Value {
        let more = [more, &["--json"]].concat();
        serde_json::from_str(self.run(words, &more, input).succeeded()).unwrap()
    }

    fn add(&self, name: &str, password: &str) {
        self.run(&["user", "add"], &[name, "--password-stdin"], password)
            .succeeded();
    }

    fn token(&self, account: &str, password: &str, scope: &str) -> Answer {
        let login = BASE64.encode(format!("{account}:{password}").as_bytes());
        let authorization = format!("Basic {login}");
        let headers = [("Authorization", authorization.as_str())];
        let url = format!("/auth?service=reg&scope={scope}");
        Connection::open(&self.server.host_port()).request("GET", &url, &headers, None)
    }

    /// What `account` is granted of `scope`.
    fn granted(&self, account: &str, password: &str, scope: &str) -> String {
        let answer = self.token(account, password, scope);
        answer.json()["scope"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Asks for a token with a refresh token.
    fn refresh(&self, token: &str) -> u16 {
        let form =
            format!("grant_type=refresh_token&service=reg&client_id=test&refresh_token={token}");
        let mut connection = Connection::open(&self.server.host_port());
        connection.request("POST", "/auth", &[], Some(&form)).status
    }

    /// A refresh token, as `docker login` asks for one.
    fn session(&self, account: &str, password: &str) -> String {
        let form = format!(
            "grant_type=password&service=reg&client_id=test&access_type=offline&username={account}&\
             password={password}"
        );
        let mut connection = Connection::open(&self.server.host_port());
        let answer = connection.request("POST", "/auth", &[], Some(&form));
        answer.json()["refresh_token"].as_str().unwrap().to_owned()
    }
}

fn command(words: &[&str], file: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words).arg(file);
    command
}

/// Waits until `condition` holds. The server notices a change within a second.
fn eventually(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

const SCOPE: &str = "repository:bob/app:pull,push";

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
    eventually(|| installation.granted("bob", "sesame", SCOPE) == SCOPE);
    eventually(|| installation.server.log().contains("rule#1"));
    let explained = installation.run(&["explain"], &["--account", "bob", SCOPE], "");
    assert!(explained.succeeded().contains("decided by rule#1"));

    // The session of a disabled account ends, and stays ended.
    let session = installation.session("bob", "sesame");
    assert_eq!(installation.refresh(&session), 200);
    installation
        .run(&["user", "disable"], &["bob"], "")
        .succeeded();
    assert_eq!(installation.refresh(&session), 401);
    eventually(|| installation.token("bob", "sesame", SCOPE).status == 401);
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
    eventually(|| installation.token("bob", "sesame", SCOPE).status == 401);
    assert_eq!(installation.token("bob", "other", SCOPE).status, 200);

    installation
        .run(&["user", "label"], &["bob", "team=blue", "site=oslo"], "")
        .succeeded();
    eventually(|| installation.granted("bob", "other", SCOPE).is_empty());
    let session = installation.session("bob", "other");
    installation
        .run(&["user", "remove"], &["bob"], "")
        .succeeded();
    assert_eq!(installation.refresh(&session), 401);
    eventually(|| installation.token("bob", "other", SCOPE).status == 401);

    let log = installation.run(&["audit", "list"], &["--json"], "");
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
    let text = installation.run(&["audit", "list"], &["--object", "rule 1"], "");
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
    eventually(|| installation.token("bob", secret, "").status == 401);
}

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
fn json_is_json_whatever_a_name_has() {
    let installation = Installation::new("");
    let name = "a\u{202e}b";
    let added = installation.json(&["user", "add"], &[name, "--password-stdin"], "sesame");
    assert_eq!(added["name"], name);
    let rule = ["--account", name, "--deny", "--comment", name];
    let rule = installation.json(&["rule", "add"], &rule, "");
    assert_eq!(
        (&rule["match"]["account"], &rule["comment"]),
        (&name.into(), &name.into())
    );
    assert_eq!(
        installation.json(&["user", "list"], &[], "")[0]["name"],
        name
    );
    assert_eq!(
        installation.json(&["user", "show"], &[name], "")["name"],
        name
    );
    assert_eq!(
        installation.json(&["rule", "list"], &[], "")[0]["comment"],
        name
    );
    let log = installation.run(&["audit", "list"], &["--json"], "");
    for line in log.succeeded().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    let shown = installation.run(&["user", "list"], &[], "");
    assert!(!shown.succeeded().contains('\u{202e}'), "{shown}");
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

#[test]
fn two_commands_at_once_lose_nothing() {
    let installation = Installation::new("");
    let names: Vec<_> = (0..8).map(|n| format!("user{n}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let installation = &installation;
            scope.spawn(move || installation.add(name, "sesame"));
        }
    });
    let listed = installation.json(&["user", "list"], &[], "");
    assert_eq!(listed.as_array().unwrap().len(), names.len());
}

/// Starts a command, reads its first line, and kills it at once.
fn killed(
    installation: &Installation,
    words: &[&str],
    more: &[&str],
    input: &str,
    after: u64,
) -> bool {
    let mut command = command(words, &installation.file);
    let mut child = command
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    std::thread::sleep(Duration::from_millis(after));
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    !output.stdout.is_empty()
}

#[test]
fn what_a_killed_command_has_printed_is_done() {
    let installation = Installation::new("");
    for round in 0..12 {
        let name = format!("user{round}");
        // Up to the whole time that a command takes, hashing among it.
        let after = 40 * round;
        let printed = killed(
            &installation,
            &["user", "add"],
            &[&name, "--password-stdin"],
            "sesame",
            after,
        );
        let listed = installation.run(&["user", "list"], &[], "");
        let listed = listed.succeeded();
        assert!(!printed || listed.contains(&name), "{name}: {listed}");
        let printed = killed(
            &installation,
            &["rule", "add"],
            &["--name", &name, "--deny"],
            "",
            after,
        );
        let listed = installation.run(&["rule", "list"], &[], "");
        let listed = listed.succeeded();
        assert!(!printed || listed.contains(&name), "{name}: {listed}");
    }
    // The log has exactly the changes that are there.
    let count = |words: &[&str]| installation.json(words, &[], "").as_array().unwrap().len();
    let changes = count(&["user", "list"]) + count(&["rule", "list"]);
    let log = installation.run(&["audit", "list"], &["--json"], "");
    let log = log.succeeded();
    assert_eq!(log.lines().count(), changes);
    installation.add("last", "sesame");
    assert_eq!(installation.token("last", "sesame", SCOPE).status, 200);
}

#[test]
fn a_change_of_rules_is_compared_over_the_requests_of_a_log() {
    let installation = Installation::new("");
    installation.add("bob", "sesame");
    installation.token("admin", "badmin", "repository:app:pull,push");
    installation.token("bob", "sesame", SCOPE);
    installation.token("bob", "sesame", SCOPE);
    // The log is written by a thread of its own.
    eventually(|| installation.server.log().matches("\"took_us\"").count() == 3);
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
    assert!(
        refused
            .refused()
            .contains("not recorded in the database yet")
    );
}
