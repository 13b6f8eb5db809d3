//! `ldap_auth` in the running program, against OpenLDAP's server and Active Directory.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use data_encoding::BASE64;
use peers::{Samba, Server, Slapd, SlapdConfig, TestCertificate, TestKeyKind, wait_until};
use tempfile::TempDir;

use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Members of the group `dev` may do everything, and everyone else may pull.
const CONFIG: &str = r#"
server: {addr: "@addr@"}
token: {issuer: Acme, expiration: 900, certificate: @folder@/token.pem, key: @folder@/token.key}
ldap_auth:
  addr: @ldap@
  bind_dn: cn=reader,dc=example,dc=com
  bind_password_file: @folder@/reader
  base: ou=people,dc=example,dc=com
  filter: (&(objectClass=person)(uid=${account}))
  account_attribute: uid
  labels: {group: {attribute: memberof, parse_cn: true, lower_case: true}}
acl:
  - {match: {labels: {group: dev}}, actions: ["*"]}
  - {match: {account: "/.+/"}, actions: [pull]}
refresh_tokens: {}
database: {url: "sqlite://@folder@/wharfinger.db"}
login: {remember: 0}
"#;

struct Setup {
    slapd: Slapd,
    server: Server,
    folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let slapd = Slapd::start(&SlapdConfig::default());
        let address = slapd.host_port();
        Self::with(folder, slapd, &address)
    }

    /// A server that asks `slapd` at `address`.
    fn with(folder: TempDir, slapd: Slapd, address: &str) -> Self {
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let password = format!("{}\n", Slapd::READER_PASSWORD);
        fs::write(folder.path().join("reader"), password).unwrap();
        let config = CONFIG
            .replace("@ldap@", address)
            .replace("@folder@", folder.path().to_str().unwrap());
        let server = Server::start(Path::new(PROGRAM), &config);
        Self {
            slapd,
            server,
            folder,
        }
    }

    fn log_in(&self, account: &str, password: &str) -> Answer {
        log_in(&self.server.host_port(), account, password)
    }

    fn refresh(&self, token: &str) -> Option<String> {
        refresh(&self.server.host_port(), token)
    }
}

/// The actions that a refresh token is granted on a repository; `None` if it is refused.
fn refresh(server: &str, token: &str) -> Option<String> {
    let body = format!(
        "grant_type=refresh_token&service=s&scope=repository:a:pull,push&refresh_token={token}"
    );
    let answer = Connection::open(server).request("POST", "/auth", &[], Some(&body));
    (answer.status == 200).then(|| answer.json()["scope"].as_str().unwrap().to_owned())
}

fn log_in(server: &str, account: &str, password: &str) -> Answer {
    let basic = BASE64.encode(format!("{account}:{password}").as_bytes());
    let header = format!("Basic {basic}");
    let url = "/auth?service=s&offline_token=true&scope=repository:a:pull,push";
    Connection::open(server).request("GET", url, &[("Authorization", &header)], None)
}

#[test]
fn a_login_has_the_labels_and_the_name_of_the_directory() {
    let mut setup = Setup::new();
    let (sesame, other) = Slapd::PASSWORDS;
    for (account, password, scope) in [
        ("ann", sesame, "repository:a:pull,push"),
        ("ANN", sesame, "repository:a:pull,push"),
        ("bob", other, "repository:a:pull"),
    ] {
        let answer = setup.log_in(account, password);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["scope"], scope);
        assert_eq!(answer.claims()["sub"], account.to_lowercase());
    }
    for (account, password) in [
        ("ann", "wrong"),
        ("ann", other),
        ("unknown", sesame),
        ("*", sesame),
        ("ann)(cn=*", sesame),
        ("twin", other),
        ("nopass", other),
        ("ann", ""),
    ] {
        assert_eq!(setup.log_in(account, password).status, 401, "{account}");
    }
    setup
        .server
        .wait_for_log("the filter finds more than one entry");
    let log = setup.server.log();
    for secret in [sesame, other, "wrong ", Slapd::READER_PASSWORD] {
        assert!(!log.contains(secret), "{secret}:\n{log}");
    }
}

