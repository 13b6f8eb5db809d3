//! Transfers: large, slow, broken, and several at once.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame};
use oci::DigestAlgorithm;
use oci::media_type::OCI_MANIFEST;
use storage::hash::ContentHasher;

use super::script::fill;
use super::world::{World, sha256};

/// A body of these pieces, which then ends, breaks or hangs.
struct Pieces {
    pieces: Vec<Bytes>,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    Well,
    Broken,
    Never,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match (self.pieces.pop(), self.end) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            (None, End::Well) => Poll::Ready(None),
            (None, End::Broken) => Poll::Ready(Some(Err("the connection is gone"))),
            (None, End::Never) => Poll::Pending,
        }
    }
}

fn pieces(pieces: &[&'static [u8]], end: End) -> Pieces {
    Pieces {
        pieces: pieces
            .iter()
            .rev()
            .map(|piece| Bytes::from_static(piece))
            .collect(),
        end,
    }
}

async fn begin(world: &World) -> String {
    world
        .send("POST", "/v2/a/blobs/uploads/", &[], b"")
        .await
        .header("location")
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_body_of_unknown_length_is_a_blob_like_any_other() {
    let world = World::open().await;
    let location = begin(&world).await;
    let seen = world
        .send_body(
            "PATCH",
            &location,
            &[],
            pieces(&[b"hel", b"", b"lo"], End::Well),
        )
        .await;
    assert_eq!((seen.status, seen.header("range")), (202, Some("0-4")));
    let path = fill(&format!("{location}?digest={{hello}}"), &world.names, "");
    assert_eq!(world.send("PUT", &path, &[], b"").await.status, 201);
    let short = begin(&world).await;
    let seen = world
        .send_body(
            "PATCH",
            &short,
            &[("content-range", "0-9")],
            pieces(&[b"hel"], End::Well),
        )
        .await;
    assert_eq!((seen.status, seen.code().as_str()), (400, "SIZE_INVALID"));
    assert_eq!(
        world.get(&short, &[]).await.header("range"),
        Some("0-0"),
        "nothing was kept"
    );
}

#[tokio::test]
async fn what_came_of_a_broken_or_stalled_upload_is_kept() {
    let world = World::open().await;
    for (end, status) in [(End::Broken, 400), (End::Never, 408)] {
        let location = begin(&world).await;
        let seen = world
            .send_body("PATCH", &location, &[], pieces(&[b"hel"], end))
            .await;
        assert_eq!(seen.status, status);
        assert_eq!(world.get(&location, &[]).await.header("range"), Some("0-2"));
        let on = world
            .send("PATCH", &location, &[("content-range", "3-4")], b"lo")
            .await;
        assert_eq!(on.status, 202);
        let path = fill(&format!("{location}?digest={{hello}}"), &world.names, "");
        assert_eq!(world.send("PUT", &path, &[], b"").await.status, 201);
    }
    // A blob that is sent in one request cannot be continued.
    let path = fill("/v2/a/blobs/uploads/?digest={none}", &world.names, "");
    assert_eq!(
        world
            .send_body("POST", &path, &[], pieces(&[b"no"], End::Broken))
            .await
            .status,
        400
    );
    assert_eq!(
        world
            .send_body("PUT", "/v2/a/manifests/x", &[], pieces(&[b"{"], End::Never))
            .await
            .status,
        408
    );
}

/// A client that does not read keeps what is sent to it, on as many connections as it has.
#[tokio::test]
async fn one_client_s_large_bodies_share_a_part_of_the_memory() {
    let world = World::open().await;
    let (config, subject) = (&world.names["config"], &world.names["image"]);
    let text = "x".repeat(4_000_000);
    let descriptor =
        |digest: &str| format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":2}}"#);
    let large = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{},"layers":[],"subject":{},"annotations":{{"a":"{text}"}}}}"#,
        descriptor(config),
        descriptor(subject),
    );
    world.manifest("a", OCI_MANIFEST, &large, &["large"]).await;
    let (ann, bob): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let ask = async |client, path: &str, headers: &[(&str, &str)]| {
        let body = Full::new(Bytes::new());
        world.respond(client, "GET", path, headers, body).await
    };
    let manifest = "/v2/a/manifests/large";
    let referrers = format!("/v2/a/referrers/{subject}");
    let ranges = [("range", "bytes=0-9,100-199")];
    let cases: [(&str, &[(&str, &str)]); 4] = [
        (manifest, &[]),
        (manifest, &[("range", "bytes=7-")]),
        (manifest, &ranges),
        (&referrers, &[]),
    ];
    for (path, headers) in cases {
        let mut unread = Vec::new();
        let refused = loop {
            let response = ask(ann, path, headers).await;
            if !response.status().is_success() {
                break response;
            }
            unread.push(response);
            assert!(unread.len() < 20, "{path}: no end");
        };
        assert_eq!(unread.len(), 16, "{path}");
        assert_eq!(refused.status(), 429, "{path}");
        assert!(refused.headers().contains_key("retry-after"));
        // What arrives counts, too.
        let push = async |client| {
            let body = Full::new(Bytes::from(large.clone()));
            let headers = [("content-type", OCI_MANIFEST)];
            let path = "/v2/a/manifests/again";
            world.respond(client, "PUT", path, &headers, body).await
        };
        assert_eq!(push(ann).await.status(), 429);
        // What is small does not, and neither does another client.
        assert_eq!(ask(ann, "/v2/a/manifests/one", &[]).await.status(), 200);
        assert_eq!(ask(bob, path, headers).await.status().as_u16() / 100, 2);
        assert_eq!(push(bob).await.status(), 201);
        drop(unread);
        assert!(ask(ann, path, headers).await.status().is_success());
    }
}

