//! The token endpoint in the running program: reload, crash, sockets, configuration, the log. What a
//! request gets is tested without a socket in `auth/tests/it`.

use std::path::{Path, PathBuf};
use std::process::Command;

use peers::{Server, TestCertificate, TestKeyKind, run, wait_until};
use tempfile::TempDir;

use crate::wire::{Answer, Connection, get};

/// `alice` has the password `secret`, `bob` too; anonymous may pull.
const CONFIG: &str = r#"
server: {addr: "@addr@"}
token: {issuer: Acme, expiration: 900, certificate: @folder@/token.pem, key: @folder@/token.key}
users:
  "": {}
  alice: {password: "$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay"}
  bob: {password: "$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay"}
acl:
  - {match: {account: alice}, actions: ["*"]}
  - {match: {account: "/.*/"}, actions: [pull]}
"#;

const REFRESH: &str = "refresh_tokens: {}\ndatabase: {url: 'sqlite://@folder@/wharfinger.db'}\n";

const ALICE: [(&str, &str); 1] = [("Authorization", "Basic YWxpY2U6c2VjcmV0")];
const BOB: [(&str, &str); 1] = [("Authorization", "Basic Ym9iOnNlY3JldA==")];
const WRONG: [(&str, &str); 1] = [("Authorization", "Basic YWxpY2U6d3Jvbmc=")];

/// A server with its key pair and whatever else it keeps in a folder.
struct Setup {
    server: Server,
    folder: TempDir,
}

impl Setup {
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let server = Server::start(
            Path::new(env!("CARGO_BIN_EXE_wharfinger")),
            &config(&folder, CONFIG, more),
        );
        Self { server, folder }
    }

    fn connect(&self) -> Connection {
        Connection::open(&self.server.host_port())
    }

    fn get(&self, url: &str, headers: &[(&str, &str)]) -> Answer {
        self.connect().request("GET", url, headers, None)
    }

    fn post(&self, body: &str) -> Answer {
        self.connect().request("POST", "/auth", &[], Some(body))
    }

    fn refresh(&self, token: &str, more: &str) -> Answer {
        self.post(&format!(
            "grant_type=refresh_token&refresh_token={token}&{more}"
        ))
    }

    fn reload(&mut self, base: &str, more: &str) {
        self.server.rewrite(&config(&self.folder, base, more));
        self.server.hang_up();
        self.server.wait_for_log("configuration reloaded");
    }

    fn sessions(&self, arguments: &[&str]) -> peers::Output {
        let (verb, rest) = arguments.split_first().unwrap();
        run(Command::new(env!("CARGO_BIN_EXE_wharfinger"))
            .args(["sessions", verb])
            .arg(self.server.config())
            .args(rest))
    }
}

fn config(folder: &TempDir, base: &str, more: &str) -> String {
    format!("{base}{more}").replace("@folder@", folder.path().to_str().unwrap())
}

fn refresh_token(answer: &Answer) -> String {
    answer.json()["refresh_token"]
        .as_str()
        .unwrap_or_else(|| panic!("{}", answer.body))
        .to_owned()
}

#[test]
fn a_path_prefix_moves_what_clients_ask_for() {
    let setup = Setup::new("");
    let prefixed = config(
        &setup.folder,
        &CONFIG.replace("{addr:", "{path_prefix: /acme, addr:"),
        "",
    );
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), &prefixed);
    for (url, status) in [
        ("/acme/auth", 200),
        ("/acme/token", 200),
        ("/acme/", 200),
        ("/auth", 404),
        ("/", 200),
    ] {
        assert_eq!(get(&server.host_port(), url).status, status, "{url}");
    }
}

