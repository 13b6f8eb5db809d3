//! The client of the API: its login, its retries, and servers that lie.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::{
    ApiClient, ApiError, ApiRoute, ErrorKind, LoginCredentials, Transport, TransportOptions,
};
use peers::ReservedAddress;
use serde_json::{Value, json};

use crate::stub::{Reply, Request, Stub, password};

const READ: &[(&str, &str)] = &[("users", "read")];
const WRITE: &[(&str, &str)] = &[("users", "write")];

fn client(stub: &Stub, credentials: LoginCredentials) -> ApiClient {
    let address = format!("http://{}", stub.host()).parse().unwrap();
    ApiClient::new(
        &Transport::new(TransportOptions::default()),
        address,
        credentials,
    )
}

fn route(name: &str, rights: &'static [(&'static str, &'static str)]) -> ApiRoute {
    ApiRoute::new(&["users", name], rights)
}

fn challenge() -> Reply {
    let challenge =
        r#"Bearer realm="http://@self@/auth",service="wharfinger",scope="wharfinger:users:read""#;
    Reply::new(401).header("WWW-Authenticate", challenge)
}

fn problem(status: u16, body: &str) -> Reply {
    Reply::new(status)
        .header("Content-Type", "application/problem+json; charset=utf-8")
        .body(body)
}

