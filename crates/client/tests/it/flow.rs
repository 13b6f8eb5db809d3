//! The six steps, and the ways in which token servers differ.

use std::sync::atomic::{AtomicUsize, Ordering};

use client::{Error, ErrorKind, LoginCredentials};

use crate::stub::{Reply, Request, Stub, password};

/// A registry that wants a token for everything, and a token server beside it that gives `token-1`,
/// `token-2`, …
fn registry(token_server: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Stub {
    Stub::start(
        move |request| match request.path.split('?').next().unwrap_or_default() {
            "/token" => token_server(request),
            path => {
                let scope = scope_of(path);
                let challenge =
                    format!(r#"Bearer realm="http://@self@/token",service="Acme registry"{scope}"#);
                match request.header("authorization") {
                    Some(given) if given.starts_with("Bearer token-") => {
                        Reply::json(200, r#"{"tags":["b","a"]}"#)
                    }
                    Some(_) => Reply::new(401).header(
                        "WWW-Authenticate",
                        &format!(r#"{challenge},error="invalid_token""#),
                    ),
                    None => Reply::new(401).header("WWW-Authenticate", &challenge),
                }
            }
        },
    )
}

fn scope_of(path: &str) -> String {
    match path
        .strip_prefix("/v2/")
        .and_then(|path| path.strip_suffix("/tags/list"))
    {
        Some(name) => format!(r#",scope="repository:{name}:pull""#),
        None => String::new(),
    }
}

fn counting() -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let count = AtomicUsize::new(0);
    move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        Reply::json(
            200,
            &format!(r#"{{"token":"token-{number}","expires_in":300}}"#),
        )
    }
}

/// A registry 3 and a token with the key ID of version 2, for example.
#[tokio::test]
async fn a_token_that_the_registry_rejects_is_no_missing_right() {
    let stub = registry(|_| Reply::json(200, r#"{"token":"other","expires_in":300}"#));
    let login = stub.session(password("ann", "sesame")).await.log_in().await;
    let request = stub.tags(password("ann", "sesame")).await;
    for error in [login.unwrap_err(), request.unwrap_err()] {
        assert!(error.to_string().ends_with("token rejected"), "{error}");
        let hint = error.hint().unwrap();
        let doctor = format!("`wharfinger doctor {}` finds out why", stub.host());
        assert!(hint.ends_with(&doctor), "{hint}");
    }
}

#[tokio::test]
async fn a_password_goes_to_the_token_server_alone_and_the_token_is_kept() {
    let stub = registry(counting());
    let repository = stub.repository("team/app", password("ann", "sesame")).await;
    for _ in 0..3 {
        assert_eq!(
            repository.tags(None).unwrap().all().await.unwrap(),
            ["a", "b"]
        );
    }
    let token = "/token?account=ann&client_id=wharfinger&service=Acme+registry&scope=repository%3Ateam%2Fapp%3Apull";
    let tags = "GET /v2/team/app/tags/list";
    assert_eq!(
        stub.lines(),
        [tags, &format!("GET {token}"), tags, tags, tags]
    );
    let authorizations: Vec<_> = stub
        .seen()
        .iter()
        .map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    let bearer = Some("Bearer token-1".to_owned());
    assert_eq!(
        authorizations,
        [
            None,
            Some("Basic YW5uOnNlc2FtZQ==".into()),
            bearer.clone(),
            bearer.clone(),
            bearer
        ]
    );
}

#[tokio::test]
async fn each_scope_has_its_token() {
    let stub = registry(counting());
    let session = stub.session(LoginCredentials::Anonymous).await;
    let registry = client::RegistryClient::new(session);
    for name in ["one", "two", "one"] {
        registry
            .repository(name.parse().unwrap())
            .all_tags()
            .await
            .unwrap();
    }
    let tokens = stub
        .lines()
        .iter()
        .filter(|line| line.contains("/token"))
        .count();
    // The client asks for the second token before the registry demands it: it knows the realm by
    // then.
    assert_eq!((tokens, stub.lines().len()), (2, 6));
    assert!(
        stub.seen()
            .iter()
            .all(|request| !request.path.contains("account="))
    );
}

#[tokio::test]
async fn a_token_that_is_rejected_is_replaced_once() {
    let issued = AtomicUsize::new(0);
    let stub = Stub::start(move |request| {
        let challenge = r#"Bearer realm="http://@self@/token",scope="repository:a:pull""#;
        match (
            request.path.starts_with("/token"),
            request.header("authorization"),
        ) {
            (true, _) => {
                let number = issued.fetch_add(1, Ordering::Relaxed);
                Reply::json(200, &format!(r#"{{"access_token":"t{number}"}}"#))
            }
            (_, Some("Bearer t1")) => Reply::json(200, r#"{"tags":[]}"#),
            _ => Reply::new(401).header("WWW-Authenticate", challenge),
        }
    });
    let repository = stub.repository("a", LoginCredentials::Anonymous).await;
    // The first token is fresh and refused: another one would be, too.
    assert_eq!(
        repository.all_tags().await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    // Now it is an old one, and another is asked for.
    assert!(repository.all_tags().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refresh_token_goes_by_post() {
    let stub = registry(|request| {
        assert_eq!(request.method, "POST");
        Reply::json(
            200,
            r#"{"access_token":"token-1","token":"","expires_in":300,"scope":"x"}"#,
        )
    });
    let login = LoginCredentials::RefreshToken {
        user: None,
        token: "r&r".into(),
    };
    stub.tags(login).await.unwrap();
    let posted = stub
        .seen()
        .into_iter()
        .find(|request| request.path == "/token")
        .unwrap();
    assert_eq!(
        posted.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(posted.header("authorization"), None);
    assert_eq!(
        posted.text(),
        "grant_type=refresh_token&refresh_token=r%26r&client_id=wharfinger&access_type=online&\
         service=Acme+registry&scope=repository%3Aa%3Apull"
    );
}

#[tokio::test]
async fn where_get_is_not_taken_a_password_goes_by_post() {
    let stub = registry(|request| match request.method.as_str() {
        "GET" => Reply::new(405),
        _ => Reply::json(200, r#"{"access_token":"token-1"}"#),
    });
    stub.tags(password("ann", "sesame")).await.unwrap();
    let posted = stub
        .seen()
        .into_iter()
        .find(|request| request.method == "POST")
        .unwrap();
    assert!(
        posted
            .text()
            .starts_with("grant_type=password&username=ann&password=sesame&"),
        "{}",
        posted.text()
    );
}

#[tokio::test]
async fn basic_needs_no_token_server() {
    let stub = Stub::start(|request| match request.header("authorization") {
        Some("Basic YW5uOnNlc2FtZQ==") => Reply::json(200, r#"{"tags":["x"]}"#),
        _ => Reply::json(
            401,
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
        )
        .header("WWW-Authenticate", "Basic realm=\"tests\""),
    });
    let tags = stub.tags(password("ann", "sesame")).await.unwrap();
    assert_eq!(tags.len(), 1);
    let wrong = stub.tags(password("ann", "wrong")).await.unwrap_err();
    assert!(
        matches!(&wrong, Error::LoginFailed { account: Some(ann), .. } if ann == "ann"),
        "{wrong}"
    );
    let error = stub.tags(LoginCredentials::Anonymous).await.unwrap_err();
    assert!(
        error
            .hint()
            .unwrap()
            .starts_with("no login was sent: log in with `wharfinger login 127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test]
async fn a_finished_token_is_sent_as_it_is() {
    let stub = registry(|_| panic!("no token is requested"));
    let login = LoginCredentials::AccessToken("token-ready".into());
    stub.tags(login).await.unwrap();
    assert_eq!(stub.lines().len(), 1);
}

#[tokio::test]
async fn a_wrong_password_is_told_from_missing_rights() {
    let refuses = |status: u16, body: &'static str| registry(move |_| Reply::json(status, body));
    let refused = refuses(
        401,
        r#"{"details":"incorrect username or password","error":"unauthorized"}"#,
    );
    let error = refused.tags(password("ann", "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Login);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.ends_with(
            "/token responded 401 Unauthorized: unauthorized: incorrect username or password"
        ),
        "{source}"
    );
    let gone = refuses(400, r#"{"error":"invalid_grant"}"#);
    let login = LoginCredentials::RefreshToken {
        user: None,
        token: "r".into(),
    };
    let error = gone.tags(login).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.hint().unwrap().contains("log in again")),
        (ErrorKind::Login, true)
    );
    let forbidden = refuses(403, "no");
    let error = forbidden.tags(password("ann", "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn what_is_no_challenge_is_said() {
    for (header, expected) in [
        ("", "has no WWW-Authenticate header"),
        ("Negotiate", "asks for Negotiate authentication"),
        (
            "Bearer service=\"a\"",
            "asks for a token, but its challenge has no realm",
        ),
        (
            "Bearer realm=\"/token\"",
            "its realm \"/token\" is not an absolute URL",
        ),
        ("Bearer realm=\"ftp://a/\"", "is not an http or https URL"),
        ("Bearer realm=\"http://", "a quote that never closes"),
    ] {
        let stub = Stub::start(move |_| match header {
            "" => Reply::new(401),
            header => Reply::new(401).header("WWW-Authenticate", header),
        });
        let error = stub
            .tags(LoginCredentials::Anonymous)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{header}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again() {
    let count = AtomicUsize::new(0);
    let stub = Stub::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::new(429).header("Retry-After", "0"),
        1 => Reply::new(503),
        2 => Reply::json(200, r#"{"tags":["x"]}"#).breaking_after(0),
        3 => Reply::new(503),
        _ => Reply::json(200, r#"{"tags":["x"]}"#),
    });
    // A body that breaks off is an error if the response is small. Earlier failures are retried.
    let repository = stub.repository("a", LoginCredentials::Anonymous).await;
    assert_eq!(
        repository.all_tags().await.unwrap_err().kind(),
        ErrorKind::Unreachable
    );
    assert_eq!(repository.all_tags().await.unwrap().len(), 1);
    assert_eq!(stub.lines().len(), 5);
}

#[tokio::test]
async fn an_impatient_server_s_wish_is_passed_on() {
    let stub = Stub::start(|_| {
        Reply::json(
            429,
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#,
        )
        .header("Retry-After", "3600")
    });
    let error = stub.tags(LoginCredentials::Anonymous).await.unwrap_err();
    assert!(
        matches!(&error, Error::HttpErrorResponse { source, .. } if source.has("TOOMANYREQUESTS")),
        "{error}"
    );
    assert_eq!(stub.lines().len(), 1);
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let count = AtomicUsize::new(0);
    let stub = Stub::start(move |_| {
        let link = format!(
            "<?page={}>; rel=\"next\"",
            count.fetch_add(1, Ordering::Relaxed)
        );
        Reply::json(200, r#"{"manifests":[]}"#).header("Link", &link)
    });
    let repository = stub.repository("a", LoginCredentials::Anonymous).await;
    let subject = format!("sha256:{}", "0a".repeat(32)).parse().unwrap();
    let error = repository.referrers(&subject, None).await.unwrap_err();
    assert!(error.to_string().contains("without end"), "{error}");
}

#[tokio::test]
async fn pages_are_followed_and_loops_are_not() {
    let stub = Stub::start(|request| match request.path.as_str() {
        "/v2/a/tags/list?n=2" => Reply::json(200, r#"{"tags":["b","c"]}"#)
            .header("Link", r#"</v2/a/tags/list?last=c&n=2>; rel="next""#),
        "/v2/a/tags/list?last=c&n=2" => Reply::json(200, r#"{"tags":["a"]}"#),
        "/v2/b/tags/list" => {
            Reply::json(200, "{}").header("Link", r#"</v2/b/tags/list>; rel="next""#)
        }
        _ => Reply::json(200, "{}").header("Link", r#"<http://elsewhere.example/>; rel="next""#),
    });
    let registry = client::RegistryClient::new(stub.session(LoginCredentials::Anonymous).await);
    let tags = |name: &str, n| {
        registry
            .repository(name.parse().unwrap())
            .tags(n)
            .unwrap()
            .all()
    };
    assert_eq!(tags("a", Some(2)).await.unwrap(), ["a", "b", "c"]);
    assert!(
        tags("b", None)
            .await
            .unwrap_err()
            .to_string()
            .contains("leads to the same page again")
    );
    assert!(
        tags("c", None)
            .await
            .unwrap_err()
            .to_string()
            .contains("leads to another origin")
    );
}
