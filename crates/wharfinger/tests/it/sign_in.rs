//! Signing in by a page, in the running program: from the browser to a token, and to the end of the
//! refresh token when the provider revokes the user.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{Clock, SystemClock, unix_seconds};
use peers::http::{self, Answer};
use peers::{Output, Redis, RedisConfig, Server, TestCertificate, TestKeyKind, run};
use serde_json::json;
use tempfile::TempDir;

use crate::oidc_stub::{CLIENT_SECRET, OidcStub};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Each login asks the provider again, for none is remembered and a second is soon over.
const CONFIG: &str = r#"
server: {addr: "@addr@"}
token: {issuer: Acme, expiration: 900, certificate: @folder@/token.pem, key: @folder@/token.key}
oidc_auth:
  issuer: @issuer@
  redirect_url: http://localhost/oidc_auth
  client_id: wharfinger
  client_secret: "@secret@"
  label_claims: [groups]
  revalidate_after: 1s
  registry_url: registry.example.com
acl: [{match: {labels: {groups: red}}, actions: [pull]}]
login: {remember: 0}
refresh_tokens: {}
database: {url: "sqlite://@folder@/wharfinger.db"}
"#;

struct Setup {
    stub: OidcStub,
    server: Server,
    _folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        Self::with(CONFIG)
    }

    /// A server whose only store is a Redis: without `database`, as docker_auth has it.
    fn in_redis(redis: &Redis, password: &str) -> Self {
        let (config, _) = CONFIG.split_once("refresh_tokens:").unwrap();
        let port = redis.port();
        let store = format!(
            "  redis_token_db: {{redis_options: {{addr: \"127.0.0.1:{port}\", password: {password}}}}}\nacl:"
        );
        Self::with(&config.replace("acl:", &store))
    }

    fn with(config: &str) -> Self {
        let stub = OidcStub::start(unix_seconds(SystemClock.now()));
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = config
            .replace("@folder@", folder.path().to_str().unwrap())
            .replace("@issuer@", &stub.issuer())
            .replace("@secret@", CLIENT_SECRET);
        Self {
            server: Server::start(Path::new(PROGRAM), &config),
            stub,
            _folder: folder,
        }
    }

    /// Signs `ann` in as a browser does, and gives the password.
    fn sign_in(&self) -> String {
        let page = sign_in_by_page(&self.server, "/oidc_auth", |url| self.stub.agree(url));
        assert!(page.contains("--password-stdin registry.example.com"));
        shown_password(&page)
    }

    fn log_in(&self, password: &str) -> Answer {
        self.log_in_as("ann", password)
    }

    fn log_in_as(&self, account: &str, password: &str) -> Answer {
        let query = "service=reg&scope=repository:a:pull&offline_token=true&client_id=docker";
        let url = self.server.url(&format!("/auth?{query}"));
        http::request(&["-u", &format!("{account}:{password}"), &url])
    }

    fn refresh(&self, token: &str) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("service", "reg")
            .append_pair("scope", "repository:a:pull")
            .append_pair("refresh_token", token)
            .finish();
        http::request(&["-d", &form, &self.server.url("/auth")])
    }

    fn passwords(&self, arguments: &[&str]) -> Output {
        let (verb, rest) = arguments.split_first().unwrap();
        run(Command::new(PROGRAM)
            .args(["passwords", verb])
            .arg(self.server.config())
            .args(rest))
    }
}

/// Signs a user in by the page at `path`, as a browser does, and gives the page that comes then.
/// `agree` is what the user does at the provider: it gets the address, and gives the query of the way
/// back.
pub(crate) fn sign_in_by_page(
    server: &Server,
    path: &str,
    agree: impl FnOnce(&str) -> String,
) -> String {
    let page = server.url(path);
    let start = http::get(&format!("{page}?start=1"));
    assert_eq!(start.status, 303, "{}\n{}", start.body, server.log());
    let cookie = start.header("set-cookie").unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let back = agree(start.header("location").unwrap());
    let header = format!("Cookie: {cookie}");
    let shown = http::request(&["-H", &header, &format!("{page}?{back}")]);
    assert_eq!(shown.status, 200, "{}\n{}", shown.body, server.log());
    shown.body
}

/// Waits until a sign-in can be begun at `path`. A provider that did not answer is left alone for a
/// moment.
pub(crate) fn wait_for_provider(server: &Server, path: &str) {
    let start = || http::get(&server.url(&format!("{path}?start=1")));
    until(start, |page| page.status == 303);
}

/// The new password on a page.
pub(crate) fn shown_password(page: &str) -> String {
    let (_, rest) = page.split_once("<code class=\"password\">").unwrap();
    let (password, _) = rest.split_once('<').unwrap();
    password.to_owned()
}

