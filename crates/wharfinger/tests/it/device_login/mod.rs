//! `wharfinger login --web` against the running program: a browser approves, and docker pushes with
//! what is stored.

mod browser;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use common::{Clock, SystemClock, unix_seconds};
use peers::http::{self, Answer};
use peers::{
    Docker, HttpStub, Image, Output, Server, StubAnswer, TestCertificate, TestKeyKind, run,
    run_with_input, wait_until,
};
use tempfile::TempDir;

use self::browser::Browser;
use crate::oidc_stub::{CLIENT_SECRET, OidcStub};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// bcrypt of `badmin`.
const ADMIN: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";

const CONFIG: &str = r#"
server: {addr: "@addr@", path_prefix: /tokens}
token: {issuer: Acme, expiration: 900, certificate: "@folder@/token.pem", key: "@folder@/token.key"}
users: {admin: {password: "@admin@"}, bob: {password: "@admin@"}}
oidc_auth: {issuer: "@issuer@", redirect_url: "http://localhost/tokens/oidc_auth", client_id: wharfinger, client_secret: "@secret@", label_claims: [groups]}
acl: [{match: {account: "/.+/"}, actions: ["*"]}]
registry: {storage: {filesystem: {root: "@folder@/data"}}}
device_login: {interval: 1s}
"#;

struct Setup {
    server: Server,
    stub: OidcStub,
    config: String,
    folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        let stub = OidcStub::start(unix_seconds(SystemClock.now()));
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = CONFIG
            .replace("@folder@", folder.path().to_str().unwrap())
            .replace("@admin@", ADMIN)
            .replace("@issuer@", &stub.issuer())
            .replace("@secret@", CLIENT_SECRET);
        Self {
            server: Server::start(Path::new(PROGRAM), &config),
            stub,
            config,
            folder,
        }
    }

    /// Kills the server, and starts it again at another port.
    fn restart(&mut self) {
        self.server.kill();
        self.server = Server::start(Path::new(PROGRAM), &self.config);
    }

    fn host(&self) -> String {
        self.server.host_port()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env("HOME", self.folder.path());
        for variable in ["DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"] {
            command.env_remove(variable);
        }
        command
    }

    fn stored(&self) -> PathBuf {
        self.folder.path().join(".docker/config.json")
    }

    fn post(&self, path: &str, form: &str) -> Answer {
        http::request(&["-d", form, &self.server.url(path)])
    }

    /// Asks for codes without the command: the device code and the user code.
    fn begin(&self) -> (String, String) {
        let begun = self.post("/tokens/auth/device", "client_id=cli&service=reg");
        assert_eq!(begun.status, 200, "{}", begun.body);
        let text = |name| begun.json_string(name).unwrap().to_owned();
        (text("device_code"), text("user_code"))
    }

    fn poll(&self, device_code: &str) -> Answer {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let form = format!("grant_type={grant}&client_id=cli&device_code={device_code}");
        self.post("/tokens/auth", &form)
    }

    fn sessions(&self) -> serde_json::Value {
        let listed = run(self
            .command(&["sessions", "list", "--json"])
            .arg(self.server.config()));
        serde_json::from_str(listed.succeeded()).unwrap()
    }
}

/// `wharfinger login --web`, which waits.
struct WebLogin {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
    address: String,
}

impl WebLogin {
    fn start(setup: &Setup, more: &[&str]) -> Self {
        let host = setup.host();
        let mut command = setup.command(&["login", "--web", &host]);
        let mut child = command
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("Ctrl-C") {
            let read = stderr.read_line(&mut said).unwrap();
            assert!(read > 0, "{said}");
        }
        let address = said
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with("http"));
        let address = address.unwrap().to_owned();
        Self {
            child,
            stderr,
            said,
            address,
        }
    }

    fn interrupt(&self) {
        run(Command::new("kill").args(["-INT", &self.child.id().to_string()])).succeeded();
    }

    /// Its exit code, and what it printed.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut printed = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut printed).unwrap();
        self.stderr.read_to_string(&mut self.said).unwrap();
        (self.child.wait().unwrap().code(), printed, self.said)
    }
}

