//! The pages: from the link to the password, and what another site or browser cannot do.

use std::sync::Arc;

use bytes::Bytes;
use common::{ClientAddress, Origin, RequestContext};
use event::{MemoryObserver, Observer, Observers};
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use identity::AuthenticationOutcome;
use sign_in::{PageKey, SignInPage, SignInServer, SignInServerSettings};

use crate::oidc_stub::OidcStub;
use crate::support::{Bench, START};

/// A browser: it keeps cookies, and does not run scripts.
pub(crate) struct Browser<'a> {
    server: &'a SignInServer,
    pub(crate) cookies: Vec<(String, String)>,
}

pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The first text between these.
    #[track_caller]
    pub(crate) fn between(&self, before: &str, after: &str) -> String {
        let found = self
            .body
            .split_once(before)
            .and_then(|(_, rest)| rest.split_once(after));
        match found {
            Some((text, _)) => text.to_owned(),
            None => panic!("no {before}: {}", self.body),
        }
    }
}

pub(crate) fn context() -> RequestContext {
    let origin = Origin {
        scheme: "https",
        host: Some("auth.example.com".to_owned()),
        prefix: "/outer".to_owned(),
        certain: true,
    };
    let client = Ok(ClientAddress::direct("192.0.2.7".parse().ok()));
    RequestContext::new("192.0.2.7".parse().ok(), client, origin, "id-1".to_owned())
}

impl<'a> Browser<'a> {
    pub(crate) fn new(server: &'a SignInServer) -> Self {
        Self {
            server,
            cookies: Vec::new(),
        }
    }

    pub(crate) async fn get(&mut self, target: &str) -> Page {
        self.send(Method::GET, target, "", &[]).await
    }

