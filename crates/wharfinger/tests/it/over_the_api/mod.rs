//! Commands with `--server`: what they print, and what they do with servers that refuse, are away or
//! are something else. Each command runs with FILE on one installation and with `--server` on another,
//! and both must say the same.

mod cases;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use peers::{Output, Server, TestCertificate, TestKeyKind, run_with_input};
use serde_json::Value;
use tempfile::TempDir;

use self::cases::CASES;
use crate::wire::Connection;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// bcrypt of `badmin`.
const ADMIN: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";

/// A server with an API, and the home of a user of commands.
struct Installation {
    server: Server,
    home: TempDir,
}

impl Installation {
    fn new(more: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(TestKeyKind::P256, home.path(), "token");
        let config = format!(
            "server: {{addr: '@addr@'}}\n\
             token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
             users: {{admin: {{password: '{ADMIN}'}}, eve: {{password: '{ADMIN}'}}}}\n\
             acl:\n\
             - match: {{account: admin, type: wharfinger}}\n  actions: ['*']\n\
             - match: {{account: admin}}\n  actions: ['*']\n\
             trust: [{{preset: github, audiences: [registry.example.com], rules: [{{claims: \
             {{repository_id: '7'}}}}]}}]\n\
             database: {{url: 'sqlite://{}'}}\n\
             refresh_tokens: {{}}\npersonal_tokens: {{}}\n{more}",
            pair.certificate.display(),
            pair.key.display(),
            home.path().join("wharfinger.db").display(),
        );
        let server = Server::start(Path::new(PROGRAM), &config);
        Self { server, home }
    }

    fn with_api() -> Self {
        Self::new("api: {}\n")
    }

    fn file(&self) -> PathBuf {
        self.server.config()
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.host_port())
    }

    /// `wharfinger WORDS` in the home of this installation.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words);
        command
            .env("DOCKER_CONFIG", self.home.path())
            .env("HOME", self.home.path())
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("WHARFINGER_TOKEN");
        command
    }

    fn run(&self, words: &[&str], input: &str) -> Output {
        run_with_input(&mut self.command(words), input)
    }

    /// Runs a command with FILE.
    fn with_file(&self, words: &[&str], more: &[&str], input: &str) -> Output {
        let file = self.file();
        self.run(&[words, &[file.to_str().unwrap()], more].concat(), input)
    }

    /// Runs a command with `--server`.
    fn with_server(&self, words: &[&str], more: &[&str], input: &str) -> Output {
        self.run(&[words, &["--server", &self.url()], more].concat(), input)
    }

    fn log_in(&self, user: &str, password: &str) -> Output {
        let words = [
            "login",
            "--server",
            &self.url(),
            "--user",
            user,
            "--password-stdin",
        ];
        self.run(&words, password)
    }

    /// Opens a session for the registry, as `docker login` does.
    fn open_session(&self, user: &str, password: &str) {
        let form = format!(
            "grant_type=password&service=reg&client_id=test&access_type=offline&username={user}&\
             password={password}"
        );
        let mut connection = Connection::open(&self.server.host_port());
        let answer = connection.request("POST", "/auth", &[], Some(&form));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// What a command printed, without what differs between two installations.
    fn normalized(&self, text: &str) -> Vec<String> {
        let (file, url) = (self.file(), self.url());
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = text
            .replace(file.to_str().unwrap(), "PLACE")
            // A server does not tell where its configuration is.
            .replace(name, "PLACE")
            .replace(&format!("--server {url}"), "PLACE")
            .replace(&url, "PLACE")
            .replace("root (uid 0)", "admin")
            .replace("\"origin\":\"command\"", "\"origin\":\"api\"");
        text.lines().map(normalized_line).collect()
    }
}

/// A line without secrets, ids, dates and lengths of time.
fn normalized_line(line: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_+/=-".contains(c);
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let mut shown = String::new();
        for part in word.split_inclusive(|c: char| !is_word(c)) {
            let (text, end) = match part.char_indices().next_back() {
                Some((at, last)) if !is_word(last) => part.split_at(at),
                _ => (part, ""),
            };
            shown += replaced(text);
            shown += end;
        }
        let is_time = matches!(shown.as_str(), "now" | "ago" | "T" | "in");
        if !is_time {
            words.push(shown);
        }
    }
    words.join(" ")
}

fn replaced(text: &str) -> &str {
    let is_hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_date = text.starts_with("20") && text.contains('T');
    let length = text.strip_suffix(['s', 'm', 'h', 'd', 'y']);
    let is_length = length.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    match text {
        _ if text.starts_with("whp_") || text.starts_with("whb_") => "SECRET",
        _ if is_hex && text.len() >= 16 => "ID",
        _ if is_date => "DATE",
        _ if is_length => "T",
        _ if text.len() > 60 => "BASE64",
        // The seconds of a date.
        _ if text.len() == 3 && text.ends_with('Z') => "Z",
        _ if text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()) => "NN",
        _ => text,
    }
}