#[test]
fn a_person_approves_in_a_browser_and_docker_pushes() {
    let setup = Setup::new();
    let (host, docker) = (setup.host(), Docker::start());
    let login = WebLogin::start(&setup, &["--trace"]);
    assert!(
        login
            .address
            .starts_with(&format!("http://{host}/tokens/device?user_code="))
    );
    let (mut browser, first) = Browser::open(&login.address);
    let page = browser.sign_in(&first, "admin");
    assert_eq!(page.status, 200, "{}", page.body);
    for shown in [
        "<strong>admin</strong>",
        "127.0.0.1",
        "wharfinger (wharfinger/",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    let done = browser.press(&page, "approve", "");
    assert!(
        done.body.contains("The device is logged in"),
        "{}",
        done.body
    );
    let (code, printed, said) = login.end();
    assert_eq!(code, Some(0), "{printed}\n{said}");
    assert!(
        printed.starts_with(&format!(
            "logged in to {host} as admin: stored a refresh token in "
        )),
        "{printed}"
    );

    // docker, podman and this program find it there.
    let stored = fs::read_to_string(setup.stored()).unwrap();
    let (_, token) = stored.split_once("whr_").unwrap();
    let token = format!("whr_{}", token.split('"').next().unwrap());
    let client = docker.client();
    fs::create_dir_all(client.home().join(".docker")).unwrap();
    fs::write(client.home().join(".docker/config.json"), &stored).unwrap();
    let (image, reference) = (Image::saying("device login"), format!("{host}/team/app:1"));
    docker.import(&image, &reference).succeeded();
    client.run(&["push", &reference]).succeeded();
    let ours = format!("{host}/team/app:2");
    let layout = format!("oci:{}", image.layout().display());
    run(&mut setup.command(&["push", &layout, &ours])).succeeded();

    let sessions = setup.sessions();
    assert_eq!(
        (&sessions[0]["account"], &sessions[0]["backend"]),
        (&"admin".into(), &"users".into())
    );
    assert_eq!(sessions[0]["client_id"], "wharfinger");
    let log = setup.server.log();
    for line in [
        "grant=\"device_code\"",
        "a device asks for a login",
        "a person approved a device login",
    ] {
        assert!(log.contains(line), "{line}:\n{log}");
    }
    assert!(said.contains("device_code = [hidden]"), "{said}");
    for secret in [token.as_str(), "badmin"] {
        assert!(!said.contains(secret) && !log.contains(secret), "{secret}");
    }
    run(&mut setup.command(&["logout", &host])).succeeded();
    assert_eq!(setup.sessions(), serde_json::json!([]));
}

#[test]
fn a_provider_signs_the_person_in_for_a_device() {
    let setup = Setup::new();
    let host = setup.host();
    let login = WebLogin::start(&setup, &[]);
    let (mut browser, first) = Browser::open(&login.address);
    let page = browser.press(&first, "code", "");
    let (_, link) = page.body.split_once("href=\"/tokens/oidc_auth?").unwrap();
    let query = link.split('"').next().unwrap().replace("&#38;", "&");
    let provider = setup.server.url("/tokens/oidc_auth");
    let start = http::get(&format!("{provider}?{query}"));
    assert_eq!(start.status, 303, "{}", start.body);
    let attempt = start
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let back = setup.stub.agree(start.header("location").unwrap());
    let header = format!("Cookie: {attempt}");
    let page = http::request(&["-H", &header, &format!("{provider}?{back}")]);
    assert_eq!(page.status, 200, "{}", page.body);
    browser.keep(&page);
    let done = browser.press(&page, "approve", "");
    assert!(
        done.body.contains("The device is logged in"),
        "{}",
        done.body
    );
    let (code, printed, said) = login.end();
    assert_eq!(code, Some(0), "{printed}\n{said}");
    assert!(
        printed.contains(" as ann: stored a refresh token"),
        "{printed}"
    );
    run(&mut setup.command(&["catalog", &host])).succeeded();
    // The person ends it in the list of passwords.
    let passwords = run(setup
        .command(&["passwords", "list", "--json"])
        .arg(setup.server.config()));
    assert!(
        passwords.succeeded().contains("\"device login of "),
        "{passwords}"
    );
    let revoked = run(setup
        .command(&["passwords", "revoke", "--user", "ann", "--all"])
        .arg(setup.server.config()));
    revoked.succeeded();
    let refused = run(&mut setup.command(&["catalog", &host]));
    assert_eq!(refused.status.code(), Some(4), "{refused}");
}

#[test]
fn a_restart_and_a_reload_forget_nothing() {
    let mut setup = Setup::new();
    let (device_code, user_code) = setup.begin();
    let (_, other_user_code) = setup.begin();
    assert_eq!(
        setup.poll(&device_code).json_string("error"),
        Some("authorization_pending")
    );
    setup.restart();
    let page = |setup: &Setup, code: &str| {
        setup
            .server
            .url(&format!("/tokens/device?user_code={code}"))
    };
    let (mut browser, first) = Browser::open(&page(&setup, &user_code));
    let decision = browser.sign_in(&first, "bob");
    setup.restart();
    browser.page = setup.server.url("/tokens/device");
    let done = browser.press(&decision, "approve", "");
    assert!(
        done.body.contains("The device is logged in"),
        "{}",
        done.body
    );
    setup.restart();
    setup
        .server
        .rewrite(&setup.config.replace("interval: 1s", "interval: 2s"));
    setup.server.wait_for_log("configuration reloaded");
    let token = setup.poll(&device_code);
    assert_eq!(token.status, 200, "{}", token.body);
    assert_eq!(
        setup.poll(&device_code).json_string("error"),
        Some("invalid_grant")
    );
    // A reload does not forget who has signed in, and its limits go on.
    let (mut browser, first) = Browser::open(&page(&setup, &other_user_code));
    let decision = browser.sign_in(&first, "bob");
    setup
        .server
        .rewrite(&setup.config.replace("interval: 1s", "interval: 3s"));
    let log = || setup.server.log();
    wait_until(|| log().matches("configuration reloaded").count() == 2);
    let begun = setup.post("/tokens/auth/device", "client_id=cli").body;
    assert!(begun.contains("\"interval\":3"), "{begun}");
    let denied = browser.press(&decision, "deny", "");
    assert!(denied.body.contains("You denied"), "{}", denied.body);
}

#[test]
fn an_account_that_was_disabled_meanwhile_gets_nothing() {
    let setup = Setup::new();
    let accounts = |words: &[&str], input: &str| -> Output {
        let mut command = setup.command(&["user"]);
        command
            .arg(words[0])
            .arg(setup.server.config())
            .args(&words[1..]);
        run_with_input(&mut command, input)
    };
    accounts(&["add", "carol", "--password-stdin"], "badmin").succeeded();
    let (device_code, user_code) = setup.begin();
    let address = setup
        .server
        .url(&format!("/tokens/device?user_code={user_code}"));
    let (mut browser, first) = Browser::open(&address);
    let page = browser.sign_in(&first, "carol");
    let done = browser.press(&page, "approve", "");
    assert!(
        done.body.contains("The device is logged in"),
        "{}",
        done.body
    );
    accounts(&["disable", "carol"], "").succeeded();
    let refused = setup.poll(&device_code);
    assert_eq!(
        (refused.status, refused.json_string("error")),
        (400, Some("access_denied"))
    );
    assert_eq!(setup.sessions(), serde_json::json!([]));
}

#[test]
fn a_denied_and_an_interrupted_login_store_nothing() {
    let setup = Setup::new();
    let login = WebLogin::start(&setup, &[]);
    let (mut browser, first) = Browser::open(&login.address);
    let page = browser.sign_in(&first, "bob");
    browser.press(&page, "deny", "");
    let (code, printed, said) = login.end();
    assert_eq!((code, printed.as_str()), (Some(4), ""), "{said}");
    assert!(said.contains("denied in the browser"), "{said}");
    let login = WebLogin::start(&setup, &[]);
    login.interrupt();
    let (code, printed, said) = login.end();
    assert_eq!((code, printed.as_str()), (Some(130), ""), "{said}");
    assert!(!setup.stored().exists());
}

#[test]
fn a_server_without_device_logins_is_said_to_be_one() {
    let setup = Setup::new();
    setup
        .server
        .rewrite(&setup.config.replace("interval: 1s", "enabled: false"));
    wait_until(|| setup.post("/tokens/auth/device", "client_id=cli").status == 400);
    let refused = run(&mut setup.command(&["login", "--web", &setup.host()]));
    assert_eq!(refused.status.code(), Some(2), "{refused}");
    assert!(refused.stderr.contains("device login is off"), "{refused}");
    let page = http::get(&setup.server.url("/tokens/device"));
    assert_eq!(page.status, 404);
    // As docker_auth responds.
    let other = HttpStub::start(|request| match request.path.as_str() {
        "/v2/" => {
            let host = request.header("host").unwrap_or_default();
            let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/auth\"\r\n");
            StubAnswer::WithHeaders(401, challenge, String::new())
        }
        _ => StubAnswer::Status(404, "404 page not found".to_owned()),
    });
    let host = other.url("");
    let host = host.trim_start_matches("http://").trim_end_matches('/');
    let refused = run(&mut setup.command(&["login", "--web", host]));
    assert_eq!(refused.status.code(), Some(2), "{refused}");
    assert!(refused.stderr.contains("no login by browser"), "{refused}");
    assert!(refused.stderr.contains("without --web"), "{refused}");
    for arguments in [["--user", "ann"].as_slice(), &["--password-stdin"]] {
        let mut command = setup.command(&["login", "--web", host]);
        assert_eq!(run(command.args(arguments)).status.code(), Some(2));
    }
}