/// skopeo, podman and buildah send the refresh grant chunked, without a length.
#[test]
fn a_grant_may_come_in_chunks() {
    let setup = Setup::new(REFRESH);
    let login = setup.get("/auth?service=reg&offline_token=true", &ALICE);
    let token = refresh_token(&login);
    assert!(
        !setup.server.log().contains(&token),
        "a refresh token is in the log"
    );
    let mut connection = setup.connect();
    let body = format!("grant_type=refresh_token&service=reg&refresh_token={token}");
    let request = format!(
        "POST /auth HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    connection.send(request.as_bytes()).unwrap();
    let answer = connection.answer(false).unwrap();
    assert_eq!(refresh_token(&answer), token, "reused, not rotated");
}

#[test]
fn a_refresh_token_ends_with_its_user() {
    let mut setup = Setup::new(REFRESH);
    let tokens = |setup: &Setup| {
        [&ALICE, &BOB]
            .map(|who| refresh_token(&setup.get("/auth?service=reg&offline_token=true", who)))
    };
    let [alice, bob] = tokens(&setup);
    // bob is gone, and alice may only pull now.
    let without_bob: Vec<&str> = CONFIG
        .lines()
        .filter(|line| !line.contains("bob"))
        .collect();
    let changed = without_bob
        .join("\n")
        .replace(r#"alice}, actions: ["*"]"#, "alice}, actions: [pull]")
        + "\n";
    setup.reload(&changed, REFRESH);
    assert_eq!(setup.refresh(&bob, "service=reg").status, 401);
    let alice_now = setup.refresh(&alice, "service=reg&scope=repository:a:pull,push");
    assert_eq!(
        alice_now.json()["scope"],
        "repository:a:pull",
        "policy is asked again"
    );
    // A new password ends what the old one began.
    let hash = "$2b$04$.n2ZPLPDcGfU1NEY3VOznuyTfCnaHiETpQziMNhMlXj/blTZChlt6";
    let line = format!("  alice: {{password: \"{hash}\"}}");
    let lines = CONFIG.lines().map(|old| {
        if old.starts_with("  alice:") {
            line.as_str()
        } else {
            old
        }
    });
    let repassworded = lines.collect::<Vec<_>>().join("\n") + "\n";
    setup
        .server
        .rewrite(&config(&setup.folder, &repassworded, REFRESH));
    setup.server.hang_up();
    wait_until(|| setup.get("/auth?service=reg", &ALICE).status != 200);
    assert_eq!(setup.refresh(&alice, "service=reg").status, 401);
    // The command lists what the server accepts.
    let listed = setup.sessions(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(listed.succeeded()).unwrap();
    let accounts: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["account"].as_str().unwrap())
        .collect();
    assert_eq!(accounts, ["bob"]);
}

#[test]
fn sessions_survive_a_crash_and_end_when_they_are_revoked() {
    let mut setup = Setup::new(REFRESH);
    let [first, second] = [(); 2].map(|()| {
        refresh_token(&setup.get(
            "/auth?service=reg&offline_token=true&client_id=docker",
            &ALICE,
        ))
    });
    setup.server.kill();
    let text = std::fs::read_to_string(setup.server.config()).unwrap();
    let address = setup.server.host_port();
    setup.server = Server::start(
        Path::new(env!("CARGO_BIN_EXE_wharfinger")),
        &text.replace(&address, "@addr@"),
    );
    assert_eq!(setup.refresh(&first, "service=reg").status, 200);
    // The commands work beside the running server.
    let listed = setup.sessions(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(listed.succeeded()).unwrap();
    let listed = listed.as_array().unwrap().clone();
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .all(|session| session["account"] == "alice" && session["client_id"] == "docker")
    );
    setup
        .sessions(&["revoke", "--id", listed[0]["id"].as_str().unwrap()])
        .succeeded();
    let statuses = [&first, &second].map(|token| setup.refresh(token, "service=reg").status);
    assert!(
        statuses == [200, 401] || statuses == [401, 200],
        "{statuses:?}"
    );
    setup.sessions(&["revoke", "--user", "alice"]).succeeded();
    assert_eq!(
        [&first, &second].map(|token| setup.refresh(token, "service=reg").status),
        [401, 401]
    );
}

#[test]
fn one_server_signs_for_each_registry_as_it_wants() {
    let setup = Setup::new("");
    let services = "token: {services: {old: {key_id: libtrust}, new: {key_id: thumbprint, expiration: 120}, \
                    jwks: {header: [jwk]}, chain: {header: [x5c]}}, ";
    let server = Server::start(
        Path::new(env!("CARGO_BIN_EXE_wharfinger")),
        &config(&setup.folder, &CONFIG.replace("token: {", services), ""),
    );
    let header = |service: &str| {
        let answer = get(&server.host_port(), &format!("/auth?service={service}"));
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        let header = data_encoding::BASE64URL_NOPAD
            .decode(token.split('.').next().unwrap().as_bytes())
            .unwrap();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        (header, answer.json()["expires_in"].as_u64().unwrap())
    };
    assert_eq!(header("old").0["kid"].as_str().unwrap().len(), 59);
    assert_eq!(
        header("elsewhere").0["kid"],
        header("old").0["kid"],
        "as docker_auth where nothing is said"
    );
    let (new, expires_in) = header("new");
    assert_eq!((new["kid"].as_str().unwrap().len(), expires_in), (43, 120));
    let jwk = header("jwks").0;
    assert_eq!(
        (jwk["jwk"]["kty"].as_str(), jwk.get("kid")),
        (Some("EC"), None)
    );
    assert_eq!(header("chain").0["x5c"].as_array().unwrap().len(), 1);
}

#[test]
fn a_decision_is_one_line() {
    let mut setup = Setup::new("");
    let url = "/auth?service=reg&client_id=test&scope=repository:a:pull,push";
    setup.get(url, &BOB);
    setup.get(url, &WRONG);
    setup.server.wait_for_log("status=401");
    let log = setup.server.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("wharfinger::decision"))
        .collect();
    assert_eq!(lines.len(), 2, "{log}");
    for part in [
        "account=\"bob\"",
        "repository:a:pull,push",
        "repository:a:pull",
        "client_id=\"test\"",
        "wharfinger.yml:10",
    ] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    assert!(
        lines[1].contains("account=\"alice\"") && lines[1].contains("incorrect"),
        "{}",
        lines[1]
    );

    let json = config(
        &setup.folder,
        &CONFIG.replace("{addr:", "{log: {format: json}, addr:"),
        "",
    );
    let mut server = Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), &json);
    get(&server.host_port(), url);
    server.wait_for_log("wharfinger::decision");
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("wharfinger::decision"))
        .unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["grant"], &line["granted"]),
        (&"anonymous".into(), &"repository:a:pull".into())
    );
    assert_eq!(line["address"], "127.0.0.1");
}

