//! Uploads that break and registries that take their time.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::{CopyOptions, Error, ImageSource, ImageTarget, LoginCredentials, OciLayout, copy};
use peers::Image;

use crate::stub::{Reply, Stub, password};

async fn push(
    stub: &Stub,
    layout: &std::path::Path,
    login: client::LoginCredentials,
) -> Result<client::CopyReport, Error> {
    let source = ImageSource::Layout(OciLayout::new(layout));
    let target = ImageTarget::Repository(stub.repository("a", login).await);
    copy(
        &source,
        None,
        &target,
        Some(&"1".parse().unwrap()),
        &CopyOptions {
            parallel: 1,
            ..CopyOptions::default()
        },
    )
    .await
}

#[tokio::test]
async fn an_upload_that_breaks_goes_on_where_the_registry_says() {
    let image = Image::saying("broken uploads");
    let puts = AtomicUsize::new(0);
    let stub = Stub::start(move |request| {
        let upload = request.path.contains("/blobs/uploads/");
        match request.method.as_str() {
            "HEAD" => Reply::new(404),
            "POST" => Reply::new(202).header("Location", "/v2/a/blobs/uploads/1?_state=x"),
            // The first is taken to pieces on its way.
            "PUT" if upload && puts.fetch_add(1, Ordering::Relaxed) == 0 => Reply::new(503),
            "PATCH" => Reply::new(202).header("Location", "/v2/a/blobs/uploads/1?_state=y"),
            "GET" => Reply::new(204)
                .header("Location", "/v2/a/blobs/uploads/1?_state=z")
                .header("Range", "0-99"),
            _ => Reply::new(201),
        }
    });
    push(&stub, &image.layout(), LoginCredentials::Anonymous)
        .await
        .unwrap();
    let upload: Vec<_> = stub
        .seen()
        .into_iter()
        .filter(|r| r.path.contains("/uploads/"))
        .take(5)
        .collect();
    let lines: Vec<_> = upload
        .iter()
        .map(|r| format!("{} {}", r.method, r.path.split("&digest").next().unwrap()))
        .collect();
    assert_eq!(
        lines,
        [
            "POST /v2/a/blobs/uploads/",
            "PUT /v2/a/blobs/uploads/1?_state=x",
            "GET /v2/a/blobs/uploads/1?_state=x",
            "PATCH /v2/a/blobs/uploads/1?_state=z",
            "PUT /v2/a/blobs/uploads/1?_state=y"
        ]
    );
    let whole = &upload[1].body;
    assert_eq!(upload[3].body, whole[100..]);
    assert_eq!(
        upload[3].header("content-range"),
        Some(format!("100-{}", whole.len() - 1).as_str())
    );
    assert!(upload[4].body.is_empty());
}

#[tokio::test]
async fn a_token_that_ends_during_an_upload_is_replaced() {
    let image = Image::saying("long uploads");
    let tokens = AtomicUsize::new(0);
    let stub = Stub::start(move |request| {
        let ended = request.method == "PUT" && request.path.contains("/uploads/1");
        match (request.header("authorization"), request.method.as_str()) {
            _ if request.path.starts_with("/token") => {
                let number = tokens.fetch_add(1, Ordering::Relaxed) + 1;
                Reply::json(200, &format!(r#"{{"token":"token-{number}"}}"#))
            }
            (None, _) => {
                Reply::new(401).header("WWW-Authenticate", r#"Bearer realm="http://@self@/token""#)
            }
            (Some("Bearer token-1"), _) if ended => {
                let challenge = r#"Bearer realm="http://@self@/token",error="invalid_token""#;
                Reply::new(401).header("WWW-Authenticate", challenge)
            }
            (_, "HEAD") => Reply::new(404),
            (_, "POST") => Reply::new(202).header("Location", "/v2/a/blobs/uploads/1"),
            (_, "GET") => Reply::new(204)
                .header("Location", "/v2/a/blobs/uploads/1")
                .header("Range", "0-99"),
            (_, "PATCH") => Reply::new(202).header("Location", "/v2/a/blobs/uploads/1"),
            _ => Reply::new(201),
        }
    });
    push(&stub, &image.layout(), password("ann", "sesame"))
        .await
        .unwrap();
    let patched = stub
        .seen()
        .into_iter()
        .find(|request| request.method == "PATCH")
        .unwrap();
    assert_eq!(patched.header("authorization"), Some("Bearer token-2"));
}

#[tokio::test]
async fn content_that_is_not_its_name_never_leaves_whole() {
    let image = Image::saying("spoilt");
    for entry in fs::read_dir(image.layout().join("blobs/sha256"))
        .unwrap()
        .flatten()
    {
        // The layer is the only tar file.
        if entry.metadata().unwrap().len() > 5000 {
            let mut content = fs::read(entry.path()).unwrap();
            content[600] ^= 1;
            fs::write(entry.path(), content).unwrap();
        }
    }
    let stub = Stub::start(|request| match request.method.as_str() {
        "HEAD" => Reply::new(404),
        "POST" => Reply::new(202).header("Location", "/v2/a/blobs/uploads/1"),
        _ => Reply::new(201),
    });
    let error = push(&stub, &image.layout(), LoginCredentials::Anonymous)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
    assert!(
        stub.seen()
            .iter()
            .all(|request| !request.path.contains("/manifests/") || request.method == "HEAD")
    );
    assert!(
        stub.seen().iter().all(|request| request.body.len() < 5000),
        "the body broke off"
    );
}

#[tokio::test]
async fn an_upload_elsewhere_gets_no_token() {
    let image = Image::saying("elsewhere");
    let store = Stub::start(|_| Reply::new(201));
    let location = format!("http://{}/upload", store.host());
    let stub = Stub::start(move |request| {
        match (request.header("authorization"), request.method.as_str()) {
            (None, _) => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
            (_, "HEAD") => Reply::new(404),
            (_, "POST") => Reply::new(202).header("Location", &location),
            _ => Reply::new(201),
        }
    });
    push(&stub, &image.layout(), password("ann", "sesame"))
        .await
        .unwrap();
    assert_eq!(store.seen().len(), 2);
    assert!(
        store
            .seen()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
    assert!(store.lines()[0].starts_with("PUT /upload?digest=sha256"));
}

#[tokio::test]
async fn a_refusal_in_the_middle_says_why() {
    let image = Image::saying("too large");
    for (status, body, hint) in [
        (
            413,
            "<h1>413 Request Entity Too Large</h1>",
            "a proxy in front of the registry limits the size of requests: raise the limit (nginx: \
             `client_max_body_size 0;`)",
        ),
        (
            413,
            r#"{"errors":[{"code":"DENIED","message":"blob too large"}]}"#,
            "the registry itself limits the size: ask its operator (in Wharfinger's configuration: \
             registry.limits)",
        ),
        (
            507,
            r#"{"errors":[{"code":"UNAVAILABLE","message":"the disk is full"}]}"#,
            "the registry's disk is full: its operator must make space",
        ),
    ] {
        let stub = Stub::start(move |request| match request.method.as_str() {
            "HEAD" => Reply::new(404),
            "POST" => Reply::new(202).header("Location", "/v2/a/blobs/uploads/1"),
            _ => Reply::new(status)
                .header("Server", "nginx/1.22.1")
                .body(body),
        });
        let error = push(&stub, &image.layout(), LoginCredentials::Anonymous)
            .await
            .unwrap_err();
        assert_eq!(error.hint().as_deref(), Some(hint));
    }
}