    pub(crate) async fn post(&mut self, target: &str, form: &str) -> Page {
        self.send(Method::POST, target, form, &[]).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        target: &str,
        form: &str,
        more: &[(&str, &str)],
    ) -> Page {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        let mut request = Request::builder().method(method).uri(target);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if !form.is_empty() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::from(form.to_owned())))
            .unwrap();
        let response = self.server.respond(&context(), request).await;
        let (head, body) = response.into_parts();
        for cookie in head.headers.get_all(SET_COOKIE) {
            self.keep(cookie.to_str().unwrap());
        }
        let body = body.collect().await.unwrap().to_bytes();
        let page = Page {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        assert_is_safe(&page);
        page
    }

    /// As a browser does with `__Host-` cookies.
    fn keep(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        assert!(name.starts_with("__Host-"), "{cookie}");
        for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite="] {
            assert!(attributes.contains(attribute), "{cookie}");
        }
        assert!(!attributes.contains("Domain"), "{cookie}");
        self.cookies.retain(|(known, _)| known != name);
        if !attributes.contains("Max-Age=0") {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// Holds for every page.
fn assert_is_safe(page: &Page) {
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(
        policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    for absent in [
        "<script",
        "javascript:",
        "onclick",
        "src=",
        "<link",
        "url(",
        " style=",
    ] {
        assert!(!page.body.contains(absent), "{absent}: {}", page.body);
    }
    if !page.body.is_empty() {
        assert!(
            page.body.contains("<html lang=\"en\">") && page.body.contains("name=\"viewport\"")
        );
        assert_eq!(page.body.matches("<h1").count(), 1);
    }
}

fn server(benches: &[&Bench]) -> SignInServer {
    server_telling(benches, Observers::default())
}

fn server_telling(benches: &[&Bench], observers: Observers) -> SignInServer {
    SignInServer::new(SignInServerSettings {
        pages: benches
            .iter()
            .map(|bench| SignInPage {
                accounts: bench.accounts.clone(),
                title: "Acme & Sons".to_owned(),
                registry: None,
            })
            .collect(),
        device_logins: None,
        path_prefix: "/p".to_owned(),
        hsts: None,
        key: PageKey::derived_from(b"key"),
        observers,
    })
}

const PAGE: &str = "/p/oidc_auth";

/// Signs in and gives the page with the password.
async fn sign_in(stub: &OidcStub, browser: &mut Browser<'_>) -> Page {
    let start = browser.get(&format!("{PAGE}?start=1")).await;
    assert_eq!(start.status, StatusCode::SEE_OTHER);
    let back = stub.agree(start.header(LOCATION.as_str()));
    browser.get(&format!("{PAGE}?{back}")).await
}

#[tokio::test]
async fn a_user_signs_in_and_sees_the_password_once() {
    let stub = OidcStub::start(START);
    stub.state().claims["email"] = "o'neil".into();
    let bench = Bench::oidc(&stub);
    let server = server(&[&bench]);
    let mut browser = Browser::new(&server);
    let first = browser.get(PAGE).await;
    assert_eq!(first.status, StatusCode::OK);
    assert!(
        first.body.contains("href=\"/outer/p/oidc_auth?start=1\""),
        "{}",
        first.body
    );
    assert!(first.body.contains("Acme &amp; Sons") || first.body.contains("Acme &#38; Sons"));
    let page = sign_in(&stub, &mut browser).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let password = page.between("<code class=\"password\">", "</code>");
    let outcome = bench
        .log_in("o'neil", &password.as_str().into())
        .await
        .unwrap();
    assert!(matches!(outcome, AuthenticationOutcome::Accepted(_)));
    let command = page.between("<code>echo ", "</code>");
    assert!(
        command.starts_with(&format!("{password} | docker login -u ")),
        "{command}"
    );
    assert!(
        command.ends_with(" --password-stdin auth.example.com"),
        "{command}"
    );
    for program in ["docker", "podman", "nerdctl"] {
        assert!(page.body.contains(&format!("{program} login -u")));
    }
    // The browser's cookie of the attempt is gone, and the page shows the password no more.
    assert!(
        browser
            .cookies
            .iter()
            .all(|(name, _)| !name.ends_with("-attempt"))
    );
    let again = browser.get(PAGE).await;
    assert!(again.body.contains("sign-in of 2026-11-01") && !again.body.contains(&password));
}

#[tokio::test]
async fn the_index_leads_to_the_only_way_and_lists_several() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let one = server(&[&bench]);
    assert_eq!(one.paths(), ["/p/", "/p/oidc_auth"]);
    let index = Browser::new(&one).get("/p/").await;
    assert_eq!(index.status, StatusCode::SEE_OTHER);
    assert_eq!(index.header("location"), "/outer/p/oidc_auth");
    let two = server(&[&bench, &bench]);
    let index = Browser::new(&two).get("/p/").await;
    assert_eq!(index.body.matches("/outer/p/oidc_auth").count(), 2);
    for (method, target, status) in [
        (Method::GET, "/p/github_auth", StatusCode::NOT_FOUND),
        (Method::GET, "/p/oidc_auth/x", StatusCode::NOT_FOUND),
        (Method::GET, "/oidc_auth", StatusCode::NOT_FOUND),
        (Method::PUT, PAGE, StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/p/", StatusCode::METHOD_NOT_ALLOWED),
        (Method::HEAD, PAGE, StatusCode::OK),
    ] {
        let page = Browser::new(&one)
            .send(method.clone(), target, "", &[])
            .await;
        assert_eq!(page.status, status, "{method} {target}");
    }
}

#[tokio::test]
async fn a_callback_of_another_browser_or_sign_in_is_refused() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let server = server(&[&bench]);
    let mut victim = Browser::new(&server);
    let mut attacker = Browser::new(&server);
    let start = attacker.get(&format!("{PAGE}?start=1")).await;
    let back = stub.agree(start.header("location"));
    // The attacker's code in the victim's browser, with and without a sign-in of its own.
    let callback = format!("{PAGE}?{back}");
    assert_eq!(victim.get(&callback).await.status, StatusCode::BAD_REQUEST);
    victim.get(&format!("{PAGE}?start=1")).await;
    assert_eq!(victim.get(&callback).await.status, StatusCode::BAD_REQUEST);
    for wrong in ["code=code-0", "code=code-0&state=", "code=code-0&state=x"] {
        let page = attacker.get(&format!("{PAGE}?{wrong}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert!(
        stub.requests()
            .iter()
            .all(|request| request.path != "/token")
    );
    // In the browser that began it, it is good, once.
    assert_eq!(attacker.get(&callback).await.status, StatusCode::OK);
    assert_eq!(
        attacker.get(&callback).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn forms_make_and_revoke_passwords() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let server = server(&[&bench]);
    let mut browser = Browser::new(&server);
    let page = sign_in(&stub, &mut browser).await;
    let first = page.between("<code class=\"password\">", "</code>");
    let token = page.between("name=\"form_token\" value=\"", "\"");
    let form = format!("form_token={token}&action=create&name=+laptop%0A%3Cb%3E+");
    let made = browser.post(PAGE, &form).await;
    assert_eq!(made.status, StatusCode::OK);
    let second = made.between("<code class=\"password\">", "</code>");
    assert_ne!(first, second);
    assert!(
        made.body.contains("laptop&lt;b&gt;") || made.body.contains("laptop&#60;b&#62;"),
        "{}",
        made.body
    );
    // The list begins with the newest.
    let id = made.between("name=\"id\" value=\"", "\"");
    let form = format!("form_token={token}&action=revoke&id={id}");
    let revoked = browser.post(PAGE, &form).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER);
    assert_eq!(revoked.header("location"), "/outer/p/oidc_auth");
    let rejected = bench.log_in("ann", &second.as_str().into()).await.unwrap();
    assert!(matches!(rejected, AuthenticationOutcome::Rejected(_)));
    Bench::labels(bench.log_in("ann", &first.as_str().into()).await);
    let out = browser
        .post(PAGE, &format!("form_token={token}&action=sign_out"))
        .await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn another_site_sends_no_form() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let server = server(&[&bench]);
    let mut browser = Browser::new(&server);
    let page = sign_in(&stub, &mut browser).await;
    let token = page.between("name=\"form_token\" value=\"", "\"");
    let good = format!("form_token={token}&action=create&name=x");
    for (form, more) in [
        ("action=create&name=x", &[][..]),
        ("form_token=AAAA&action=create&name=x", &[]),
        (&good, &[("Sec-Fetch-Site", "cross-site")]),
        (&good, &[("Sec-Fetch-Site", "same-site")]),
    ] {
        let refused = browser.send(Method::POST, PAGE, form, more).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{form} {more:?}");
    }
    // Nor without the cookie, nor after its time.
    let refused = Browser::new(&server).post(PAGE, &good).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    bench.clock.pass(15 * 60);
    let refused = browser.post(PAGE, &good).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let passwords = bench
        .accounts
        .find("ann")
        .await
        .unwrap()
        .unwrap()
        .passwords();
    assert_eq!(passwords.len(), 1);
}

#[tokio::test]
async fn what_goes_wrong_is_said_in_words() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let server = server(&[&bench]);
    let mut browser = Browser::new(&server);
    for (query, status, words) in [
        (
            "error=access_denied&state=x",
            StatusCode::FORBIDDEN,
            "did not allow",
        ),
        (
            "error=temporarily_unavailable",
            StatusCode::SERVICE_UNAVAILABLE,
            "later",
        ),
        (
            "error=%3Cb%3E",
            StatusCode::BAD_REQUEST,
            "did not sign you in",
        ),
    ] {
        let page = browser.get(&format!("{PAGE}?{query}")).await;
        assert_eq!(page.status, status, "{query}");
        assert!(
            page.body.contains(words) && !page.body.contains("<b>"),
            "{}",
            page.body
        );
    }
    stub.state().claims["email_verified"] = false.into();
    let page = sign_in(&stub, &mut browser).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(
        page.body
            .contains("has not verified the e-mail address ann"),
        "{}",
        page.body
    );
    stub.state().broken = Some(500);
    let page = browser.get(&format!("{PAGE}?start=1")).await;
    // The document is known already, so the browser can be sent; the code fails.
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let back = stub.agree(page.header("location"));
    let page = browser.get(&format!("{PAGE}?{back}")).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn each_sign_in_is_an_event() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let memory = Arc::new(MemoryObserver::new(10));
    let observers = Observers::new([Arc::clone(&memory) as Arc<dyn Observer>]);
    let server = server_telling(&[&bench], observers);
    let mut browser = Browser::new(&server);
    sign_in(&stub, &mut browser).await;
    stub.state().claims["email_verified"] = false.into();
    let refused = sign_in(&stub, &mut browser).await;
    assert_ne!(refused.status, StatusCode::OK);
    let events = memory.events();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["event"], "login_accepted");
    assert_eq!(events[0]["backend"], "oidc_auth");
    assert_eq!(events[0]["account"], "ann");
    assert_eq!(events[1]["event"], "login_refused");
    assert!(events[1]["reason"].as_str().unwrap().len() > 10);
}