#[test]
fn every_command_says_the_same_with_file_and_with_server() {
    let (local, remote) = (Installation::with_api(), Installation::with_api());
    remote.log_in("admin", "badmin").succeeded();
    let mut ids = [String::new(), String::new()];
    let mut different = Vec::new();
    for (words, more, input) in CASES {
        if *words == ["sessions", "list"] && !more.contains(&"--json") {
            local.open_session("bob", "other");
            remote.open_session("bob", "other");
        }
        let arguments = |id: &str| -> Vec<String> {
            more.iter().map(|word| word.replace("{id}", id)).collect()
        };
        let (of_local, of_remote) = (arguments(&ids[0]), arguments(&ids[1]));
        let texts = |all: &'_ [String]| -> Vec<&'static str> {
            all.iter().map(|text| &*text.clone().leak()).collect()
        };
        let with_file = local.with_file(words, &texts(&of_local), input);
        let mut with_server = remote.with_server(words, &texts(&of_remote), input);
        let is_same = |with_server: &Output| {
            with_file.status.code() == with_server.status.code()
                && local.normalized(&with_file.stdout) == remote.normalized(&with_server.stdout)
                && local.normalized(&with_file.stderr) == remote.normalized(&with_server.stderr)
        };
        // A server explains by the rules that it has, and knows a change within a second.
        if *words == ["explain"] {
            for _ in 0..100 {
                if is_same(&with_server) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
                with_server = remote.with_server(words, &texts(&of_remote), input);
            }
        }
        if !is_same(&with_server) {
            different.push(format!(
                "{words:?} {more:?}\nFILE: {with_file}\n--server: {with_server}"
            ));
        }
        for (id, output) in ids.iter_mut().zip([&with_file, &with_server]) {
            if let Ok(Value::Object(printed)) = serde_json::from_str(&output.stdout)
                && let Some(Value::String(printed)) = printed.get("id")
            {
                id.clone_from(printed);
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

#[test]
fn a_login_is_stored_for_the_api_alone_and_ends_with_logout() {
    let installation = Installation::with_api();
    let url = installation.url();
    let wrong = installation.log_in("admin", "wrong");
    assert_eq!(wrong.status.code(), Some(4), "{wrong}");
    assert!(wrong.refused().contains("rejects the login"), "{wrong}");
    let config = installation.home.path().join("config.json");
    assert!(!config.exists());

    let told = installation.log_in("admin", "badmin");
    let told = told.succeeded().to_owned();
    assert!(
        told.contains(&format!(
            "logged in to {url} as admin: stored a refresh token"
        )),
        "{told}"
    );
    let stored: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    let auths = stored["auths"].as_object().unwrap();
    let key = format!("wharfinger-api.invalid/{}", installation.server.host_port());
    assert_eq!(auths.keys().collect::<Vec<_>>(), [&key]);
    let token = auths[&key]["identitytoken"].as_str().unwrap().to_owned();
    installation
        .with_server(&["user", "list"], &[], "")
        .succeeded();

    // It opens the API, and no registry.
    for (service, status) in [("wharfinger-api", 200), ("reg", 401)] {
        let form = format!(
            "grant_type=refresh_token&service={service}&client_id=test&refresh_token={token}"
        );
        let mut connection = Connection::open(&installation.server.host_port());
        let answer = connection.request("POST", "/auth", &[], Some(&form));
        assert_eq!(answer.status, status, "{}", answer.body);
    }

    let ended = installation.run(&["logout", "--server", &url], "");
    let told = ended.succeeded();
    assert!(told.contains("revoked the refresh token"), "{told}");
    let gone = installation.with_server(&["user", "list"], &[], "");
    assert_eq!(gone.status.code(), Some(4), "{gone}");
    let words = gone.refused();
    assert!(
        words.contains(&format!("wharfinger login --server {url}")),
        "{words}"
    );
    let form = format!(
        "grant_type=refresh_token&service=wharfinger-api&client_id=test&refresh_token={token}"
    );
    let mut connection = Connection::open(&installation.server.host_port());
    assert_eq!(
        connection.request("POST", "/auth", &[], Some(&form)).status,
        401
    );
}

#[test]
fn a_job_logs_in_with_the_token_of_its_environment() {
    let installation = Installation::with_api();
    let scope = "wharfinger:users:read";
    let add = ["ci", "--scope", scope, "--json"];
    let added = installation.with_file(&["robot", "add"], &add, "");
    let added: Value = serde_json::from_str(added.succeeded()).unwrap();
    let secret = added["secret"].as_str().unwrap();
    let url = installation.url();
    let run = |words: &[&str]| {
        let mut command = installation.command(&[words, &["--server", &url]].concat());
        run_with_input(command.env("WHARFINGER_TOKEN", secret), "")
    };
    let listed = run(&["user", "list", "--json"]);
    assert_eq!(listed.succeeded(), "[]");
    // Its ceiling has one right.
    let denied = run(&["user", "remove", "bob"]);
    let words = denied.refused();
    let shown = run(&["user", "list", "--trace"]);
    assert!(
        shown.stderr.contains("requested  wharfinger:users:read"),
        "{shown}"
    );
    for text in [&shown.stdout, &shown.stderr] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(!words.contains(secret), "{words}");
    let denied = run(&["rule", "list"]);
    assert_eq!(denied.status.code(), Some(5), "{denied}");
    let words = denied.refused();
    for part in [
        "the right wharfinger:rules:read is missing",
        "`wharfinger rule add FILE --account NAME --type wharfinger --name rules --actions read`",
        "among its scopes",
    ] {
        assert!(words.contains(part), "{part} in {words}");
    }
}

#[test]
fn an_account_without_a_rule_is_told_which_one_is_missing() {
    let installation = Installation::with_api();
    installation.log_in("eve", "badmin").succeeded();
    let denied = installation.with_server(&["user", "add"], &["bob", "--password-stdin"], "sesame");
    assert_eq!(denied.status.code(), Some(5), "{denied}");
    let words = denied.refused();
    let rule = "--account eve --type wharfinger --name users --actions read`";
    assert!(
        words.contains("eve may not do this") && words.contains(rule),
        "{words}"
    );
    // What is one's own needs no rule.
    let own = installation.with_server(&["personal-token", "list"], &["--json"], "");
    assert_eq!(own.succeeded(), "[]");
    let sessions = installation.with_server(&["sessions", "list"], &["--json"], "");
    let sessions: Value = serde_json::from_str(sessions.succeeded()).unwrap();
    assert_eq!(sessions[0]["account"], "eve");
    let ended = installation.with_server(&["sessions", "revoke"], &["--user", "eve"], "");
    assert_eq!(ended.succeeded(), "1 session revoked");
}

#[test]
fn a_server_without_an_api_is_named() {
    let off = Installation::new("api: {enabled: false}\n");
    let told = off.with_server(&["user", "list"], &[], "");
    assert_eq!(told.status.code(), Some(3), "{told}");
    let words = told.refused();
    assert!(
        words.contains("has no API") && words.contains("section `api`"),
        "{words}"
    );
    let url = off.url();
    drop(off);
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    command
        .args(["user", "list", "--server", &url])
        .env("DOCKER_CONFIG", home.path());
    let away = run_with_input(&mut command, "");
    assert_eq!(away.status.code(), Some(7), "{away}");
}

#[test]
fn a_command_line_has_file_or_server() {
    let run = |words: &[&str]| {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(words).env("DOCKER_CONFIG", home.path());
        run_with_input(&mut command, "")
    };
    for (words, said) in [
        (
            &["user", "show"][..],
            "wharfinger user show [OPTIONS] --server <URL> <NAME>",
        ),
        (&["user", "show", "bob"], "<NAME>"),
        (&["user", "show", "--server", "https://a.example"], "<NAME>"),
        (
            &[
                "user",
                "show",
                "--server",
                "https://a.example",
                "FILE",
                "bob",
            ],
            "unexpected argument 'bob'",
        ),
        (
            &["user", "show", "--server", "a.example", "bob"],
            "is not a URL: write https://",
        ),
        (
            &["user", "show", "--server=http://a.example", "bob"],
            "only a server on this machine",
        ),
        (
            &[
                "user",
                "show",
                "--server",
                "https://a:secret@a.example",
                "bob",
            ],
            "has a user, a query",
        ),
        (
            &["user", "show", "https://a.example", "bob"],
            "write --server https://a.example",
        ),
        (
            &["user", "show", "file.yml", "bob", "--trace"],
            "--server <URL>",
        ),
        (
            &[
                "explain",
                "--server",
                "https://a.example",
                "--account",
                "a",
                "--password-stdin",
                "a:b:c",
            ],
            "cannot be used with",
        ),
        (
            &[
                "personal-token",
                "create",
                "file.yml",
                "--name",
                "x",
                "--unlimited",
            ],
            "--user <ACCOUNT>",
        ),
        (&["login"], "--server <URL>"),
        (
            &["login", "--server", "https://a.example", "a.example"],
            "unexpected argument",
        ),
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output}");
        let refused = output.refused();
        assert!(refused.contains(said), "{words:?}: {refused}");
    }
    let help = run(&["user", "show", "--help"]);
    let help = help.succeeded();
    assert!(
        help.contains("wharfinger user show [OPTIONS] <FILE> <NAME>"),
        "{help}"
    );
    assert!(
        help.contains("wharfinger user show [OPTIONS] --server <URL> <NAME>")
            || help.contains("wharfinger user show [OPTIONS] --server <URL> <NAME>"),
        "{help}"
    );
}
