//! The page on which a person approves the login of a device: its steps, and what another site,
//! another browser or a stranger cannot do.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use auth::device::{
    DeviceDescription, DeviceLoginLimits, DeviceLoginPolicy, DeviceLoginSettings, DeviceLogins,
    FoundDeviceLogin, UserCode,
};
use common::{Clock, SystemEntropy};
use database::{Database, DatabaseLocation};
use event::Observers;
use http::{Method, StatusCode};
use identity::password::Bcrypt;
use identity::{
    Account, Accounts, Authenticator, AuthenticatorChain, Login, LoginCache, LoginLimiter,
    PasswordVerifier, Rate, SourceAddress, StaticUsers, WorkerPool,
};
use sign_in::{PageKey, SignInBackend, SignInPage, SignInServer, SignInServerSettings};
use tempfile::TempDir;

use crate::oidc_stub::OidcStub;
use crate::pages::{Browser, Page};
use crate::support::{Bench, START};

const PAGE: &str = "/p/device";

/// A server with device logins, the account `bob` with the password `secret`, and the users of a
/// provider.
struct DeviceBench {
    server: SignInServer,
    logins: Arc<DeviceLogins>,
    _folder: TempDir,
}

impl DeviceBench {
    fn new(bench: &Bench, ways: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = DatabaseLocation::at(folder.path().join("w.db"));
        let clock: Arc<dyn Clock> = bench.clock.clone();
        let logins = Arc::new(DeviceLogins::new(DeviceLoginSettings {
            database: Database::open_exclusive(&location).unwrap(),
            policy: DeviceLoginPolicy::default(),
            limits: Arc::new(DeviceLoginLimits::new(&clock, &SystemEntropy).unwrap()),
            login: Arc::new(login(bench, &clock)),
            clock,
            entropy: Arc::new(SystemEntropy),
            observers: Observers::new([]),
        }));
        let page = |_| SignInPage {
            accounts: bench.accounts.clone(),
            title: "Acme & Sons".to_owned(),
            registry: None,
        };
        let server = SignInServer::new(SignInServerSettings {
            pages: (0..ways).map(page).collect(),
            device_logins: Some(logins.clone()),
            path_prefix: "/p".to_owned(),
            hsts: None,
            key: PageKey::derived_from(b"key"),
            observers: Observers::default(),
        });
        Self {
            server,
            logins,
            _folder: folder,
        }
    }

    /// A device asks.
    async fn begin(&self) -> UserCode {
        let device = DeviceDescription {
            service: "registry.example.com".to_owned(),
            client_id: "wharfinger".to_owned(),
            device_name: "build-7 <b>\u{202e}".to_owned(),
            user_agent: "wharfinger/1".to_owned(),
            address: "192.0.2.99".to_owned(),
        };
        let begun = self.logins.begin(device, None).await.unwrap();
        begun.unwrap().user_code
    }

    async fn is_pending(&self, code: &UserCode) -> bool {
        let address = SourceAddress::client("192.0.2.50".parse().unwrap());
        let found = self.logins.find(code, address).await.unwrap();
        matches!(found, FoundDeviceLogin::Pending(_))
    }
}

fn login(bench: &Bench, clock: &Arc<dyn Clock>) -> Login {
    let hash = Bcrypt::hash(b"secret", [5; 16], 4).unwrap();
    let mut accounts = Accounts::default();
    let bob = Account {
        passwords: vec![hash.parse().unwrap()],
        ..Account::default()
    };
    accounts.add("bob".into(), bob).unwrap();
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
    let verifier = PasswordVerifier::new(workers, accounts.iter().map(|(_, account)| account));
    let verifier = Arc::new(verifier);
    let rate = Rate::per_minute(20);
    let limiter = LoginLimiter::new(rate, rate, clock.clone(), &SystemEntropy).unwrap();
    let backends: Vec<Box<dyn Authenticator>> = vec![
        Box::new(StaticUsers::new(accounts, verifier.clone())),
        Box::new(SignInBackend::new(bench.accounts.clone(), verifier.clone())),
    ];
    let cache = LoginCache::new(Duration::ZERO, clock.clone(), &SystemEntropy).unwrap();
    let chain = AuthenticatorChain::new(backends);
    Login::new(chain, cache, Arc::new(limiter), verifier)
}

/// The token of the page's form.
fn token(page: &Page) -> String {
    page.between("name=\"form_token\" value=\"", "\"")
}

/// Sends the form of `page`, as its button `action` does.
async fn press(
    browser: &mut Browser<'_>,
    page: &Page,
    action: &str,
    code: &UserCode,
    more: &str,
) -> Page {
    let form = format!(
        "form_token={}&user_code={code}&action={action}{more}",
        token(page)
    );
    browser.post(PAGE, &form).await
}

/// Signs `bob` in and gives the page with the decision.
async fn signed_in(browser: &mut Browser<'_>, code: &UserCode) -> Page {
    let first = browser.get(&format!("{PAGE}?user_code={code}")).await;
    let second = press(browser, &first, "code", code, "").await;
    let more = "&username=bob&password=secret";
    let sent = press(browser, &second, "sign_in", code, more).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
    let to = sent.header("location").to_owned();
    browser.get(to.strip_prefix("/outer").unwrap()).await
}