#[tokio::test]
async fn a_large_blob_goes_in_and_out_as_it_is() {
    const PIECE: usize = 1 << 20;
    let world = World::open().await;
    let content: Vec<Bytes> = (0..64u8)
        .map(|number| Bytes::from(vec![number; PIECE]))
        .collect();
    let mut hasher = ContentHasher::new(DigestAlgorithm::Sha256);
    content.iter().for_each(|piece| hasher.update(piece));
    let digest = hasher.finish();
    let location = begin(&world).await;
    let body = Pieces {
        pieces: content.iter().rev().cloned().collect(),
        end: End::Well,
    };
    assert_eq!(
        world
            .send_body("PUT", &format!("{location}?digest={digest}"), &[], body)
            .await
            .status,
        201
    );
    let path = format!("/v2/a/blobs/{digest}");
    let seen = world.get(&path, &[("accept-encoding", "gzip")]).await;
    assert_eq!(
        (seen.header("content-encoding"), sha256(&seen.body)),
        (None, digest)
    );
    let across = world
        .get(
            &path,
            &[("range", &format!("bytes={}-{}", PIECE - 2, PIECE + 1))],
        )
        .await;
    assert_eq!((across.status, &across.body[..]), (206, &[0, 0, 1, 1][..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_blob_and_tag_from_many_sides_at_once() {
    let world = Arc::new(World::open().await);
    let mut pushers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let world = Arc::clone(&world);
        pushers.spawn(async move {
            let location = begin(&world).await;
            let blob = fill(&format!("{location}?digest={{hello}}"), &world.names, "");
            let blob = world.send("PUT", &blob, &[], b"hello").await.status;
            let manifest = world.names["image.bytes"].clone();
            let headers = [("content-type", oci::media_type::OCI_MANIFEST)];
            (
                blob,
                world
                    .send("PUT", "/v2/a/manifests/same", &headers, manifest.as_bytes())
                    .await
                    .status,
            )
        });
    }
    assert_eq!(pushers.join_all().await, vec![(201, 201); 16]);
}

/// A body that must not be read.
struct Untouched;

impl Body for Untouched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read");
    }
}

/// The server that holds the connection reads and discards the rest of it, or ends the connection.
#[tokio::test]
async fn the_body_of_a_refused_request_is_not_read() {
    let world = World::open().await;
    for headers in [&[("expect", "100-continue")][..], &[]] {
        let seen = world
            .send_body("PATCH", "/v2/a/blobs/uploads/junk", headers, Untouched)
            .await;
        assert_eq!(seen.status, 404);
    }
}