/// A server with an API, which answers what is asked with a token as `answer` says.
fn server(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Stub {
    Stub::start(move |request| match request.header("authorization") {
        _ if request.path.starts_with("/auth") => {
            Reply::json(200, r#"{"token":"access","refresh_token":"whr_1"}"#)
        }
        Some("Bearer access") => answer(request),
        _ => challenge(),
    })
}

/// What comes of a GET whose answer is `reply`.
async fn got(reply: Reply) -> Result<Value, ApiError> {
    let stub = server(move |_| reply.clone());
    let client = client(&stub, password("ann", "sesame"));
    let got = client.get(route("bob", READ)).await;
    got.map(|versioned| versioned.object)
}

#[tokio::test]
async fn a_token_is_requested_for_what_the_route_needs() {
    let stub = server(|request| {
        let tag = Reply::json(200, r#"{"name":"bob"}"#).header("ETag", "\"v1\"");
        match request.method.as_str() {
            "DELETE" => Reply::new(204),
            _ => tag,
        }
    });
    let client = client(&stub, password("ann", "sesame"));
    let bob = client.get::<Value>(route("bob", READ)).await.unwrap();
    let change = json!({"disabled": true});
    let version = bob.version.as_ref();
    let changed: Value = client
        .change(route("bob", WRITE), &change, version)
        .await
        .unwrap();
    assert_eq!(
        (&bob.object, &changed),
        (&json!({"name": "bob"}), &bob.object)
    );
    client.delete(route("bob", WRITE), version).await.unwrap();
    let token = "GET /auth?account=ann&client_id=wharfinger&service=wharfinger&scope=wharfinger";
    assert_eq!(
        stub.lines(),
        [
            "GET /api/v1/users/bob".to_owned(),
            format!("{token}%3Ausers%3Aread"),
            "GET /api/v1/users/bob".to_owned(),
            format!("{token}%3Ausers%3Awrite"),
            "PATCH /api/v1/users/bob".to_owned(),
            "DELETE /api/v1/users/bob".to_owned(),
        ]
    );
    let seen = stub.seen();
    let patch = &seen[4];
    assert_eq!(patch.header("if-match"), Some("\"v1\""));
    assert_eq!(
        patch.header("content-type"),
        Some("application/merge-patch+json")
    );
    assert_eq!(patch.text(), r#"{"disabled":true}"#);
    assert_eq!(seen[5].header("if-match"), Some("\"v1\""));
}

#[tokio::test]
async fn a_login_gives_a_refresh_token_of_the_api_s_service() {
    let stub = server(|_| Reply::json(200, r#"{"account":"ann","scopes":[]}"#));
    let granted = client(&stub, password("ann", "sesame"))
        .log_in()
        .await
        .unwrap();
    let refresh_token = granted.unwrap().refresh_token.unwrap();
    assert_eq!(refresh_token.expose(), "whr_1");
    assert_eq!(
        stub.lines(),
        [
            "GET /api/v1/account",
            "GET /auth?account=ann&client_id=wharfinger&offline_token=true&service=wharfinger\
             &scope=wharfinger%3Aown%3Aread",
            "GET /api/v1/account",
        ]
    );
    let stored = LoginCredentials::RefreshToken {
        user: Some("ann".into()),
        token: refresh_token,
    };
    let stub = server(|_| Reply::json(200, "{}"));
    client(&stub, stored)
        .get::<Value>(route("bob", READ))
        .await
        .unwrap();
    let request = &stub.seen()[1];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/auth")
    );
    assert!(
        request.text().contains("refresh_token=whr_1"),
        "{}",
        request.text()
    );
}

/// A creation that got no answer is sent again with the same key, and only once.
#[tokio::test]
async fn a_creation_that_got_no_answer_is_repeated_once_with_its_key() {
    for (breaks, is_created) in [(1, true), (9, false)] {
        let count = AtomicUsize::new(0);
        let stub = server(move |request| {
            let broken = request.method == "POST" && count.fetch_add(1, Ordering::SeqCst) < breaks;
            match broken {
                true => Reply::json(201, r#"{"name":"bob"}"#).breaking_after(3),
                false => Reply::json(201, r#"{"name":"bob"}"#),
            }
        });
        let client = client(&stub, password("ann", "sesame"));
        let list = ApiRoute::new(&["users"], WRITE);
        let created: Result<Value, _> = client.create(list, &json!({"name": "bob"})).await;
        assert_eq!(created.is_ok(), is_created, "{created:?}");
        let seen = stub.seen();
        let posts = seen.iter().filter(|request| {
            request.method == "POST" && request.header("authorization").is_some()
        });
        let keys: Vec<_> = posts
            .map(|post| post.header("idempotency-key").unwrap())
            .collect();
        assert_eq!(keys.len(), 2);
        assert!(keys[0] == keys[1] && keys[0].len() == 32, "{keys:?}");
    }
}

#[tokio::test]
async fn a_deletion_is_sent_once() {
    for reply in [
        Reply::new(503),
        Reply::new(204)
            .header("Content-Length", "9")
            .breaking_after(0),
    ] {
        let breaks = !reply.is(503);
        let stub = server(move |_| reply.clone());
        let client = client(&stub, password("ann", "sesame"));
        let deleted = client.delete(route("bob", WRITE), None).await;
        assert_eq!(deleted.is_ok(), breaks, "{deleted:?}");
        let lines = stub.lines();
        let deletions = lines.iter().filter(|line| line.starts_with("DELETE"));
        assert_eq!(
            deletions.count(),
            2,
            "without a token and with one: {lines:?}"
        );
    }
}

#[tokio::test]
async fn a_server_may_ask_to_wait_once() {
    for (retry_after, requests) in [("0", 2), ("3600", 1)] {
        let stub = server(move |_| {
            problem(429, r#"{"title":"Too many requests"}"#).header("Retry-After", retry_after)
        });
        let client = client(&stub, password("ann", "sesame"));
        let error = client.get::<Value>(route("bob", READ)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server);
        assert!(error.hint().unwrap().contains("later"));
        let seen = stub.seen();
        let authorized = seen
            .iter()
            .filter(|request| request.header("authorization") == Some("Bearer access"));
        assert_eq!(authorized.count(), requests, "Retry-After: {retry_after}");
    }
}

#[tokio::test]
async fn what_a_server_refuses_is_told_in_its_words() {
    let insufficient = r#"Bearer realm="http://@self@/auth",error="insufficient_scope",scope="wharfinger:users:read""#;
    for (reply, kind, words, hint) in [
        (
            problem(
                404,
                r#"{"detail":"there is no account \"bob\" in the database"}"#,
            ),
            ErrorKind::NotFound,
            "there is no account \"bob\" in the database",
            None,
        ),
        (
            problem(
                409,
                r#"{"type":"urn:wharfinger:problem:already-exists","detail":"taken"}"#,
            ),
            ErrorKind::Usage,
            "taken",
            None,
        ),
        (
            problem(422, r#"{"detail":"a\u001b[2J\nhint: run rm"}"#),
            ErrorKind::Usage,
            "a\u{1b}[2J hint: run rm",
            None,
        ),
        (
            problem(412, r#"{"detail":"the object has changed"}"#),
            ErrorKind::Usage,
            "the object has changed",
            Some("run the command again"),
        ),
        (
            problem(403, r#"{"detail":"no"}"#).header("WWW-Authenticate", insufficient),
            ErrorKind::Denied,
            "ann may not do this: the right wharfinger:users:read is missing",
            Some("--account ann --type wharfinger --name users --actions read`"),
        ),
        (
            problem(403, r#"{"detail":"not even then"}"#),
            ErrorKind::Denied,
            "not even then",
            None,
        ),
        (
            problem(500, r#"{"detail":"internal error"}"#),
            ErrorKind::Server,
            "internal error",
            None,
        ),
    ] {
        let error = got(reply).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, words));
        let told = error.hint();
        match hint {
            Some(hint) => assert!(told.as_ref().unwrap().contains(hint), "{told:?}"),
            None => assert_eq!(told, None, "{words}"),
        }
    }
}

#[tokio::test]
async fn a_server_without_an_api_and_one_that_wants_a_login() {
    for reply in [
        Reply::new(404).body("404 page not found"),
        Reply::json(404, r#"{"errors":[{"code":"NOT_FOUND","message":"?"}]}"#),
    ] {
        let stub = Stub::start(move |_| reply.clone());
        let client = client(&stub, password("ann", "sesame"));
        let error = client.get::<Value>(route("bob", READ)).await.unwrap_err();
        assert!(matches!(error, ApiError::Absent { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("section `api`"));
        let error = client.log_in().await.unwrap_err();
        assert!(matches!(error, ApiError::Absent { .. }), "{error:?}");
    }
    // The token server rejects the password; or it grants an anonymous token, which the API rejects.
    for (credentials, status) in [
        (password("ann", "wrong"), 401),
        (LoginCredentials::Anonymous, 200),
    ] {
        let stub = Stub::start(move |request| match request.path.starts_with("/auth") {
            true => Reply::json(status, r#"{"token":"anonymous"}"#),
            false => challenge(),
        });
        let client = client(&stub, credentials);
        let error = client.get::<Value>(route("bob", READ)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Login, "{error:?}");
        let hint = error.hint().unwrap();
        let login = format!("wharfinger login --server http://{}", stub.host());
        assert!(
            hint.contains(&login) && hint.contains("WHARFINGER_TOKEN"),
            "{hint}"
        );
    }
}

/// Else a server could have a token for another server sent to itself.
#[tokio::test]
async fn the_login_is_sent_to_no_other_server() {
    let other = Stub::start(|_| Reply::json(200, r#"{"token":"stolen"}"#));
    let realm = format!(
        r#"Bearer realm="http://{}/auth",service="wharfinger""#,
        other.host()
    );
    let stub = Stub::start(move |_| Reply::new(401).header("WWW-Authenticate", &realm));
    let client = client(&stub, password("ann", "sesame"));
    let error = client.get::<Value>(route("bob", READ)).await.unwrap_err();
    let words = error.to_string();
    assert!(
        words.contains("is another server, so the login is not sent"),
        "{words}"
    );
    client.log_in().await.unwrap_err();
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let other = Stub::start(|_| Reply::json(200, r#"{"name":"bob"}"#));
    for to in [
        format!("http://{}/api/v1/users/bob", other.host()),
        "/elsewhere".to_owned(),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let error = got(Reply::new(status).header("Location", &to))
                .await
                .unwrap_err();
            assert!(
                error.to_string().contains("which this server may not do"),
                "{error}"
            );
        }
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn what_is_not_the_expected_json_is_an_error_without_its_text() {
    let object = |text: &str| Reply::json(200, text);
    let stub = server(move |request| object(request.path.rsplit('/').next().unwrap()));
    let client = client(&stub, password("ann", "sesame"));
    #[derive(Debug, serde::Deserialize)]
    struct Named {
        #[expect(dead_code, reason = "it is only read")]
        name: String,
    }
    for name in ["secret", "7", "null"] {
        let got = client.get::<Named>(route(name, READ)).await;
        let error = got.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server);
        let words = error.to_string();
        assert!(
            words.contains("its body is not what the API sends, at 1:"),
            "{words}"
        );
        assert!(!words.contains("secret\""), "{words}");
    }
}

#[tokio::test]
async fn an_object_has_a_bound() {
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(2 << 20));
    let error = got(Reply::json(200, &long)).await.unwrap_err();
    assert!(
        error.to_string().contains("more than 1048576 bytes"),
        "{error}"
    );
    let deep = format!(r#"{{"name":{}"#, "[".repeat(100_000));
    assert_eq!(
        got(Reply::json(200, &deep)).await.unwrap_err().kind(),
        ErrorKind::Server
    );
}

#[tokio::test]
async fn pages_are_followed_to_their_end() {
    let page = |request: &Request| {
        let after = request.path.split("after=").nth(1);
        Reply::json(
            200,
            match after {
                None => r#"{"items":[1,2],"next":"b\u0026c"}"#,
                Some("b%26c") => r#"{"items":[3],"next":7}"#,
                Some("7") => r#"{"items":[4],"next":null}"#,
                Some(_) => r#"{"items":["wrong"]}"#,
            },
        )
    };
    let stub = server(page);
    let client = client(&stub, password("ann", "sesame"));
    let list = || ApiRoute::new(&["users"], READ).with("actor", "a b");
    let all: Vec<u32> = client.list(list(), "after", usize::MAX).await.unwrap();
    assert_eq!(all, [1, 2, 3, 4]);
    let some: Vec<u32> = client.list(list(), "after", 3).await.unwrap();
    assert_eq!(some, [1, 2, 3]);
    let lines = stub.lines();
    assert_eq!(lines[2], "GET /api/v1/users?actor=a+b&limit=1000");
    assert_eq!(
        lines[3],
        "GET /api/v1/users?actor=a+b&limit=1000&after=b%26c"
    );
    assert!(lines[5].ends_with("limit=3"), "{lines:?}");
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let count = AtomicUsize::new(0);
    type Answer = Box<dyn Fn(&Request) -> Reply + Send + Sync>;
    let cases: [(Answer, &str); 4] = [
        (
            Box::new(|_| Reply::json(200, r#"{"items":[1],"next":"same"}"#)),
            "stopped after 2 objects",
        ),
        (
            Box::new(move |_| {
                let next = count.fetch_add(1, Ordering::SeqCst);
                Reply::json(200, &format!(r#"{{"items":[1],"next":{next}}}"#))
            }),
            "stopped after 2000 objects",
        ),
        (
            Box::new(|_| {
                let next = "x".repeat(5000);
                Reply::json(200, &format!(r#"{{"items":[],"next":"{next}"}}"#))
            }),
            "stopped after 0 objects",
        ),
        (
            Box::new(|_| {
                let items = "1,".repeat(33 << 20);
                Reply::json(200, &format!(r#"{{"items":[{items}1],"next":null}}"#))
            }),
            "bytes",
        ),
    ];
    for (answer, words) in cases {
        let stub = server(answer);
        let client = client(&stub, password("ann", "sesame"));
        let list = ApiRoute::new(&["users"], READ);
        let all = client.list::<u8>(list, "after", usize::MAX).await;
        let error = all.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_or_silent() {
    let nowhere = ReservedAddress::new();
    let address = format!("http://{nowhere}").parse().unwrap();
    let transport = Transport::new(TransportOptions::default());
    let away = ApiClient::new(&transport, address, password("ann", "sesame"));
    let error = away.get::<Value>(route("bob", READ)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);

    let stub = server(|_| Reply::new(200).after(Duration::from_secs(60)));
    let transport = Transport::new(TransportOptions {
        patience: Duration::from_millis(50),
        ..TransportOptions::default()
    });
    let address = format!("http://{}", stub.host()).parse().unwrap();
    let silent = ApiClient::new(&transport, address, password("ann", "sesame"));
    let error = silent.get::<Value>(route("bob", READ)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}