#[tokio::test]
async fn from_the_code_to_the_approval() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let devices = DeviceBench::new(&bench, 0);
    assert_eq!(devices.server.paths(), [PAGE]);
    let code = devices.begin().await;
    let mut browser = Browser::new(&devices.server);
    let empty = browser.get(PAGE).await;
    assert!(
        empty.body.contains("action=\"/outer/p/device\""),
        "{}",
        empty.body
    );
    let first = browser.get(&format!("{PAGE}?user_code={code}")).await;
    assert!(
        first.body.contains(&format!("value=\"{code}\"")),
        "{}",
        first.body
    );
    assert!(
        !first.body.contains("build-7"),
        "not before the person has signed in"
    );
    // As a person types it.
    let typed = code.letters().to_lowercase();
    let form = format!(
        "form_token={}&action=code&user_code=+{typed}",
        token(&first)
    );
    let second = browser.post(PAGE, &form).await;
    assert_eq!(second.status, StatusCode::OK);
    assert!(second.body.contains("type=\"password\"") && !second.body.contains("build-7"));
    let wrong = press(
        &mut browser,
        &second,
        "sign_in",
        &code,
        "&username=bob&password=x",
    )
    .await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.body.contains("role=\"alert\"") && wrong.body.contains("value=\"bob\""));
    bench.clock.pass(120);
    let page = signed_in(&mut browser, &code).await;
    assert_eq!(page.status, StatusCode::OK);
    for shown in [
        "<strong>bob</strong>",
        "<strong>registry.example.com</strong>",
        &code.to_string(),
        "192.0.2.99",
        "wharfinger (wharfinger/1)",
        "2 minutes ago",
        r"build-7 &#60;b&#62;\u{202e}",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(devices.is_pending(&code).await);
    let done = press(&mut browser, &page, "approve", &code, "").await;
    assert_eq!(done.status, StatusCode::OK);
    assert!(
        done.body.contains("The device is logged in"),
        "{}",
        done.body
    );
    assert!(!devices.is_pending(&code).await);
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
}

#[tokio::test]
async fn a_denied_login_is_over() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let devices = DeviceBench::new(&bench, 0);
    let code = devices.begin().await;
    let mut browser = Browser::new(&devices.server);
    let page = signed_in(&mut browser, &code).await;
    let done = press(&mut browser, &page, "deny", &code, "").await;
    assert!(done.body.contains("You denied the login"), "{}", done.body);
    assert!(!devices.is_pending(&code).await);
}

#[tokio::test]
async fn another_site_and_another_browser_decide_nothing() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let devices = DeviceBench::new(&bench, 0);
    let code = devices.begin().await;
    let mut browser = Browser::new(&devices.server);
    let page = signed_in(&mut browser, &code).await;
    let mut stranger = Browser::new(&devices.server);
    let strangers = stranger.get(PAGE).await;
    let form =
        |token: &str, action: &str| format!("form_token={token}&user_code={code}&action={action}");
    for (form, headers) in [
        (form("", "approve"), &[][..]),
        (form("AAAA", "approve"), &[]),
        (form(&token(&strangers), "approve"), &[]),
        (
            form(&token(&page), "approve"),
            &[("sec-fetch-site", "cross-site")],
        ),
        (
            form(&token(&page), "approve"),
            &[("sec-fetch-site", "same-site")],
        ),
        (form("", "code"), &[]),
        (form("", "sign_in"), &[]),
    ] {
        let refused = browser.send(Method::POST, PAGE, &form, headers).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{form} {headers:?}");
    }
    // A browser of its own does not help: the person has not signed in there.
    let refused = stranger
        .post(PAGE, &form(&token(&strangers), "approve"))
        .await;
    assert_eq!(refused.status, StatusCode::GONE);
    let seen = stranger.get(&format!("{PAGE}?user_code={code}")).await;
    assert!(!seen.body.contains("build-7"), "{}", seen.body);
    // No cookie, no form.
    let refused = Browser::new(&devices.server)
        .post(PAGE, &form(&token(&page), "approve"))
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let unknown = browser.post(PAGE, &form(&token(&page), "other")).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert!(devices.is_pending(&code).await);
    let done = browser.post(PAGE, &form(&token(&page), "approve")).await;
    assert_eq!(done.status, StatusCode::OK);
}