/// Asks until the answer is as wanted. Each answer may be of before the change, for a second.
fn until(mut ask: impl FnMut() -> Answer, is_wanted: impl Fn(&Answer) -> bool) -> Answer {
    for _ in 0..600 {
        let answer = ask();
        if is_wanted(&answer) {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("never: {:?}", ask())
}

#[test]
fn from_the_page_to_the_end_of_the_refresh_token() {
    let mut setup = Setup::new();
    let index = http::get(&setup.server.url("/"));
    assert_eq!(index.header("location"), Some("/oidc_auth"));
    let password = setup.sign_in();
    let login = setup.log_in(&password);
    assert_eq!(login.status, 200, "{}\n{}", login.body, setup.server.log());
    assert_eq!(login.json_string("scope"), Some("repository:a:pull"));
    let refresh_token = login.json_string("refresh_token").unwrap().to_owned();
    assert_eq!(setup.log_in("wrong").status, 401);

    // The user leaves the group: the labels of now count.
    setup.stub.state().claims["groups"] = json!(["blue"]);
    until(
        || setup.refresh(&refresh_token),
        |it| it.json_string("scope") == Some(""),
    );
    until(
        || setup.log_in(&password),
        |it| it.json_string("scope") == Some(""),
    );
    setup.stub.state().claims["groups"] = json!(["red"]);
    let back = |it: &Answer| it.json_string("scope") == Some("repository:a:pull");
    until(|| setup.refresh(&refresh_token), back);
    assert!(setup.stub.state().rotations > 1);
    let requests = setup.stub.requests();
    assert!(
        requests.iter().all(|request| request.query.is_empty()),
        "a secret may be in a URL"
    );

    // The provider is down: a login may succeed later, and a session goes on for a while.
    setup.stub.state().broken = Some(503);
    let down = until(|| setup.log_in(&password), |it| it.status == 503);
    assert!(down.header("retry-after").is_some());
    assert_eq!(setup.refresh(&refresh_token).status, 200);
    setup.stub.state().broken = None;
    until(|| setup.log_in(&password), |it| it.status == 200);

    // The provider revokes the user: both end.
    setup.stub.state().is_revoked = true;
    until(|| setup.refresh(&refresh_token), |it| it.status == 401);
    assert_eq!(setup.log_in(&password).status, 401);
    setup.server.wait_for_log("must sign in again");
    let log = setup.server.log();
    for secret in [
        &password,
        &refresh_token,
        CLIENT_SECRET,
        "rt-1",
        "at-0",
        "at-1",
        "code-0",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn a_command_lists_and_revokes_passwords() {
    let setup = Setup::new();
    let (first, second) = (setup.sign_in(), setup.sign_in());
    let listed = setup.passwords(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(listed.succeeded()).unwrap();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        (&listed[0]["backend"], &listed[0]["account"]),
        (&json!("oidc_auth"), &json!("ann"))
    );
    let id = listed[1]["id"].as_str().unwrap();
    let table = setup.passwords(&["list", "--user", "ann"]);
    assert!(
        table.succeeded().contains(id) && table.stdout.starts_with("BACKEND"),
        "{table}"
    );
    let revoked = setup.passwords(&["revoke", "--user", "ann", "--id", id]);
    assert_eq!(revoked.succeeded(), "1 password revoked");
    assert_eq!(setup.log_in(&second).status, 401);
    assert_eq!(setup.log_in(&first).status, 200);
    let again = setup
        .passwords(&["revoke", "--user", "ann", "--id", id])
        .refused();
    assert!(again.contains("no password"), "{again}");
    let all = setup.passwords(&["revoke", "--user", "ann", "--all"]);
    assert_eq!(all.succeeded(), "1 password revoked");
    assert_eq!(setup.log_in(&first).status, 401);
    let none = setup
        .passwords(&["revoke", "--user", "ann", "--all"])
        .refused();
    assert!(none.contains("has no passwords"), "{none}");
}

#[test]
fn sessions_of_signed_in_users_are_listed() {
    let setup = Setup::new();
    let password = setup.sign_in();
    assert_eq!(setup.log_in(&password).status, 200);
    let list = || {
        run(Command::new(PROGRAM)
            .args(["sessions", "list"])
            .arg(setup.server.config())
            .arg("--json"))
    };
    assert!(list().succeeded().contains("\"oidc_auth\""));
    setup
        .passwords(&["revoke", "--user", "ann", "--all"])
        .succeeded();
    assert_eq!(list().succeeded(), "[]");
}

/// The server starts, and a login of another backend works.
#[test]
fn a_provider_that_is_down_at_start_keeps_no_server_from_starting() {
    let setup = Setup::new();
    setup.stub.state().broken = Some(500);
    let start = http::get(&setup.server.url("/oidc_auth?start=1"));
    assert_eq!(start.status, 503);
    assert!(start.body.contains("Try again"), "{}", start.body);
    setup.stub.state().broken = None;
    wait_for_provider(&setup.server, "/oidc_auth");
    setup.sign_in();
}

#[test]
fn docker_auth_s_redis_is_used_on() {
    let mut redis = Redis::start(&RedisConfig {
        password: Some("redis-77d1".to_owned()),
        ..RedisConfig::default()
    });
    // A record of docker_auth: the password is `sesame`.
    let theirs = r#"{"token_type":"bearer","access_token":"at-of-eve","valid_until":"2099-01-01T00:00:00Z","docker_password":"$2a$10$wm.q8C3wnTJHn6oIb1rkru3fyQTSNoUwBObrXyfF0WXQdfv2D5MYi","labels":{"groups":["red"]}}"#;
    redis.command(&["SET", "t:eve", theirs]);
    let setup = Setup::in_redis(&redis, "redis-77d1");
    let eve = setup.log_in_as("eve", "sesame");
    assert_eq!(eve.status, 200, "{}\n{}", eve.body, setup.server.log());
    assert_eq!(eve.json_string("scope"), Some("repository:a:pull"));
    assert_eq!(setup.log_in_as("eve", "open").status, 401);

    let password = setup.sign_in();
    assert_eq!(setup.log_in(&password).status, 200);
    let record = redis.command(&["GET", "t:ann"]);
    assert!(
        record.starts_with("{\"token_type\":\"Bearer\",\"access_token\":"),
        "{record}"
    );
    let listed = setup.passwords(&["list"]);
    let listed = listed.succeeded();
    assert!(listed.contains("ann") && listed.contains("eve"), "{listed}");

    redis.kill();
    let away = setup.log_in(&password);
    assert_eq!(away.status, 503, "{}", away.body);
    assert!(away.header("retry-after").is_some());
    redis.start_again();
    assert_eq!(setup.log_in(&password).status, 200);
    let log = setup.server.log();
    for secret in ["redis-77d1", "sesame", "at-of-eve", &password] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn docker_auth_s_leveldb_is_imported_once() {
    let vector = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sign-in/tests/vectors/leveldb");
    let level = format!(
        "  level_token_db: {{path: \"{}\"}}\nacl:",
        vector.join("reopened").display()
    );
    let config = CONFIG
        .replace("acl:", &level)
        .replace("labels: {groups: red}", "labels: {teams: core}");
    let mut setup = Setup::with(&config.replace("revalidate_after: 1s", "revalidate_after: 1h"));
    setup.server.wait_for_log("wharfinger import");
    let import = |more: &[&str]| {
        run(Command::new(PROGRAM)
            .arg("import")
            .arg(setup.server.config())
            .args(more))
    };
    assert_eq!(setup.log_in_as("bob@example.com", "sesame").status, 401);
    let tried = import(&["--dry-run"]);
    assert!(
        tried
            .succeeded()
            .contains("2 would be imported, 0 left as they are"),
        "{tried}"
    );
    assert_eq!(setup.log_in_as("bob@example.com", "sesame").status, 401);

    let ours = setup.sign_in();
    let imported = import(&[]);
    let said = imported.succeeded();
    assert!(said.contains("ann: has signed in here already"), "{said}");
    assert!(
        said.contains("oidc_auth: 1 imported, 1 left as they are, 0 could not be read"),
        "{said}"
    );
    let login = setup.log_in_as("bob@example.com", "sesame");
    assert_eq!(
        login.json_string("scope"),
        Some("repository:a:pull"),
        "{}",
        login.body
    );
    assert_eq!(setup.log_in(&ours).status, 200);
    let again = import(&[]);
    assert!(again.succeeded().contains("0 imported, 2 left"), "{again}");
    let replaced = import(&["--replace"]);
    assert!(
        replaced
            .succeeded()
            .contains("ann: imported, in place of another"),
        "{replaced}"
    );
    let elsewhere = vector.join("log");
    let elsewhere = import(&[
        "--backend",
        "oidc_auth",
        "--from",
        elsewhere.to_str().unwrap(),
    ]);
    assert!(
        elsewhere
            .succeeded()
            .contains("bob@example.com: has signed in"),
        "{elsewhere}"
    );
    let nothing = import(&["--backend", "github_auth"]).refused();
    let unknown = "\"github_auth\" is not a section with sign-ins";
    assert!(nothing.contains(unknown), "{nothing}");
}
