//! Backends outside of the program: the manual's examples, `check --connect`, `explain
//! --password-stdin`, reloads and failures, seen by clients and in the log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use data_encoding::BASE64;
use peers::{
    HttpStub, Output, ScriptServer, Server, StubAnswer, TestCertificate, TestKeyKind,
    run_with_input, wait_until,
};
use tempfile::TempDir;

use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// The rules of every test: each user's own namespace, and that of each team.
const ACL: &str = "acl:\n\
    - {match: {account: \"/.+/\", name: \"${account}/*\"}, actions: [\"*\"]}\n\
    - {match: {name: \"${labels:team}/*\"}, actions: [pull]}\n\
    acl_quote_labels: on\n";

/// A directory with a signing key and the programs of the manual.
struct Bench {
    directory: TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, directory.path(), "token");
        for name in ["accounts.py", "logins.py"] {
            fs::write(directory.path().join(name), example(name)).unwrap();
        }
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn config(&self, sections: &str) -> String {
        let directory = self.path().display();
        format!(
            "server: {{addr: '@addr@', log: {{level: debug}}}}\n\
             token: {{issuer: i, expiration: 900, certificate: {directory}/token.pem, key: {directory}/token.key}}\n\
             {sections}"
        )
        .replace("@directory@", &directory.to_string())
    }

    fn start(&self, sections: &str) -> Server {
        Server::start(Path::new(PROGRAM), &self.config(sections))
    }

    /// A configuration in a file, for commands.
    fn file(&self, sections: &str) -> PathBuf {
        let file = self.path().join("c.yml");
        let config = self.config(sections).replace("@addr@", "127.0.0.1:0");
        fs::write(&file, config).unwrap();
        file
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        run_with_input(command.args(arguments).current_dir(self.path()), input)
    }
}

/// The program of the manual whose first line has this name.
pub(crate) fn example(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/token-server.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("```python\n").skip(1);
    let mut texts = blocks.filter_map(|block| block.split_once("```").map(|(text, _)| text));
    let found = texts.find(|text| text.starts_with(&format!("# {name}:")));
    found
        .unwrap_or_else(|| panic!("the manual has no {name}"))
        .to_owned()
}

/// A login for `scope`, over a connection of its own.
fn log_in(server: &Server, name: &str, password: &str, scope: &str) -> Answer {
    let basic = BASE64.encode(format!("{name}:{password}").as_bytes());
    let headers = [("Authorization", format!("Basic {basic}"))];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let url = format!("/auth?service=s&offline_token=true&scope={scope}");
    Connection::open(&server.host_port()).request("GET", &url, &headers, None)
}

fn refresh(server: &Server, token: &str) -> Answer {
    let body = format!("grant_type=refresh_token&service=s&refresh_token={token}");
    Connection::open(&server.host_port()).request("POST", "/auth", &[], Some(&body))
}

