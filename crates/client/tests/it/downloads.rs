//! Downloads that break, lie, or never end.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::{CopyOptions, Error, ImageSource, ImageTarget, LoginCredentials, OciLayout, copy};

use crate::redirects::{blob, fetch};
use crate::stub::{Reply, Request, Stub};

fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| u8::try_from(i % 251).unwrap() ^ u8::try_from(i / 251 % 251).unwrap())
        .collect()
}

/// Hands out `content` by ranges and breaks off after `piece` bytes each time.
fn fragile(content: Vec<u8>, piece: usize) -> impl Fn(&Request) -> Reply {
    move |request| {
        let begin = request.header("range").map_or(0, |range| {
            range
                .trim_start_matches("bytes=")
                .trim_end_matches('-')
                .parse::<usize>()
                .unwrap()
        });
        let reply = match begin {
            0 => Reply::new(200),
            _ => Reply::new(206).header(
                "Content-Range",
                &format!("bytes {begin}-{}/{}", content.len() - 1, content.len()),
            ),
        };
        let rest = &content[begin..];
        let reply = reply.body(rest);
        if rest.len() > piece {
            reply.breaking_after(piece)
        } else {
            reply
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let whole = content(1_000_000);
    let answer = fragile(whole.clone(), 150_000);
    let stub = Stub::start(move |request| answer(request));
    let repository = stub.repository("a", LoginCredentials::Anonymous).await;
    assert!(fetch(&repository, &blob(&whole)).await.unwrap() == whole);
    let ranges: Vec<_> = stub
        .seen()
        .iter()
        .map(|r| r.header("range").map(str::to_owned))
        .collect();
    assert_eq!(
        ranges[..3],
        [
            None,
            Some("bytes=150000-".into()),
            Some("bytes=300000-".into())
        ]
    );
    assert_eq!(ranges.len(), 7);
}

#[tokio::test]
async fn a_server_without_ranges_begins_again_and_nothing_comes_twice() {
    let whole = content(100_000);
    let (served, count) = (whole.clone(), AtomicUsize::new(0));
    let stub = Stub::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::new(200).body(&served).breaking_after(60_000),
        _ => Reply::new(200).body(&served),
    });
    let repository = stub.repository("a", LoginCredentials::Anonymous).await;
    assert!(fetch(&repository, &blob(&whole)).await.unwrap() == whole);
}

#[tokio::test]
async fn a_wrong_range_is_not_used_and_wrong_lengths_are_errors() {
    let count = AtomicUsize::new(0);
    let stub = Stub::start(move |request| match request.header("range") {
        None if count.fetch_add(1, Ordering::Relaxed) == 0 => {
            Reply::new(200).body("abcdefgh").breaking_after(4)
        }
        None => Reply::new(200).body("abcdefgh"),
        Some(_) => Reply::new(206)
            .header("Content-Range", "bytes 0-7/8")
            .body("abcdefgh"),
    });
    let repository = stub.repository("a", LoginCredentials::Anonymous).await;
    let content = fetch(&repository, &blob(b"abcdefgh")).await;
    assert_eq!(content.unwrap(), b"abcdefgh");
    let stub = Stub::start(|_| Reply::new(200).body("abc"));
    let repository = stub.repository("a", LoginCredentials::Anonymous).await;
    for (wanted, found) in [(&b"abcdefgh"[..], 3), (b"ab", 3)] {
        let error = fetch(&repository, &blob(wanted)).await.unwrap_err();
        assert!(
            matches!(error, Error::Size { found: f, .. } if f == found),
            "{error}"
        );
    }
}

#[tokio::test]
async fn nothing_that_looks_whole_is_left_of_a_wrong_layer() {
    let (layer, config) = (content(50_000), b"{}".to_vec());
    let manifest = image(&config, &layer);
    let stub = serving(
        manifest.clone(),
        vec![
            (blob(&config).digest.to_string(), config),
            (
                blob(&layer).digest.to_string(),
                content(50_000).into_iter().rev().collect(),
            ),
        ],
    );
    let directory = tempfile::tempdir().unwrap();
    let error = pull(&stub, directory.path()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Digest { expected, .. } if **expected == blob(&layer).digest),
        "{error}"
    );
    assert!(!directory.path().join("index.json").exists());
    let names: Vec<_> = fs::read_dir(directory.path().join("blobs/sha256"))
        .unwrap()
        .flatten()
        .collect();
    assert!(names.iter().all(|name| {
        !blob(&layer)
            .digest
            .to_string()
            .ends_with(name.file_name().to_str().unwrap())
    }));
    // A wrong beginning is of no use; that of another blob would be.
    let layer = format!("sha256-{}", blob(&layer).digest.encoded());
    assert!(!directory.path().join(".wharfinger").join(layer).exists());
}