#[test]
fn a_directory_s_session_has_the_labels_of_today_and_ends_with_its_user() {
    let setup = Setup::new();
    let answer = setup.log_in("ann", "sesame");
    let token = answer.json()["refresh_token"].as_str().unwrap().to_owned();
    let granted = |actions: &str| Some(format!("repository:a:{actions}"));
    assert_eq!(setup.refresh(&token), granted("pull,push"));
    setup.slapd.delete("cn=dev,ou=groups,dc=example,dc=com");
    assert_eq!(setup.refresh(&token), granted("pull"));
    setup.slapd.delete("uid=ann,ou=people,dc=example,dc=com");
    assert_eq!(setup.refresh(&token), None);
}

#[test]
fn a_directory_that_is_down_is_503_until_it_is_back() {
    let mut setup = Setup::new();
    assert_eq!(setup.log_in("ann", "sesame").status, 200);
    setup.slapd.kill();
    let answer = setup.log_in("ann", "sesame");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
    assert!(!answer.body.contains("127.0.0.1"), "{}", answer.body);
    setup
        .server
        .wait_for_log("no server can be reached: ldap://127.0.0.1:");
    setup.slapd.start_again();
    wait_until(|| setup.log_in("ann", "sesame").status == 200);
}

#[test]
fn a_server_starts_without_its_directory() {
    let mut setup = Setup::new();
    setup.slapd.kill();
    let config = fs::read_to_string(setup.server.config()).unwrap();
    let address = setup.server.host_port();
    let config = config
        .replace(&address, "@addr@")
        .replace("wharfinger.db", "other.db");
    let second = Server::start(Path::new(PROGRAM), &config);
    let ask = || log_in(&second.host_port(), "ann", "sesame").status;
    assert_eq!(ask(), 503);
    setup.slapd.start_again();
    wait_until(|| ask() == 200);
}

/// The file is read again when it changes, as every file that the configuration names.
#[test]
fn the_reader_s_password_can_change_while_the_server_runs() {
    let mut setup = Setup::new();
    assert_eq!(setup.log_in("ann", "sesame").status, 200);
    setup
        .slapd
        .replace(Slapd::READER, "userPassword", "reader-new");
    // The connection that is open already goes on.
    assert_eq!(setup.log_in("ann", "sesame").status, 200);
    fs::write(setup.folder.path().join("reader"), "reader-new\n").unwrap();
    setup.server.wait_for_log("configuration reloaded");
    assert_eq!(setup.log_in("ann", "sesame").status, 200);
    assert!(!setup.server.log().contains("reader-new"));
}

#[test]
fn the_authorities_can_change_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let [right, wrong] =
        ["right", "wrong"].map(|name| TestCertificate::new(TestKeyKind::P256, folder.path(), name));
    let slapd = Slapd::start(&SlapdConfig {
        tls: Some((right.certificate.clone(), right.key.clone())),
        ..SlapdConfig::default()
    });
    let trusted = folder.path().join("ca.pem");
    fs::copy(&wrong.certificate, &trusted).unwrap();
    let address = format!(
        "localhost:{}\n  tls: starttls\n  ca_certificate: @folder@/ca.pem",
        slapd.port()
    );
    let mut setup = Setup::with(folder, slapd, &address);
    assert_eq!(setup.log_in("ann", "sesame").status, 503);
    setup
        .server
        .wait_for_log("UnknownIssuer; set ldap_auth.ca_certificate to");
    fs::copy(&right.certificate, &trusted).unwrap();
    setup.server.wait_for_log("configuration reloaded");
    assert_eq!(setup.log_in("ann", "sesame").status, 200);
}