/// What the example's accounts may do, and what the log says of it.
fn serves_the_accounts_of_the_manual(server: &mut Server, backend: &str) {
    let red = log_in(server, "ann", "sesame", "repository:red/app:pull,push");
    assert_eq!(red.status, 200, "{}", server.log());
    assert_eq!(red.json()["scope"], "repository:red/app:pull");
    let own = log_in(server, "ann", "sesame", "repository:ann/app:push");
    assert_eq!(own.json()["scope"], "repository:ann/app:push");
    assert_eq!(log_in(server, "ann", "wrong", "").status, 401);
    assert_eq!(log_in(server, "eve", "sesame", "").status, 401);
    assert_eq!(log_in(server, "bob", "secret", "").status, 200);
    server.wait_for_log("account=\"bob\"");
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("repository:red/app"))
        .unwrap();
    for part in [
        &format!("backend=\"{backend}\""),
        "asked_before=\"users\"",
        "labels=\"team=red\"",
        "wharfinger.yml:",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// `bob` with the password `secret`, and no anonymous access.
const USERS: &str =
    "users: {bob: {password: \"$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay\"}}\n";

#[test]
fn the_manual_s_program_for_lines_checks_logins() {
    let bench = Bench::new();
    let ext_auth =
        "ext_auth: {command: python3, args: [@directory@/logins.py], mode: lines, recheck: true}\n";
    let mut server = bench.start(&format!("{USERS}{ext_auth}{ACL}"));
    serves_the_accounts_of_the_manual(&mut server, "ext_auth");
}

#[test]
fn the_manual_s_server_checks_logins() {
    let bench = Bench::new();
    let text = example("accounts.py").replace("8080", "int(sys.argv[1])");
    fs::write(
        bench.path().join("accounts.py"),
        format!("import sys\n{text}"),
    )
    .unwrap();
    let accounts = ScriptServer::python(bench.path(), "accounts.py");
    let http_auth = format!(
        "http_auth: {{url: \"{}\", recheck: true}}\n",
        accounts.url("/")
    );
    let mut server = bench.start(&format!("{USERS}{http_auth}{ACL}"));
    serves_the_accounts_of_the_manual(&mut server, "http_auth");
}

/// A server of accounts that a test can change: it accepts the password `sesame`.
fn accounts_server(knows: &Arc<AtomicBool>) -> HttpStub {
    let knows = Arc::clone(knows);
    HttpStub::start(move |request| {
        let question: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        let is_right = question["password"] == "sesame" || question["recheck"] == true;
        let is_known = knows.load(Ordering::SeqCst) && question["account"] != "";
        let status = match (is_known, is_right) {
            (false, _) => 404,
            (true, false) => 401,
            (true, true) => 200,
        };
        StubAnswer::Status(status, r#"{"labels": {"team": ["red"]}}"#.into())
    })
}

const REFRESH: &str = "refresh_tokens: {}\ndatabase: {url: 'sqlite://@directory@/w.db'}\n";

#[test]
fn a_session_lives_as_long_as_the_account_if_the_server_rechecks() {
    for rechecks in [true, false] {
        let bench = Bench::new();
        let knows = Arc::new(AtomicBool::new(true));
        let stub = accounts_server(&knows);
        let url = stub.url("/login");
        let server = bench.start(&format!(
            "http_auth: {{url: \"{url}\", recheck: {rechecks}}}\n{ACL}{REFRESH}"
        ));
        let login = log_in(&server, "ann", "sesame", "");
        let token = login.json()["refresh_token"].as_str().unwrap().to_owned();
        assert_eq!(refresh(&server, &token).status, 200);
        knows.store(false, Ordering::SeqCst);
        let expected = if rechecks { 401 } else { 200 };
        assert_eq!(refresh(&server, &token).status, expected);
    }
}

#[test]
fn a_server_that_is_away_is_503_and_one_that_is_back_is_asked() {
    let bench = Bench::new();
    let stub = accounts_server(&Arc::new(AtomicBool::new(true)));
    let url = stub.url("/login");
    let mut server = bench.start(&format!(
        "login: {{remember: 0}}\nhttp_auth: {{url: \"{url}\"}}\n{ACL}"
    ));
    assert_eq!(log_in(&server, "ann", "sesame", "").status, 200);
    let address = stub.stop();
    for _ in 0..7 {
        let answer = log_in(&server, "ann", "sesame", "");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert!(
            !answer.body.contains(&address.port().to_string()),
            "{}",
            answer.body
        );
    }
    server.wait_for_log("a backend keeps failing");
    server.wait_for_log("the connection to http://");
    let _stub = HttpStub::start_at(address, |_| StubAnswer::Status(200, "{}".into()));
    // The circuit is tried again after its pause.
    wait_until(|| log_in(&server, "ann", "sesame", "").status == 200);
    server.wait_for_log("a backend answers again");
}

/// The logins of clients go on while the configuration is read again and again.
#[test]
fn a_reload_fails_no_login() {
    let bench = Bench::new();
    let stub = accounts_server(&Arc::new(AtomicBool::new(true)));
    let url = stub.url("/login");
    let both = format!(
        "login: {{remember: 0}}\n\
         ext_auth: {{command: python3, args: [@directory@/logins.py], mode: lines, concurrency: 4}}\n\
         http_auth: {{url: \"{url}\"}}\n{ACL}"
    );
    let mut server = bench.start(&both);
    let (done, logins) = (AtomicBool::new(false), AtomicUsize::new(0));
    let server_address = server.host_port();
    std::thread::scope(|scope| {
        for name in ["ann", "carl"] {
            let (done, logins, address) = (&done, &logins, &server_address);
            scope.spawn(move || {
                let basic = BASE64.encode(format!("{name}:sesame").as_bytes());
                let headers = [("Authorization", format!("Basic {basic}"))];
                let headers = headers
                    .each_ref()
                    .map(|(name, value)| (*name, value.as_str()));
                while !done.load(Ordering::SeqCst) {
                    let mut connection = Connection::open(address);
                    let answer = connection.request("GET", "/auth?service=s", &headers, None);
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    logins.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let some_logins = || {
            let before = logins.load(Ordering::SeqCst);
            wait_until(|| logins.load(Ordering::SeqCst) >= before + 10);
        };
        for round in 1..=4 {
            some_logins();
            server.hang_up();
            wait_until(|| server.log().matches("configuration reloaded").count() >= round);
        }
        // The programs of the last configuration are started by its first logins.
        some_logins();
        done.store(true, Ordering::SeqCst);
    });
    let children = children_of(server.id());
    assert!(!children.is_empty());
    assert!(server.terminate().success());
    for child in children {
        wait_until(|| !is_alive(child));
    }
}

/// The processes whose parent is `id`.
fn children_of(id: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|process: &u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{id}"))
    })
    .collect()
}

fn is_alive(process: u32) -> bool {
    // A process that has ended and was not reaped yet has no command line.
    fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Passwords, the token, headers and the query of the URL, at the most talkative level.
#[test]
fn no_secret_of_a_backend_is_in_the_log() {
    let bench = Bench::new();
    let stub = HttpStub::start(|request| match request.path.as_str() {
        "/login?key=QUERY" => StubAnswer::Status(200, request.body.clone() + "x"),
        _ => StubAnswer::Close,
    });
    let (login, decide) = (stub.url("/login?key=QUERY"), stub.url("/decide?key=QUERY"));
    let noisy = bench.path().join("noisy.py");
    let text = "import sys\nfor line in sys.stdin:\n    print(line, file=sys.stderr, flush=True)\n    print(line + line, flush=True)\n";
    fs::write(&noisy, text).unwrap();
    let tokens = "token: BEARER, headers: {X-Key: HEADER}";
    for backend in [
        format!("http_auth: {{url: \"{login}\", {tokens}}}\n"),
        "ext_auth: {command: python3, args: [@directory@/noisy.py], mode: lines}\n".to_owned(),
        format!("{USERS}http_authz: {{url: \"{decide}\", {tokens}}}\n"),
    ] {
        let mut server = bench.start(&format!("{backend}{ACL}"));
        for (name, password) in [("ann", "OPENSESAME"), ("bob", "secret")] {
            let answer = log_in(&server, name, password, "repository:other:pull");
            assert_ne!(answer.status, 200);
            assert!(!answer.body.contains(password));
        }
        server.wait_for_log("account=\"bob\"");
        let log = server.log();
        for secret in ["OPENSESAME", "BEARER", "HEADER", "QUERY", "Ym9iOnNlY3JldA"] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

#[test]
fn check_connect_says_what_each_backend_answers() {
    let bench = Bench::new();
    let stub = accounts_server(&Arc::new(AtomicBool::new(true)));
    let url = stub.url("/checked-login");
    // On a busy machine, Python may take longer to start than a login may usually take.
    let patience = "timeout: 10m";
    let file = bench.file(&format!(
        "{USERS}ext_auth: {{command: python3, args: [@directory@/logins.py], mode: lines, {patience}}}\n\
         http_auth: {{url: \"{url}\", {patience}}}\n{ACL}"
    ));
    let file = file.to_str().unwrap();
    let plain = bench.run(&["check", file], "");
    assert_eq!(plain.succeeded(), format!("{file}: fine"));
    let asked = stub.requests();
    let asked = asked.iter().filter(|it| it.path == "/checked-login");
    assert_eq!(asked.count(), 0, "nothing is asked without --connect");
    let fine = bench.run(&["check", "--connect", file], "");
    assert_eq!(
        fine.succeeded(),
        format!(
            "{file}: fine\n\
             users: nothing to connect to\n\
             ext_auth: its program does not know an empty name\n\
             http_auth: {url} does not know an empty name (404)\n\
             acl: nothing to connect to"
        )
    );
    let json = bench.run(&["check", "--connect", "--json", file], "");
    let json: serde_json::Value = serde_json::from_str(json.succeeded()).unwrap();
    assert_eq!(json["connections"][2]["section"], "http_auth");
    assert_eq!(json["connections"][2]["fine"], true);
    let nowhere = stub.stop();
    let wrong = bench.run(&["check", "--connect", file], "");
    assert_eq!(wrong.status.code(), Some(1));
    let expected = format!("\nhttp_auth: error: the connection to {url} failed: ");
    assert!(wrong.stdout.contains(&expected), "{}", wrong.stdout);
    drop(nowhere);
    let everyone = HttpStub::start(|_| StubAnswer::Status(200, "{}".into()));
    let file = bench.file(&format!(
        "http_auth: {{url: \"{}\", {patience}}}\n{ACL}",
        everyone.url("/")
    ));
    let careless = bench.run(&["check", "--connect", file.to_str().unwrap()], "");
    assert_eq!(careless.status.code(), Some(1));
    assert!(
        careless.stdout.contains("lets everyone in"),
        "{}",
        careless.stdout
    );
}

#[test]
fn explain_logs_in_and_asks_the_policies() {
    let bench = Bench::new();
    let stub = accounts_server(&Arc::new(AtomicBool::new(true)));
    let decides = HttpStub::start(|request| match request.body.contains("\"Name\":\"x\"") {
        true => StubAnswer::Status(200, r#"{"actions": ["pull", "delete"]}"#.into()),
        false => StubAnswer::Status(404, String::new()),
    });
    let (login, decide) = (stub.url("/login"), decides.url("/decide"));
    let file = bench.file(&format!(
        "{USERS}http_auth: {{url: \"{login}\"}}\n{ACL}http_authz: {{url: \"{decide}\"}}\n"
    ));
    let explain = |account: &str, password: &str, more: &[&str]| {
        let file = file.to_str().unwrap();
        let mut arguments = vec!["explain", file, "--account", account, "--password-stdin"];
        arguments.extend(more);
        bench.run(&arguments, password)
    };
    let place = file.display();
    let accepted = explain(
        "ann",
        "sesame\n",
        &[
            "--label",
            "team=blue",
            "repository:red/a:pull,push",
            "repository:x:pull,push",
            "repository:y:pull",
        ],
    );
    assert_eq!(
        accepted.succeeded(),
        format!(
            r#"ann is accepted by http_auth
  users: does not know the account
  http_auth: accepts
  label team: red (from http_auth)
  label team: blue (from --label)
repository:red/a:pull,push for ann
  granted: pull
  refused: push
  decided by {place}:7
  not by {place}:6: name: "${{account}}/*" (here "ann/*") against "red/a": it does not match
repository:x:pull,push for ann
  granted: pull
  refused: push
  decided by http_authz
  not by {place}:6: name: "${{account}}/*" (here "ann/*") against "x": it does not match
  not by {place}:7: name: "${{labels:team}}/*" (here "red/*", "blue/*") against "x": it does not match
repository:y:pull for ann
  granted: nothing
  refused: pull
  no rule matches: access is denied by default
  not by {place}:6: name: "${{account}}/*" (here "ann/*") against "y": it does not match
  not by {place}:7: name: "${{labels:team}}/*" (here "red/*", "blue/*") against "y": it does not match
  not by http_authz: it has no answer"#
        )
    );
    let json = explain("ann", "sesame", &["--json", "repository:x:pull"]);
    let json: serde_json::Value = serde_json::from_str(json.succeeded()).unwrap();
    assert_eq!(json["login"]["backend"], "http_auth");
    assert_eq!(json["login"]["asked"][0]["backend"], "users");
    assert_eq!(json["login"]["labels"][0]["from"], "http_auth");
    assert_eq!(json["scopes"][0]["rule"], "http_authz");
    for (account, password, code, part) in [
        ("bob", "wrong", 4, "users rejects the password of \"bob\""),
        (
            "ann",
            "wrong",
            4,
            "http_auth rejects the password of \"ann\"",
        ),
    ] {
        let refused = explain(account, password, &["repository:x:pull"]);
        assert_eq!(refused.status.code(), Some(code));
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    let _nowhere = stub.stop();
    let failed = explain("ann", "sesame", &["repository:x:pull"]);
    assert_eq!(failed.status.code(), Some(3));
    assert!(
        failed.stdout.contains("ann is not accepted"),
        "{}",
        failed.stdout
    );
    assert!(
        failed.stderr.contains("http_auth has no answer"),
        "{}",
        failed.stderr
    );
    let fine = explain("bob", "secret", &["repository:bob/x:pull"]);
    assert!(
        fine.succeeded().contains("bob is accepted by users"),
        "{}",
        fine.stdout
    );
}