#[tokio::test]
async fn codes_that_are_wrong_or_over_are_said_to_be_and_limited() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let devices = DeviceBench::new(&bench, 0);
    let code = devices.begin().await;
    let mut browser = Browser::new(&devices.server);
    let page = browser.get(PAGE).await;
    let form = |code: &str, action: &str| {
        format!(
            "form_token={}&user_code={code}&action={action}",
            token(&page)
        )
    };
    for malformed in ["", "AEIO-UAEI", "BBBB", "%3Cb%3E", &"B".repeat(3000)] {
        let refused = browser.post(PAGE, &form(malformed, "code")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{malformed}");
        assert!(refused.body.contains("role=\"alert\""));
    }
    for action in ["code", "sign_in"].repeat(5) {
        let refused = browser.post(PAGE, &form("BBBB-BBBB", action)).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.body);
    }
    for action in ["code", "sign_in"] {
        let limited = browser.post(PAGE, &form(&code.to_string(), action)).await;
        assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(limited.header("retry-after"), "6");
    }
    bench.clock.pass(600);
    let over = browser.post(PAGE, &form(&code.to_string(), "code")).await;
    assert_eq!(over.status, StatusCode::NOT_FOUND);
    let long = "x".repeat(5000);
    for (method, body, status) in [
        (Method::PUT, "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Method::POST, &long, StatusCode::PAYLOAD_TOO_LARGE),
        (Method::HEAD, "", StatusCode::OK),
    ] {
        let page = browser.send(method.clone(), PAGE, body, &[]).await;
        assert_eq!(page.status, status, "{method}");
    }
    let below = browser.get(&format!("{PAGE}/x")).await;
    assert_eq!(below.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn wrong_passwords_are_limited() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let devices = DeviceBench::new(&bench, 0);
    let code = devices.begin().await;
    let mut browser = Browser::new(&devices.server);
    let first = browser.get(PAGE).await;
    let page = press(&mut browser, &first, "code", &code, "").await;
    let wrong = "&username=bob&password=x";
    for _ in 0..20 {
        let refused = press(&mut browser, &page, "sign_in", &code, wrong).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
    let limited = press(
        &mut browser,
        &page,
        "sign_in",
        &code,
        "&username=bob&password=secret",
    );
    let limited = limited.await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.header("retry-after"), "3");
    let nameless = press(&mut browser, &page, "sign_in", &code, "&password=secret").await;
    assert_eq!(nameless.status, StatusCode::BAD_REQUEST);
}

/// Signs a user of the provider in, from the link on the page, and gives the page that comes then.
async fn by_provider(stub: &OidcStub, browser: &mut Browser<'_>, code: &UserCode) -> Page {
    let first = browser.get(&format!("{PAGE}?user_code={code}")).await;
    let page = press(browser, &first, "code", code, "").await;
    assert!(page.body.contains("Acme"), "{}", page.body);
    let link = page.between("<a class=\"button\" href=\"/outer", "\"");
    let start = browser
        .get(&link.replace("&amp;", "&").replace("&#38;", "&"))
        .await;
    assert_eq!(start.status, StatusCode::SEE_OTHER);
    let back = stub.agree(start.header("location"));
    browser.get(&format!("/p/oidc_auth?{back}")).await
}

#[tokio::test]
async fn a_provider_signs_the_person_in() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let devices = DeviceBench::new(&bench, 1);
    let mut browser = Browser::new(&devices.server);
    let names = async || {
        let stored = bench.accounts.find("ann").await.unwrap().unwrap();
        let passwords = stored.passwords().into_iter();
        passwords.map(|password| password.name).collect::<Vec<_>>()
    };
    let code = devices.begin().await;
    let page = by_provider(&stub, &mut browser, &code).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("<strong>ann</strong>"), "{}", page.body);
    assert!(
        !page.body.contains("class=\"password\""),
        "no one sees the password"
    );
    let done = press(&mut browser, &page, "approve", &code, "").await;
    assert!(
        done.body.contains("The device is logged in"),
        "{}",
        done.body
    );
    assert_eq!(names().await, ["device login of 2026-11-01"]);
    // What is denied leaves nothing behind.
    let code = devices.begin().await;
    let page = by_provider(&stub, &mut browser, &code).await;
    assert_eq!(names().await.len(), 2);
    press(&mut browser, &page, "deny", &code, "").await;
    assert_eq!(names().await.len(), 1);
    // Nor does a login that is over when the person comes back.
    let code = devices.begin().await;
    let first = browser.get(PAGE).await;
    press(&mut browser, &first, "code", &code, "").await;
    let start = format!("/p/oidc_auth?start=1&device={}", code.letters());
    let start = browser.get(&start).await;
    let back = stub.agree(start.header("location"));
    let mut other = Browser::new(&devices.server);
    let page = signed_in(&mut other, &code).await;
    press(&mut other, &page, "deny", &code, "").await;
    let late = browser.get(&format!("/p/oidc_auth?{back}")).await;
    assert_eq!(late.status, StatusCode::NOT_FOUND, "{}", late.body);
    assert_eq!(names().await.len(), 1);
}

/// A person with another one's name at a provider does not get the account.
#[tokio::test]
async fn a_name_of_another_backend_is_not_signed_in_by_a_provider() {
    let stub = OidcStub::start(START);
    stub.state().claims["email"] = "bob".into();
    let bench = Bench::oidc(&stub);
    let devices = DeviceBench::new(&bench, 1);
    let mut browser = Browser::new(&devices.server);
    let code = devices.begin().await;
    let page = by_provider(&stub, &mut browser, &code).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.body);
    let stored = bench.accounts.find("bob").await.unwrap().unwrap();
    assert!(stored.passwords().is_empty());
    assert!(devices.is_pending(&code).await);
}