/// As the manual shows it for Active Directory.
const ACTIVE_DIRECTORY: &str = r#"
server: {addr: "@addr@"}
token: {issuer: Acme, expiration: 900, certificate: @folder@/token.pem, key: @folder@/token.key}
ldap_auth:
  addr: ldap://@ldap@
  tls: starttls
  ca_certificate: @ca@
  bind_dn: reader@ad.example.com
  bind_password_file: @folder@/reader
  base: DC=ad,DC=example,DC=com
  filter: (&(objectClass=user)(sAMAccountName=${account}))
  account_attribute: sAMAccountName
  group_search:
    base: OU=Groups,DC=ad,DC=example,DC=com
    filter: (member:1.2.840.113556.1.4.1941:=${dn})
    attribute: cn
    label: group
acl:
  - {match: {labels: {group: everyone}}, actions: ["*"]}
  - {match: {account: "/.+/"}, actions: [pull]}
refresh_tokens: {}
database: {url: "sqlite://@folder@/wharfinger.db"}
login: {remember: 0}
"#;

#[test]
fn an_active_directory_s_nested_groups_locks_and_changes_count() {
    let folder = tempfile::tempdir().unwrap();
    let samba = Samba::start();
    let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    fs::write(folder.path().join("reader"), Samba::PASSWORD).unwrap();
    let config = ACTIVE_DIRECTORY
        .replace("@ldap@", &samba.host())
        .replace("@ca@", samba.certificate().to_str().unwrap())
        .replace("@folder@", folder.path().to_str().unwrap());
    let mut server = Server::start(Path::new(PROGRAM), &config);
    let address = server.host_port();
    let granted = |actions: &str| Some(format!("repository:a:{actions}"));
    for (account, actions) in [("ann", "pull,push"), ("ANN", "pull,push"), ("jo", "pull")] {
        let answer = log_in(&address, account, Samba::PASSWORD);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["scope"].as_str(), granted(actions).as_deref());
        assert_eq!(answer.claims()["sub"], account.to_lowercase());
    }
    for (account, password) in [("ann", "wrong"), ("unknown", "wrong")] {
        assert_eq!(log_in(&address, account, password).status, 401, "{account}");
    }
    let entry = samba.add_person("leaving");
    let session = || {
        let answer = log_in(&address, "leaving", Samba::PASSWORD);
        answer.json()["refresh_token"].as_str().unwrap().to_owned()
    };
    let token = session();
    assert_eq!(refresh(&address, &token), granted("pull"));
    samba.set_password(&entry, "sesame-new");
    assert_eq!(refresh(&address, &token), None);
    samba.set_password(&entry, Samba::PASSWORD);
    let token = session();
    for _ in 0..5 {
        assert_eq!(log_in(&address, "leaving", "wrong").status, 401);
    }
    assert_eq!(log_in(&address, "leaving", Samba::PASSWORD).status, 401);
    server.wait_for_log("the account is locked");
    assert_eq!(refresh(&address, &token), granted("pull"));
    samba.change(&format!("dn: {entry}\nchangetype: delete\n"));
    assert_eq!(refresh(&address, &token), None);
    assert!(!server.log().contains(Samba::PASSWORD), "{}", server.log());
}

#[test]
fn reloads_under_load_fail_no_login() {
    let setup = Setup::new();
    let config = fs::read_to_string(setup.server.config()).unwrap();
    let address = setup.server.host_port();
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let answer = log_in(&address, "ann", "sesame");
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=20 {
            let lifetime = format!("expiration: {}", 900 + round);
            setup
                .server
                .rewrite(&config.replace("expiration: 900", &lifetime));
            setup.server.hang_up();
            let expires_in =
                || log_in(&address, "bob", Slapd::PASSWORDS.1).json()["expires_in"].as_u64();
            wait_until(|| expires_in() == Some(900 + round));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(answered.into_inner() > 20);
}