#[tokio::test]
async fn a_pull_that_was_broken_off_goes_on() {
    let (layer, config) = (content(500_000), b"{}".to_vec());
    let manifest = image(&config, &layer);
    let digests = (
        blob(&layer).digest.to_string(),
        blob(&config).digest.to_string(),
    );
    let broken = AtomicUsize::new(0);
    let (served, layer_digest) = (layer.clone(), digests.0.clone());
    let stub = Stub::start(
        move |request| match request.path.rsplit('/').next().unwrap() {
            digest if digest == layer_digest => match (
                request.header("range"),
                broken.fetch_add(1, Ordering::Relaxed),
            ) {
                (_, 0) => Reply::new(200).body(&served).breaking_after(200_000),
                // Until the pull gives up.
                (_, 1) => Reply::new(404),
                (Some("bytes=200000-"), _) => Reply::new(206)
                    .header("Content-Range", "bytes 200000-499999/500000")
                    .body(&served[200_000..]),
                _ => Reply::new(500),
            },
            digest if digest == digests.1 => Reply::new(200).body("{}"),
            _ => manifest_reply(&manifest),
        },
    );
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(
        pull(&stub, directory.path()).await,
        Err(Error::NotFound { .. })
    ));
    assert_eq!(unfinished(directory.path()), 1);
    pull(&stub, directory.path()).await.unwrap();
    assert!(!directory.path().join(".wharfinger").exists());
    let hex = digests.0.trim_start_matches("sha256:");
    assert!(fs::read(directory.path().join("blobs/sha256").join(hex)).unwrap() == layer);
}

#[tokio::test]
async fn a_manifest_that_is_not_its_name_is_refused() {
    let stub = Stub::start(|_| manifest_reply("{}"));
    let repository = stub.repository("a", LoginCredentials::Anonymous).await;
    let digest = blob(b"something else").digest;
    let error = repository.manifest(&digest.into()).await.unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
    let long = Stub::start(|_| manifest_reply(&"x".repeat(9 * 1024 * 1024)));
    let error = long
        .repository("a", LoginCredentials::Anonymous)
        .await
        .manifest(&digest.into())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("its body has more than 8388608 bytes"),
        "{error}"
    );
}

fn image(config: &[u8], layer: &[u8]) -> String {
    let member = |content: &[u8]| serde_json::to_value(blob(content)).unwrap();
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": oci::media_type::OCI_MANIFEST,
        "config": member(config),
        "layers": [member(layer)],
    })
    .to_string()
}

fn manifest_reply(manifest: &str) -> Reply {
    Reply::new(200)
        .header("Content-Type", oci::media_type::OCI_MANIFEST)
        .body(manifest)
}

fn serving(manifest: String, blobs: Vec<(String, Vec<u8>)>) -> Stub {
    Stub::start(move |request| {
        let name = request.path.rsplit('/').next().unwrap();
        match blobs.iter().find(|(digest, _)| digest == name) {
            Some((_, content)) => Reply::new(200).body(content),
            None => manifest_reply(&manifest),
        }
    })
}

async fn pull(stub: &Stub, directory: &std::path::Path) -> Result<client::CopyReport, Error> {
    let source = ImageSource::Repository(stub.repository("a", LoginCredentials::Anonymous).await);
    let target = ImageTarget::Layout(OciLayout::new(directory));
    copy(
        &source,
        Some(&"latest".parse().unwrap()),
        &target,
        None,
        &CopyOptions::default(),
    )
    .await
}

fn unfinished(directory: &std::path::Path) -> usize {
    fs::read_dir(directory.join(".wharfinger")).map_or(0, Iterator::count)
}