#[test]
fn no_name_breaks_out_of_its_line() {
    let mut setup = Setup::new("");
    // %0A is a newline, %1B begins what moves a terminal's cursor.
    setup.get(
        "/auth?service=reg&scope=repository:a%0Aforged=1%1B[2J:pull",
        &BOB,
    );
    setup.server.wait_for_log("forged");
    let log = setup.server.log();
    assert!(
        log.lines().all(|line| !line.starts_with("forged")) && !log.contains('\u{1b}'),
        "{log}"
    );
}

#[test]
fn a_unix_socket_needs_no_header() {
    let folder = tempfile::tempdir().unwrap();
    let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let socket: PathBuf = folder.path().join("auth.sock");
    let listen = format!("{{net: unix, addr: {}}}", socket.display());
    let text = config(&folder, &CONFIG.replace("{addr: \"@addr@\"}", &listen), "");
    let file = folder.path().join("auth.yml");
    std::fs::write(&file, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_wharfinger"))
        .arg(&file)
        .spawn()
        .unwrap();
    while !socket.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let answer = peers::http::request(&[
        "--unix-socket",
        socket.to_str().unwrap(),
        "http://x/auth?service=s",
    ]);
    run(Command::new("kill").arg(child.id().to_string())).succeeded();
    assert!(child.wait().unwrap().success());
    assert_eq!(answer.status, 200);
    assert!(!socket.exists(), "the socket is removed at the end");
}

#[test]
fn a_second_server_on_the_same_address_says_so() {
    let setup = Setup::new("");
    let second = run(Command::new(env!("CARGO_BIN_EXE_wharfinger"))
        .arg("serve")
        .arg(setup.server.config()));
    assert_eq!(second.status.code(), Some(3));
    assert!(
        second.stderr.contains("cannot listen on"),
        "{}",
        second.stderr
    );
    assert!(
        second
            .stderr
            .contains("hint: another program uses this address"),
        "{}",
        second.stderr
    );
}

#[test]
fn each_of_several_passwords_lets_in() {
    // `secret`, and `other`; a session ends with the password that began it and with no other.
    let [secret, other] = [
        "$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay",
        "$2b$04$pRCGbRigeaKUDCZVTFie.OoD5S70AkgS3hPP1OD5FcymsONQ4xJou",
    ];
    let alice = |list: &str| {
        let line = format!("  alice: {{password: [{list}]}}");
        CONFIG
            .lines()
            .map(|old| {
                if old.starts_with("  alice:") {
                    &line
                } else {
                    old
                }
            })
            .fold(String::new(), |all, line| all + line + "\n")
    };
    let mut setup = Setup::new(REFRESH);
    setup.reload(&alice(&format!("\"{secret}\", \"{other}\"")), REFRESH);
    let tokens = ["Basic YWxpY2U6c2VjcmV0", "Basic YWxpY2U6b3RoZXI="].map(|basic| {
        refresh_token(&setup.get(
            "/auth?service=reg&offline_token=true",
            &[("Authorization", basic)],
        ))
    });
    assert_eq!(setup.get("/auth?service=reg", &WRONG).status, 401);
    setup.server.rewrite(&config(
        &setup.folder,
        &alice(&format!("\"{other}\"")),
        REFRESH,
    ));
    setup.server.hang_up();
    wait_until(|| setup.get("/auth?service=reg", &ALICE).status != 200);
    assert_eq!(
        tokens.map(|token| setup.refresh(&token, "service=reg").status),
        [401, 200]
    );
}

/// docker_auth starts with it, too, and would verify it for a day.
#[test]
fn a_user_with_a_hash_of_cost_31_is_rejected_at_once_and_the_others_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let costly = CONFIG.replace("bob: {password: \"$2b$04$", "bob: {password: \"$2b$31$");
    assert_ne!(costly, CONFIG);
    let server = Server::start(
        Path::new(env!("CARGO_BIN_EXE_wharfinger")),
        &config(&folder, &costly, ""),
    );
    let warning = "its cost is 31, and none above 17 is verified";
    assert!(server.log().contains(warning), "{}", server.log());
    let answer = |headers| {
        Connection::open(&server.host_port()).request("GET", "/auth?service=reg", headers, None)
    };
    assert_eq!((answer(&BOB).status, answer(&ALICE).status), (401, 200));
}

#[test]
fn a_user_without_a_password_is_named_at_start_and_by_check() {
    let open = CONFIG.replace(
        "  bob: {password: \"$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay\"}",
        "  bob: {}",
    );
    assert_ne!(open, CONFIG);
    let setup = Setup::new("");
    let server = Server::start(
        Path::new(env!("CARGO_BIN_EXE_wharfinger")),
        &config(&setup.folder, &open, ""),
    );
    let warning = "users.bob: no password: anyone can log in as bob";
    assert!(server.log().contains(warning), "{}", server.log());
    assert!(!server.log().contains("users.alice"), "{}", server.log());
    let check = run(Command::new(env!("CARGO_BIN_EXE_wharfinger"))
        .arg("check")
        .arg(server.config()));
    assert!(
        check.succeeded().contains(warning) && check.succeeded().ends_with("fine, 1 warning"),
        "{check}"
    );
    assert_eq!(
        get(&server.host_port(), "/auth?service=reg&account=bob").claims()["sub"],
        "bob"
    );
}
