//! Layers that are pulled, and uploads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::{ProbeTarget, ProbeVerdict, TransportOptions, run_probes};

use super::{examined, fails, of, says, stub, target, warns};
use crate::stub::{Reply, Stub};

#[tokio::test]
async fn layers_that_come_from_elsewhere() {
    let manifest = |blob: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{0}","config":{{"mediaType":"x","digest":"{blob}","size":2}},"layers":[]}}"#,
            oci::media_type::OCI_MANIFEST
        )
    };
    let blob = crate::redirects::blob(b"{}").digest.to_string();
    let serving = |to: String| {
        let manifest = manifest(&blob);
        stub(move |request| match request.path.as_str() {
            "/v2/a/manifests/1" if request.header("authorization").is_some() => Some(
                Reply::new(200)
                    .header("Content-Type", oci::media_type::OCI_MANIFEST)
                    .body(&manifest),
            ),
            path if path.starts_with("/v2/a/blobs/sha256") => {
                Some(Reply::new(307).header("Location", &to))
            }
            _ => None,
        })
    };
    let picky = Stub::start(|request| match request.header("authorization") {
        Some(_) => Reply::new(400).body("Only one auth mechanism allowed"),
        None => Reply::new(200).body("{}"),
    });
    let image = |stub: &Stub| ProbeTarget {
        reference: Some("1".parse().unwrap()),
        ..target(stub)
    };
    let elsewhere = picky.host().replace("127.0.0.1", "localhost");
    let stub = serving(format!("http://{elsewhere}/bucket"));
    warns(
        &image(&stub),
        "pull",
        "rejects requests with an Authorization header",
        "Only one auth mechanism",
    )
    .await;
    let own = serving(format!("http://{}/bucket", picky.host()));
    fails(
        &image(&own),
        &["pull"],
        "send the token of 127.0.0.1 there",
        "a name that does not end with 127.0.0.1",
    )
    .await;
    let gone = serving("http://127.0.0.1:1/bucket".to_owned());
    fails(
        &image(&gone),
        &["pull"],
        "redirects layers to 127.0.0.1, which responds",
        "storage.redirect.disable",
    )
    .await;
}

#[tokio::test]
async fn uploads_that_go_wrong() {
    let pushing = |stub: &Stub| ProbeTarget {
        push: true,
        ..target(stub)
    };
    let count = AtomicUsize::new(0);
    let replicas = stub(move |request| {
        let asked = request.method == "GET" && request.path.contains("/uploads/1");
        (asked && count.fetch_add(1, Ordering::Relaxed) % 2 == 1).then(|| {
            Reply::json(
                404,
                r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown"}]}"#,
            )
        })
    });
    fails(
        &pushing(&replicas),
        &["push-session"],
        "not found on request 2 of 6",
        "the same http.secret",
    )
    .await;
    let inside = stub(|request| {
        (request.method == "POST" && request.header("authorization").is_some()).then(|| {
            Reply::new(202).header(
                "Location",
                "http://registry.internal:5000/v2/a/blobs/uploads/1?_state=x",
            )
        })
    });
    fails(
        &pushing(&inside),
        &["push-location"],
        "continues at http://registry.internal:5000",
        "X-Forwarded-Proto",
    )
    .await;
    let lengths = stub(|request| {
        (request.method == "PATCH").then(|| {
            Reply::new(411)
                .header("Server", "old-proxy/1")
                .header("Connection", "close")
        })
    });
    fails(
        &pushing(&lengths),
        &["push-body"],
        "Server: old-proxy/1",
        "Content-Length",
    )
    .await;
}

#[tokio::test]
async fn a_body_that_is_not_read() {
    let stub = stub(|request| {
        (request.method == "PATCH").then(|| Reply::new(202).after(Duration::from_secs(600)))
    });
    let options = TransportOptions {
        plain_http: true,
        patience: Duration::from_secs(4),
        ..TransportOptions::default()
    };
    let results = run_probes(
        &ProbeTarget {
            push: true,
            ..target(&stub)
        },
        options,
    )
    .await
    .unwrap();
    assert_eq!(
        of(&results, ProbeVerdict::Failure),
        ["push-body"],
        "{results:#?}"
    );
    says(
        &results,
        "push-body",
        "did not respond in time",
        "proxy_request_buffering off",
    );
    assert!(
        stub.lines().last().unwrap().starts_with("DELETE "),
        "the upload is cancelled nevertheless"
    );
}

/// The probe that shows whether storage accepts an Authorization header sends none that is worth
/// stealing.
#[tokio::test]
async fn the_storage_that_layers_come_from_gets_no_token() {
    let storage = std::sync::Arc::new(Stub::start(|_| Reply::new(200)));
    let to = format!("http://{}/layer", storage.host());
    let layer = format!("sha256:{}", "0a".repeat(32));
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"a/b","digest":"{layer}","size":1}},"layers":[{{"mediaType":"a/b","digest":"{layer}","size":1}}]}}"#
    );
    let stub = stub(move |request| {
        let opened = request
            .header("authorization")
            .is_some_and(|given| given.starts_with("Bearer ey"));
        match request.path.as_str() {
            "/v2/a/manifests/1" if opened => Some(
                Reply::new(200)
                    .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
                    .body(&manifest),
            ),
            path if opened && path.starts_with("/v2/a/blobs/") => {
                Some(Reply::new(307).header("Location", &to))
            }
            _ => None,
        }
    });
    let target = ProbeTarget {
        reference: Some("1".parse().unwrap()),
        ..target(&stub)
    };
    let results = examined(&target).await;
    says(&results, "pull", "sends its layers", "");
    assert_eq!(storage.seen().len(), 2);
    for request in storage.seen() {
        let given = request.header("authorization");
        assert!(
            given.is_none_or(|given| given == "Bearer false"),
            "{given:?}"
        );
    }
}
