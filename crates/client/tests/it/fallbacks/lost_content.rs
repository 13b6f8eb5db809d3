//! Registries that claim to have content which they have lost.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Registry;
use crate::stub::Reply;

/// Refuses the manifest of `b` until its two blobs have been sent, and claims to have what begins
/// with one of `claims`.
fn forgetful(claims: &'static [&str], status: u16, code: &'static str) -> Registry {
    let sent = AtomicUsize::new(0);
    Registry::start(move |request| {
        let path = request.path.split('?').next().unwrap();
        let claimed = |claim: &&str| format!("{} {path}", request.method).starts_with(*claim);
        if claims.iter().any(claimed) {
            let mounted = request.method == "POST" && request.path.contains("mount=");
            return (request.method == "HEAD" || mounted)
                .then(|| Reply::new(if mounted { 201 } else { 200 }));
        }
        match (request.method.as_str(), path) {
            ("PUT", path) if path.starts_with("/v2/b/manifests/") => {
                let error = format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
                (sent.load(Ordering::Relaxed) < 2).then(|| Reply::json(status, &error))
            }
            ("PUT", _) => {
                sent.fetch_add(1, Ordering::Relaxed);
                None
            }
            _ => None,
        }
    })
}

#[tokio::test]
async fn lost_content_is_sent_again_whatever_the_registry_claims_to_have() {
    const MANIFESTS: &str = "HEAD /v2/b/manifests/";
    const BLOBS: &str = "HEAD /v2/b/blobs/";
    const MOUNTS: &str = "POST /v2/b/blobs/uploads/";
    for claims in [
        &[MANIFESTS][..],
        &[BLOBS],
        &[MANIFESTS, BLOBS],
        &[MOUNTS],
        &[MANIFESTS, MOUNTS],
    ] {
        for (status, code) in [
            (400, "MANIFEST_BLOB_UNKNOWN"),
            (404, "MANIFEST_BLOB_UNKNOWN"),
            (404, "BLOB_UNKNOWN"),
            (400, "manifest_blob_unknown"),
        ] {
            let registry = forgetful(claims, status, code);
            let report = registry.copy_to("b").await;
            let report = report.unwrap_or_else(|error| panic!("{claims:?} {code}: {error}"));
            assert_eq!((report.sent, report.present), (2, 0), "{claims:?} {code}");
        }
    }
}

#[tokio::test]
async fn a_registry_that_never_accepts_the_manifest_is_not_asked_for_ever() {
    let registry = Registry::start(|request| {
        let error = r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"lost"}]}"#;
        match request.method.as_str() {
            "HEAD" => Some(Reply::new(200)),
            "PUT" if request.path.contains("/manifests/") => Some(Reply::json(400, error)),
            _ => None,
        }
    });
    let error = registry.copy_to("b").await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("MANIFEST_BLOB_UNKNOWN: lost"), "{source}");
    let lines = registry.stub.lines();
    let puts = lines
        .iter()
        .filter(|line| line.starts_with("PUT /v2/b/manifests/"));
    assert_eq!(puts.count(), 3, "{lines:#?}");
}

/// A source that lacks a blob cannot send it, however often it is asked.
#[tokio::test]
async fn what_the_source_lost_ends_the_copy() {
    let registry = Registry::start(|request| {
        let is_blob = request.method == "GET" && request.path.starts_with("/v2/a/blobs/");
        let error = r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#;
        is_blob.then(|| Reply::json(404, error))
    });
    registry.copy_to("b").await.unwrap_err();
    let lines = registry.stub.lines();
    let gets = lines
        .iter()
        .filter(|line| line.starts_with("GET /v2/a/blobs/"));
    assert_eq!(gets.count(), 1, "{lines:#?}");
}
