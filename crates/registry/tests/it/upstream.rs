//! A registry that asks another one for what it does not have.

use std::sync::Arc;

use bytes::Bytes;
use common::BoxFuture;
use oci::{Digest, Reference, RepositoryName};
use registry::{
    Authentication, MemoryUpstream, RegistrySettings, Upstream, UpstreamBlob, UpstreamError,
};
use storage::StoredManifest;

use super::tokens::Issuer;
use super::world::{World, settings, sha256};

const INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

fn manifest(digest: Digest) -> StoredManifest {
    StoredManifest {
        digest,
        media_type: oci::media_type::OCI_INDEX.to_owned(),
        bytes: Bytes::from_static(INDEX.as_bytes()),
    }
}

fn upstream() -> MemoryUpstream {
    let (a, far): (RepositoryName, RepositoryName) = ("a".parse().unwrap(), "far".parse().unwrap());
    let digest = sha256(INDEX.as_bytes());
    let wrong = sha256(b"something else");
    MemoryUpstream::default()
        .with_manifest(far.clone(), "x".parse().unwrap(), manifest(digest))
        .with_manifest(far.clone(), digest.into(), manifest(digest))
        .with_manifest(far.clone(), wrong.into(), manifest(wrong))
        .with_manifest(a, "one".parse().unwrap(), manifest(digest))
        .with_blob(far, sha256(b"far away"), Bytes::from_static(b"far away"))
}

async fn world(auth: Authentication, upstream: Arc<dyn Upstream>) -> World {
    let upstream = Some(upstream);
    World::with(RegistrySettings {
        upstream,
        ..settings(auth)
    })
    .await
}

#[tokio::test]
async fn what_is_not_here_comes_from_upstream() {
    let world = world(Authentication::Open, Arc::new(upstream())).await;
    let digest = sha256(INDEX.as_bytes());
    for reference in ["x".to_owned(), digest.to_string()] {
        let path = format!("/v2/far/manifests/{reference}");
        let seen = world.get(&path, &[]).await;
        assert_eq!((seen.status, seen.text().as_str()), (200, INDEX), "{path}");
        assert_eq!(world.send("HEAD", &path, &[], b"").await.status, 200);
    }
    let blob = format!("/v2/far/blobs/{}", sha256(b"far away"));
    let seen = world.get(&blob, &[("range", "bytes=4-")]).await;
    assert_eq!((seen.status, seen.text().as_str()), (206, "away"));
    let seen = world.get(&blob, &[("range", "bytes=0-0,4-")]).await;
    assert_eq!(seen.status, 206);
    assert!(seen.text().contains("\r\n\r\naway\r\n"), "{}", seen.text());
    assert_eq!(world.send("HEAD", &blob, &[], b"").await.status, 200);
    // Content of this registry is not asked for. Content that neither has is unknown.
    let here = world.get("/v2/a/manifests/one", &[]).await;
    assert_eq!(here.text(), world.names["image.bytes"]);
    let nowhere = world.get("/v2/far/manifests/never", &[]).await;
    assert_eq!(
        (nowhere.status, nowhere.code().as_str()),
        (404, "NAME_UNKNOWN")
    );
    // A mount takes only content of this registry.
    let mount = format!(
        "/v2/a/blobs/uploads/?mount={}&from=far",
        sha256(b"far away")
    );
    assert_eq!(world.send("POST", &mount, &[], b"").await.status, 202);
}

#[tokio::test]
async fn content_with_another_digest_is_not_passed_on() {
    let world = world(Authentication::Open, Arc::new(upstream())).await;
    let path = format!("/v2/far/manifests/{}", sha256(b"something else"));
    let seen = world.get(&path, &[]).await;
    assert_eq!((seen.status, seen.code().as_str()), (500, "UNKNOWN"));
}

/// An upstream that fails each request.
struct Unavailable {
    may_be_asked: bool,
}

impl Unavailable {
    fn fail<T>(&self) -> Result<Option<T>, UpstreamError> {
        assert!(self.may_be_asked, "asked without access");
        Err(UpstreamError::Unavailable(Arc::new(std::io::Error::other(
            "no route to secret.example",
        ))))
    }
}

impl Upstream for Unavailable {
    fn manifest<'a>(
        &'a self,
        _: &'a RepositoryName,
        _: &'a Reference,
    ) -> BoxFuture<'a, Result<Option<Arc<StoredManifest>>, UpstreamError>> {
        Box::pin(async { self.fail() })
    }

    fn blob<'a>(
        &'a self,
        _: &'a RepositoryName,
        _: &'a Digest,
    ) -> BoxFuture<'a, Result<Option<Arc<dyn UpstreamBlob>>, UpstreamError>> {
        Box::pin(async { self.fail() })
    }
}

#[tokio::test]
async fn an_upstream_that_fails_is_not_an_upstream_that_has_nothing() {
    let upstream = Arc::new(Unavailable { may_be_asked: true });
    let world = world(Authentication::Open, upstream).await;
    let blob = format!("/v2/far/blobs/{}", sha256(b"x"));
    for path in ["/v2/far/manifests/x", &blob] {
        let seen = world.get(path, &[]).await;
        assert_eq!((seen.status, seen.code().as_str()), (503, "UNAVAILABLE"));
        assert!(seen.header("retry-after").is_some());
        assert!(!seen.text().contains("secret"), "{}", seen.text());
    }
}

#[tokio::test]
async fn upstream_is_asked_only_for_a_client_that_may_pull() {
    let upstream = Arc::new(Unavailable {
        may_be_asked: false,
    });
    let issuer = Issuer::new();
    let world = world(issuer.auth(), upstream).await;
    let bearer = issuer.bearer(&["repository:a:pull"]);
    for headers in [&[][..], &[("authorization", bearer.as_str())]] {
        assert_eq!(world.get("/v2/far/manifests/x", headers).await.status, 401);
    }
}
