//! `oidc_auth` with a certified provider whose refresh tokens rotate: a second use of one ends the
//! sign-in, so the program must use each one once.

use std::path::Path;
use std::time::Duration;

use peers::http::{self, Answer};
use peers::{OidcProviderServer, Server, TestCertificate, TestKeyKind};
use tempfile::TempDir;

use crate::sign_in::{shown_password, sign_in_by_page, wait_for_provider};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");
const CALLBACK: &str = "http://localhost/oidc_auth";

const CONFIG: &str = r#"
server: {addr: "@addr@", log: {level: trace}}
token: {issuer: Acme, expiration: 900, certificate: @folder@/token.pem, key: @folder@/token.key}
oidc_auth:
  issuer: @issuer@
  redirect_url: http://localhost/oidc_auth
  client_id: wharfinger
  client_secret: @secret@
  scopes: [openid, email, groups]
  label_claims: [groups]
  revalidate_after: 1s
acl: [{match: {account: ann@example.com, labels: {groups: red}}, actions: [pull]}]
login: {remember: 0}
refresh_tokens: {}
database: {url: "sqlite://@folder@/wharfinger.db"}
"#;

struct Setup {
    provider: OidcProviderServer,
    server: Server,
    _folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        Self::of(OidcProviderServer::start(CALLBACK))
    }

    fn of(provider: OidcProviderServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = CONFIG
            .replace("@folder@", folder.path().to_str().unwrap())
            .replace("@issuer@", &provider.issuer())
            .replace("@secret@", OidcProviderServer::CLIENT_SECRET);
        Self {
            server: Server::start(Path::new(PROGRAM), &config),
            provider,
            _folder: folder,
        }
    }

    fn sign_in(&self, user: &str) -> String {
        let agree = |url: &str| self.provider.sign_in(url, user);
        shown_password(&sign_in_by_page(&self.server, "/oidc_auth", agree))
    }

    fn log_in(&self, password: &str) -> Answer {
        let query = "service=reg&scope=repository:a:pull&offline_token=true";
        let login = format!("ann@example.com:{password}");
        http::request(&["-u", &login, &self.server.url(&format!("/auth?{query}"))])
    }

    /// Waits until the provider has to be asked again.
    fn wait_for_revalidation() {
        std::thread::sleep(Duration::from_millis(1100));
    }

    fn refreshes(&self) -> usize {
        self.provider
            .log()
            .matches("granted: refresh_token")
            .count()
    }
}

#[test]
fn rotation_over_three_refreshes_with_twenty_logins_at_once() {
    let setup = Setup::new();
    let password = setup.sign_in("ann");
    for round in 1..=3 {
        Setup::wait_for_revalidation();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let login = setup.log_in(&password);
                    assert_eq!(
                        login.status,
                        200,
                        "{}\n{}",
                        login.body,
                        setup.provider.log()
                    );
                    assert_eq!(login.json_string("scope"), Some("repository:a:pull"));
                });
            }
        });
        assert!(setup.refreshes() >= round, "{}", setup.provider.log());
    }
    let told = setup.provider.log();
    assert!(!told.contains("refused: "), "{told}");
    let log = setup.server.log();
    for secret in [&password, OidcProviderServer::CLIENT_SECRET] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn a_grant_that_is_revoked_ends_the_sign_in_and_its_sessions() {
    let mut setup = Setup::new();
    let password = setup.sign_in("ann");
    let login = setup.log_in(&password);
    let token = login.json_string("refresh_token").unwrap().to_owned();
    let refresh = || {
        let form = format!("grant_type=refresh_token&service=reg&refresh_token={token}");
        http::request(&["-d", &form, &setup.server.url("/auth")]).status
    };
    assert_eq!(refresh(), 200);
    setup.provider.revoke_all();
    Setup::wait_for_revalidation();
    assert_eq!(
        setup.log_in(&password).status,
        401,
        "{}",
        setup.provider.log()
    );
    assert_eq!(refresh(), 401);
    assert!(setup.provider.log().contains("refused: refresh_token"));
    setup.server.wait_for_log("must sign in again");
    // A new sign-in of the same user is good.
    let again = setup.sign_in("ann");
    assert_eq!(setup.log_in(&again).status, 200);
}

#[test]
fn a_provider_that_is_down_at_start_is_asked_when_it_is_there() {
    let mut provider = OidcProviderServer::start(CALLBACK);
    provider.kill();
    let mut setup = Setup::of(provider);
    let page = setup.server.url("/oidc_auth?start=1");
    assert_eq!(http::get(&page).status, 503);
    setup.provider.start_again();
    wait_for_provider(&setup.server, "/oidc_auth");
    let password = setup.sign_in("ann");
    assert_eq!(setup.log_in(&password).status, 200);
    setup.provider.kill();
    Setup::wait_for_revalidation();
    let down = setup.log_in(&password);
    assert_eq!(down.status, 503, "{}", down.body);
    assert!(down.header("retry-after").is_some());
}

/// The provider, too, checks what the program sends: it knows the callback, and wants PKCE.
#[test]
fn a_sign_in_that_was_tampered_with_signs_no_user_in() {
    let setup = Setup::new();
    let page = setup.server.url("/oidc_auth");
    let start = http::get(&format!("{page}?start=1"));
    let cookie = start.header("set-cookie").unwrap();
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let url = start.header("location").unwrap();
    let without_pkce: Vec<_> = url
        .split('&')
        .filter(|pair| !pair.starts_with("code_challenge"))
        .collect();
    let without_pkce = setup.provider.sign_in(&without_pkce.join("&"), "ann");
    assert!(
        without_pkce.contains("error=invalid_request"),
        "{without_pkce}"
    );

    let back = setup.provider.sign_in(url, "ann");
    let other_state = back.replace("state=", "state=x");
    let other_code = back.replace("code=", "code=x");
    for (back, cookie, status) in [
        (&without_pkce, cookie.as_str(), 400),
        (&other_state, &cookie, 400),
        (&back, "Cookie: none=none", 400),
        (&other_code, &cookie, 400),
    ] {
        let shown = http::request(&["-H", cookie, &format!("{page}?{back}")]);
        assert_eq!(shown.status, status, "{back}: {}", shown.body);
        assert!(!shown.body.contains("class=\"password\""), "{}", shown.body);
    }
}

#[test]
fn an_address_that_the_provider_has_not_verified_is_refused() {
    let setup = Setup::new();
    let page = setup.server.url("/oidc_auth");
    let start = http::get(&format!("{page}?start=1"));
    let cookie = start.header("set-cookie").unwrap();
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let back = setup
        .provider
        .sign_in(start.header("location").unwrap(), "unverified");
    let shown = http::request(&["-H", &cookie, &format!("{page}?{back}")]);
    assert_eq!(shown.status, 403, "{}", shown.body);
    assert!(shown.body.contains("verified"), "{}", shown.body);
}
