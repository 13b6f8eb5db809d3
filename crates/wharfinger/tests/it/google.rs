//! `google_auth` in the running program. Google is a stub behind nginx, which has a certificate for
//! `accounts.google.com`; a proxy leads there.

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Clock, SystemClock, unix_seconds};
use peers::http::{self, Answer};
use peers::{Nginx, Proxy, Server, TestCertificate, TestKeyKind, run};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::oidc_stub::{CLIENT_SECRET, OidcStub};
use crate::sign_in::{shown_password, sign_in_by_page};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");
const GOOGLE: &str = "https://accounts.google.com";

/// The section as docker_auth's users have it: without an address to come back to.
const CONFIG: &str = r#"
server: {addr: "@addr@"}
token: {issuer: Acme, expiration: 900, certificate: @folder@/token.pem, key: @folder@/token.key}
google_auth:
  domain: example.com
  client_id: wharfinger
  client_secret: "@secret@"
  level_token_db: {path: @folder@/tokens.ldb}
acl: [{match: {account: ann@example.com}, actions: [pull]}]
database: {url: "sqlite://@folder@/wharfinger.db"}
"#;

struct Setup {
    google: OidcStub,
    server: Server,
    proxy: Proxy,
    _nginx: Nginx,
    _folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        let google = OidcStub::start(unix_seconds(SystemClock.now()));
        google.state().origin = Some(GOOGLE.to_owned());
        google.state().claims = json!({
            "sub": "7", "email": "ann@example.com", "email_verified": true, "hd": "example.com",
        });
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let (certificate, key) = certificate(folder.path());
        let nginx = Nginx::start(&format!(
            "listen @listen@ ssl; ssl_certificate {}; ssl_certificate_key {}; \
             location / {{ proxy_pass {}; }}",
            certificate.display(),
            key.display(),
            google.issuer(),
        ));
        let proxy = Proxy::start(&nginx.host_port(), None);
        let config = CONFIG
            .replace("@folder@", folder.path().to_str().unwrap())
            .replace("@secret@", CLIENT_SECRET);
        let environment = [
            format!("HTTPS_PROXY=http://{}", proxy.host_port()),
            format!("SSL_CERT_FILE={}", certificate.display()),
        ];
        let arguments = [&environment[0], &environment[1], PROGRAM, "serve"];
        Self {
            server: Server::start_as(Path::new("/usr/bin/env"), &arguments, &config),
            google,
            proxy,
            _nginx: nginx,
            _folder: folder,
        }
    }

    fn log_in(&self, password: &str) -> Answer {
        let login = format!("ann@example.com:{password}");
        let url = self.server.url("/auth?service=reg&scope=repository:a:pull");
        http::request(&["-u", &login, &url])
    }
}

/// A certificate for Google's host, and its key. OpenSSL's own would be that of an authority, which
/// no server may show.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let out = folder.join("google");
    let mut make = Command::new(PROGRAM);
    make.args(["certs", "new", "--host", "accounts.google.com", "--out"]);
    run(make.arg(&out)).succeeded();
    (out.with_extension("pem"), out.with_extension("key"))
}

#[test]
fn a_user_of_the_domain_signs_in() {
    let setup = Setup::new();
    let index = http::get(&setup.server.url("/"));
    assert_eq!(index.header("location"), Some("/google_auth"));
    let page = setup.server.url("/google_auth");
    let agree = |url: &str| {
        let redirect_uri: String = form_urlencoded::byte_serialize(page.as_bytes()).collect();
        assert!(
            url.contains(&format!("redirect_uri={redirect_uri}&")),
            "{url}"
        );
        setup.google.agree(url)
    };
    let password = shown_password(&sign_in_by_page(&setup.server, "/google_auth", agree));
    let login = setup.log_in(&password);
    assert_eq!(
        login.json_string("scope"),
        Some("repository:a:pull"),
        "{}",
        setup.server.log()
    );
    assert_eq!(setup.log_in("wrong").status, 401);
    assert_eq!(setup.proxy.seen()[0], "CONNECT accounts.google.com:443");
}

/// Google writes the issuer with and without the scheme.
#[test]
fn only_google_s_two_spellings_of_the_issuer_count() {
    let setup = Setup::new();
    let sign_in = |tamper: fn(&mut Value, &mut Value)| {
        setup.google.state().tamper = tamper;
        let page = setup.server.url("/google_auth");
        let start = http::get(&format!("{page}?start=1"));
        let cookie = start
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap();
        let back = setup.google.agree(start.header("location").unwrap());
        let cookie = format!("Cookie: {cookie}");
        http::request(&["-H", &cookie, &format!("{page}?{back}")])
    };
    let short = sign_in(|_, claims| claims["iss"] = "accounts.google.com".into());
    assert_eq!(short.status, 200, "{}", short.body);
    let other = sign_in(|_, claims| claims["iss"] = "https://accounts.google.com.example".into());
    assert_eq!(other.status, 400, "{}", other.body);
    let unverified = sign_in(|_, claims| claims["email_verified"] = false.into());
    assert_eq!(unverified.status, 403, "{}", unverified.body);
    let elsewhere = sign_in(|_, claims| claims["hd"] = "other.example".into());
    assert_eq!(elsewhere.status, 403, "{}", elsewhere.body);
}
