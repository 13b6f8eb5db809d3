//! Device authorization (RFC 8628): what the client sends, and what it makes of each answer.

use std::sync::Mutex;

use client::{DeviceLoginEnd, Error, ErrorKind, LoginCredentials};

use crate::stub::{Reply, Request, Stub};

const CODES: &str = r#"{"device_code":"dc","user_code":"WDJB-MJHT",
    "verification_uri":"http://@self@/device","expires_in":600,"interval":1}"#;

/// A registry whose token server gives these answers: to the request of codes, and to the polls.
fn stub(codes: Reply, polls: Vec<Reply>) -> Stub {
    let polls = Mutex::new(polls.into_iter());
    Stub::start(move |request: &Request| match request.path.as_str() {
        "/token/device" => codes.clone(),
        "/token" => polls.lock().unwrap().next().unwrap(),
        _ if request.header("authorization") == Some("Bearer t") => Reply::new(200),
        _ => Reply::new(401).header(
            "WWW-Authenticate",
            r#"Bearer realm="http://@self@/token",service="s""#,
        ),
    })
}

fn error(code: &str) -> Reply {
    Reply::json(400, &format!(r#"{{"error":"{code}"}}"#))
}

async fn finish(polls: Vec<Reply>) -> (Stub, Result<client::IssuedToken, Error>) {
    let stub = stub(Reply::json(200, CODES), polls);
    let session = stub.session(LoginCredentials::Anonymous).await;
    let login = session.begin_device_login("box 7").await.unwrap();
    assert_eq!(login.user_code, "WDJB-MJHT");
    assert_eq!(
        login.verification_uri,
        format!("http://{}/device", stub.host())
    );
    let issued = session.finish_device_login(&login).await;
    (stub, issued)
}

/// RFC 8628 §3.5: it waits, slows down, and goes on after faults of the network and the server.
#[tokio::test]
async fn it_polls_until_there_is_a_token() {
    let token = r#"{"access_token":"t","refresh_token":"r","expires_in":60}"#;
    let (stub, issued) = finish(vec![
        error("authorization_pending"),
        Reply::new(503).header("Retry-After", "1"),
        Reply::json(200, "{}").breaking_after(1),
        error("slow_down"),
        Reply::json(200, token),
    ])
    .await;
    let issued = issued.unwrap();
    let stored = issued.stored_login();
    assert!(
        matches!(&stored, Some(LoginCredentials::RefreshToken { token, .. }) if token.expose() == "r")
    );
    let seen = stub.seen();
    let forms: Vec<_> = seen
        .iter()
        .map(Request::text)
        .filter(|form| !form.is_empty())
        .collect();
    assert_eq!(forms[0], "client_id=wharfinger&service=s&device_name=box+7");
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";
    for form in &forms[1..] {
        assert_eq!(
            *form,
            format!("{grant}&device_code=dc&client_id=wharfinger&service=s")
        );
    }
    assert_eq!(forms.len(), 6);
    // The token is tried at the registry before it is stored.
    assert_eq!(seen.last().unwrap().path, "/v2/");
}

#[tokio::test]
async fn it_ends_when_the_server_says_so() {
    for (code, end) in [
        ("access_denied", Some(DeviceLoginEnd::Denied)),
        ("expired_token", Some(DeviceLoginEnd::Expired)),
        ("invalid_grant", None),
        ("invalid_client", None),
    ] {
        let (_, ended) = finish(vec![error(code)]).await;
        let error = ended.unwrap_err();
        match end {
            Some(end) => {
                assert!(matches!(error, Error::DeviceLogin { end: found, .. } if found == end));
                assert_eq!(error.kind(), ErrorKind::Login);
            }
            None => assert!(matches!(error, Error::HttpErrorResponse { .. }), "{error}"),
        }
    }
    // Without a refresh token there is nothing to store.
    let (_, ended) = finish(vec![Reply::json(200, r#"{"token":"t"}"#)]).await;
    let error = ended.unwrap_err();
    assert!(error.to_string().contains("no refresh_token"), "{error}");
}

/// Its own clock ends it, too: a server may never say that the code has expired.
#[tokio::test]
async fn it_ends_in_time() {
    let codes = CODES.replace("600", "2");
    let stub = stub(
        Reply::json(200, &codes),
        vec![error("authorization_pending"); 9],
    );
    let session = stub.session(LoginCredentials::Anonymous).await;
    let login = session.begin_device_login("").await.unwrap();
    let error = session.finish_device_login(&login).await.unwrap_err();
    assert!(matches!(
        error,
        Error::DeviceLogin {
            end: DeviceLoginEnd::Expired,
            ..
        }
    ));
    assert_eq!(stub.seen().last().unwrap().path, "/token");
}

#[tokio::test]
async fn a_server_without_such_logins_is_named() {
    for codes in [
        Reply::new(404).body("404 page not found"),
        Reply::new(405),
        Reply::new(501),
        Reply::new(401).body("unauthorized"),
        Reply::new(403),
        Reply::new(200).body("<html>Sign in</html>"),
        Reply::json(400, r#"{"error":"unsupported_grant_type"}"#),
    ] {
        let stub = stub(codes, Vec::new());
        let session = stub.session(LoginCredentials::Anonymous).await;
        let error = session.begin_device_login("").await.unwrap_err();
        assert!(matches!(error, Error::NoDeviceLogin { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
    let basic = Stub::start(|_| Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\""));
    let session = basic.session(LoginCredentials::Anonymous).await;
    let error = session.begin_device_login("").await.unwrap_err();
    assert!(matches!(error, Error::NoDeviceLogin { .. }), "{error}");
    let open = Stub::start(|_| Reply::new(200));
    let session = open.session(LoginCredentials::Anonymous).await;
    let error = session.begin_device_login("").await.unwrap_err();
    assert!(error.to_string().contains("asks for no login"), "{error}");
}

#[tokio::test]
async fn codes_that_cannot_be_used_are_refused() {
    for (codes, what) in [
        ("{}".to_owned(), "`expires_in`"),
        (CODES.replace("\"dc\"", "\"\""), "`device_code`"),
        (CODES.replace("user_code", "code"), "`user_code`"),
        (
            CODES.replace("http://@self@/device", "javascript:alert(1)"),
            "address of a page",
        ),
        (
            CODES.replace("http://@self@/device", "device"),
            "address of a page",
        ),
        (
            CODES.replace(
                "\"interval\"",
                "\"verification_uri_complete\":\"file:///x\",\"interval\"",
            ),
            "address of a page",
        ),
    ] {
        let stub = stub(Reply::json(200, &codes), Vec::new());
        let session = stub.session(LoginCredentials::Anonymous).await;
        let error = session.begin_device_login("").await.unwrap_err();
        assert!(error.to_string().contains(what), "{codes}: {error}");
    }
}
