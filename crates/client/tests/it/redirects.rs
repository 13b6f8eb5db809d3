//! Redirects: tokens are not sent to other hosts.

use bytes::Bytes;
use client::{Error, LoginCredentials, RepositoryClient};
use oci::Descriptor;

use crate::stub::{Reply, Stub, password};

pub(crate) fn blob(content: &[u8]) -> Descriptor {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    serde_json::from_value(serde_json::json!({
        "mediaType": "application/octet-stream",
        "digest": format!("sha256:{}", data_encoding::HEXLOWER.encode(digest.as_ref())),
        "size": content.len(),
    }))
    .unwrap()
}

/// All of a download.
pub(crate) async fn fetch(
    repository: &RepositoryClient,
    blob: &Descriptor,
) -> Result<Vec<u8>, Error> {
    let mut download = repository.download(blob, 0);
    let mut content = Vec::new();
    while let Some(piece) = download.chunk().await? {
        content.extend(piece);
    }
    Ok(content)
}

#[tokio::test]
async fn storage_elsewhere_gets_no_token() {
    let content = Bytes::from_static(b"a layer");
    let store = Stub::start(move |request| match request.header("authorization") {
        // S3 rejects a token beside a signature.
        Some(_) => Reply::new(400).body("Only one auth mechanism allowed"),
        None => Reply::new(200).body("a layer"),
    });
    let to = format!("http://{}/bucket/x?X-Amz-Signature=0123", store.host());
    let stub = Stub::start(move |request| match request.header("authorization") {
        Some(_) => Reply::new(307).header("Location", &to),
        None => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
    });
    let repository = stub.repository("a", password("ann", "sesame")).await;
    assert_eq!(fetch(&repository, &blob(&content)).await.unwrap(), content);
    assert_eq!(store.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn on_the_same_host_they_go_along() {
    let stub =
        Stub::start(
            |request| match (request.path.as_str(), request.header("authorization")) {
                ("/moved", Some(_)) => Reply::new(200).body("a layer"),
                (_, Some(_)) => Reply::new(301).header("Location", "/moved"),
                _ => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
            },
        );
    let repository = stub.repository("a", password("ann", "sesame")).await;
    assert_eq!(
        fetch(&repository, &blob(b"a layer")).await.unwrap(),
        b"a layer"
    );
}

#[tokio::test]
async fn loops_and_nonsense_end() {
    for (location, expected) in [
        (
            "/v2/a/blobs/again",
            "after more redirects than are followed",
        ),
        ("http://[", "which is not a URL"),
        ("file:///etc/passwd", "which is neither http nor https"),
    ] {
        let stub = Stub::start(move |_| Reply::new(302).header("Location", location));
        let repository = stub.repository("a", LoginCredentials::Anonymous).await;
        let error = fetch(&repository, &blob(b"x"))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    let silent = Stub::start(|_| Reply::new(302));
    let error = fetch(
        &silent.repository("a", LoginCredentials::Anonymous).await,
        &blob(b"x"),
    )
    .await
    .unwrap_err();
    assert!(
        error.to_string().contains("it has no Location header"),
        "{error}"
    );
}

#[tokio::test]
async fn a_refresh_token_goes_to_no_other_host() {
    let thief = Stub::start(|_| Reply::json(200, r#"{"token":"t"}"#));
    let to = format!("http://{}/token", thief.host());
    let stub = Stub::start(move |request| match request.path.as_str() {
        "/token" => Reply::new(307).header("Location", &to),
        _ => Reply::new(401).header("WWW-Authenticate", "Bearer realm=\"http://@self@/token\""),
    });
    let login = LoginCredentials::RefreshToken {
        user: None,
        token: "secret".into(),
    };
    let error = fetch(&stub.repository("a", login).await, &blob(b"x"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("another host, which must not see the body of the request"),
        "{error}"
    );
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn a_challenge_of_another_host_is_not_answered() {
    let thief = Stub::start(|_| Reply::new(401).header("WWW-Authenticate", "Basic realm=x"));
    let to = format!("http://{}/x", thief.host());
    let stub = Stub::start(move |_| Reply::new(307).header("Location", &to));
    let repository = stub.repository("a", password("ann", "sesame")).await;
    assert!(fetch(&repository, &blob(b"x")).await.is_err());
    assert!(
        thief
            .seen()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
}
