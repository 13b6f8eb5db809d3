//! Some requests only save time: mounts, existence checks, ranges, lists of referrers. When one fails,
//! the client transfers the content without it, and only a failure of that counts.

mod lost_content;
mod platforms;
mod referrers;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use client::{
    CopyOptions, CopyReport, Error, ImageSource, ImageTarget, LoginCredentials, OciLayout,
    RegistryClient, copy,
};
use oci::{Digest, DigestAlgorithm, Reference};

use crate::stub::{Reply, Request, Stub};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// SHA-256 by the library that the client uses, too.
fn digest(content: &[u8]) -> Digest {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    Digest::new(DigestAlgorithm::Sha256, hash.as_ref()).unwrap()
}

fn manifest(config: &[u8], layer: &[u8]) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}]}}"#,
        digest(config),
        config.len(),
        digest(layer),
        layer.len()
    )
}

/// A registry with the image `a:t`. Every other repository is empty and accepts pushes. If `broken`
/// has a response, that counts.
struct Registry {
    stub: Stub,
}

impl Registry {
    fn start(broken: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let image = manifest(b"{}", b"layer");
        let blobs: BTreeMap<String, &[u8]> = [&b"{}"[..], b"layer"]
            .map(|blob| (digest(blob).to_string(), blob))
            .into();
        let pushed = Mutex::new(BTreeMap::<String, Vec<u8>>::new());
        let stub = Stub::start(move |request| {
            if let Some(reply) = broken(request) {
                return reply;
            }
            let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
            let mut pushed = pushed.lock().unwrap();
            match (request.method.as_str(), path) {
                ("GET" | "HEAD", "/v2/a/manifests/t") => Reply::new(200)
                    .header("Content-Type", MANIFEST)
                    .body(&image),
                ("GET", path) if path.starts_with("/v2/a/blobs/") => {
                    match blobs.get(path.trim_start_matches("/v2/a/blobs/")) {
                        Some(blob) => Reply::new(200).body(blob),
                        None => Reply::new(404),
                    }
                }
                ("POST", _) => Reply::new(202).header("Location", "/v2/b/blobs/uploads/1"),
                ("PUT", path) => {
                    let key = query.replace("digest=sha256%3A", "sha256:");
                    pushed.insert(format!("{path}?{key}"), request.body.clone());
                    Reply::new(201)
                }
                _ => Reply::new(404),
            }
        });
        Self { stub }
    }

    async fn copy_to(&self, name: &str) -> Result<CopyReport, Error> {
        let session = self.stub.session(LoginCredentials::Anonymous).await;
        let registry = RegistryClient::new(session);
        let repository = |name: &str| registry.repository(name.parse().unwrap());
        let source = ImageSource::Repository(repository("a"));
        let target = ImageTarget::Repository(repository(name));
        let tag = "t".parse().unwrap();
        let reference = Reference::Tag("t".parse().unwrap());
        let options = CopyOptions {
            parallel: 1,
            ..CopyOptions::default()
        };
        copy(&source, Some(&reference), &target, Some(&tag), &options).await
    }
}

#[tokio::test]
async fn a_mount_that_fails_in_any_way_is_followed_by_an_upload() {
    for status in [
        200, 204, 301, 400, 401, 403, 404, 405, 406, 409, 410, 415, 416, 422, 429, 500, 501, 502,
        503, 504,
    ] {
        let registry = Registry::start(move |request| {
            request.path.contains("mount=").then(|| Reply::new(status))
        });
        let report = registry.copy_to("b").await;
        let report = report.unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!((report.sent, report.mounted), (2, 0), "{status}");
        let mounts = registry.stub.lines();
        let mounts = mounts.iter().filter(|line| line.contains("mount="));
        assert_eq!(mounts.count(), 2, "{status}: each is tried once");
    }
}

#[tokio::test]
async fn a_mount_that_breaks_the_connection_or_says_nothing_is_followed_by_an_upload() {
    let registry = Registry::start(|request| {
        let is_mount = request.path.contains("mount=");
        is_mount.then(|| Reply::new(202).body("x".repeat(100)).breaking_after(1))
    });
    assert_eq!(registry.copy_to("b").await.unwrap().sent, 2);
}

/// A token server may refuse the whole token when one of two scopes is not allowed.
#[tokio::test]
async fn a_token_that_is_refused_for_the_other_repository_is_not_the_end() {
    let registry = Registry::start(|request| {
        let authorized = request.header("authorization").is_some();
        let challenge = r#"Bearer realm="http://@self@/token",service="s""#;
        match request.path.split('?').next().unwrap() {
            "/token" if request.path.matches("scope=").count() > 1 => Some(Reply::new(403)),
            "/token" => Some(Reply::json(200, r#"{"token":"x"}"#)),
            _ if !authorized => Some(Reply::new(401).header("WWW-Authenticate", challenge)),
            _ => None,
        }
    });
    assert_eq!(registry.copy_to("b").await.unwrap().sent, 2);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_sent() {
    for status in [400, 401, 403, 405, 500, 501] {
        let registry = Registry::start(move |request| {
            let is_target = request.path.starts_with("/v2/b/");
            (request.method == "HEAD" && is_target).then(|| Reply::new(status))
        });
        let report = registry.copy_to("b").await;
        assert_eq!(report.unwrap().sent, 2, "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_cannot_delete_a_tag_is_told_from_one_without_the_tag() {
    let responses = || {
        let with = |code: &str| format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
        let mut replies: Vec<_> = [400, 404, 405, 406, 409, 410, 415, 422, 501]
            .map(Reply::new)
            .into();
        for code in [
            "UNSUPPORTED",
            "DIGEST_INVALID",
            "TAG_INVALID",
            "MANIFEST_INVALID",
        ] {
            replies.push(Reply::json(400, &with(code)));
        }
        replies.push(Reply::json(405, &with("UNSUPPORTED")));
        replies.push(Reply::json(404, &with("MANIFEST_UNKNOWN")));
        replies
    };
    let digest = digest(manifest(b"{}", b"layer").as_bytes());
    for (tag, exists) in [("t", true), ("gone", false)] {
        for reply in responses() {
            let told = format!("{tag} {reply:?}");
            let registry =
                Registry::start(move |request| (request.method == "DELETE").then(|| reply.clone()));
            let repository = registry
                .stub
                .repository("a", LoginCredentials::Anonymous)
                .await;
            let error = repository
                .delete_manifest(&tag.parse().unwrap())
                .await
                .unwrap_err()
                .to_string();
            let instead = format!("/a@{digest}, which deletes all tags of the image");
            assert_eq!(error.contains(&instead), exists, "{told}: {error}");
        }
    }
    // Missing rights and a server that fails are other things.
    for status in [401, 403, 500, 503] {
        let registry = Registry::start(move |request| {
            (request.method == "DELETE").then(|| Reply::new(status))
        });
        let repository = registry
            .stub
            .repository("a", LoginCredentials::Anonymous)
            .await;
        let error = repository.delete_manifest(&"t".parse().unwrap()).await;
        let error = error.unwrap_err().to_string();
        assert!(
            !error.contains("cannot delete the tag"),
            "{status}: {error}"
        );
    }
}

/// containerd does the same: some registries allow GET and not HEAD.
#[tokio::test]
async fn the_digest_is_fetched_when_head_is_refused() {
    for status in [401, 403, 405, 500] {
        let registry =
            Registry::start(move |request| (request.method == "HEAD").then(|| Reply::new(status)));
        let repository = registry
            .stub
            .repository("a", LoginCredentials::Anonymous)
            .await;
        let found = repository.digest(&"t".parse().unwrap()).await;
        let expected = digest(manifest(b"{}", b"layer").as_bytes());
        assert_eq!(found.unwrap(), expected, "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_refuses_ranges_is_asked_for_everything() {
    for status in [400, 403, 416, 501] {
        let content = vec![b'x'; 100_000];
        let (name, blob) = (digest(&content), content.clone());
        let broke = AtomicBool::new(false);
        let stub = Stub::start(move |request| {
            let reply = Reply::new(200).body(&blob);
            match request.header("range") {
                Some(_) => Reply::new(status),
                None if !broke.swap(true, Ordering::Relaxed) => reply.breaking_after(50_000),
                None => reply,
            }
        });
        let repository = stub.repository("a", LoginCredentials::Anonymous).await;
        let mut download = repository.download_unsized(name);
        let mut received = Vec::new();
        while let Some(piece) = download.verified_chunk().await.unwrap() {
            received.extend_from_slice(&piece);
        }
        assert_eq!(received, content, "{status}");
    }
}

#[tokio::test]
async fn an_upload_that_cannot_continue_begins_again() {
    for status in [400, 404, 416] {
        let patched = AtomicBool::new(false);
        let registry = Registry::start(move |request| {
            let first = !patched.load(Ordering::Relaxed);
            match request.method.as_str() {
                "PUT" if first && request.body == b"layer" => {
                    patched.store(true, Ordering::Relaxed);
                    Some(Reply::new(503))
                }
                "GET" if request.path == "/v2/b/blobs/uploads/1" => {
                    Some(Reply::new(204).header("Range", "0-1"))
                }
                "PATCH" => Some(Reply::new(status)),
                _ => None,
            }
        });
        let report = registry.copy_to("b").await;
        assert_eq!(report.unwrap().sent, 2, "{status}");
    }
}

#[tokio::test]
async fn a_layout_takes_an_image_from_a_registry_without_head() {
    let registry = Registry::start(|request| (request.method == "HEAD").then(|| Reply::new(405)));
    let repository = registry
        .stub
        .repository("a", LoginCredentials::Anonymous)
        .await;
    let directory = tempfile::tempdir().unwrap();
    let target = ImageTarget::Layout(OciLayout::new(directory.path()));
    let reference = Reference::Tag("t".parse().unwrap());
    let source = ImageSource::Repository(repository);
    let report = copy(
        &source,
        Some(&reference),
        &target,
        None,
        &CopyOptions::default(),
    )
    .await;
    assert_eq!(report.unwrap().sent, 2);
}
