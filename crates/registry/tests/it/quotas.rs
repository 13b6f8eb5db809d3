//! Quotas, as clients see them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use event::{MemoryObserver, Observer, Observers};
use hyper::body::{Body, Frame, SizeHint};
use oci::Digest;
use registry::{Authentication, RegistrySettings};
use serde_json::{Value, json};
use storage::{Quota, QuotaCounting, QuotaPrefix, QuotaUsage, Quotas};

use super::world::{Seen, World, settings, sha256};

/// How many bytes one piece of a [`SentBody`] has.
const PIECE: usize = 1000;

/// A body of zeros that counts what was read of it.
struct SentBody {
    left: u64,
    /// Whether its length is announced.
    is_announced: bool,
    read: Arc<AtomicU64>,
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.left.min(PIECE as u64);
        if length == 0 {
            return Poll::Ready(None);
        }
        self.left -= length;
        self.read.fetch_add(length, Ordering::Relaxed);
        let piece = vec![0; usize::try_from(length).unwrap()];
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        match self.is_announced {
            true => SizeHint::with_exact(self.left),
            false => SizeHint::default(),
        }
    }
}

/// A registry with these limits of everything in `a`, beyond what is there already.
struct Limited {
    world: World,
    events: Arc<MemoryObserver>,
    used: QuotaUsage,
}

impl Limited {
    async fn with(more_bytes: i64, more_tags: i64, warn_at: u8) -> Self {
        let world = World::open().await;
        let prefix: QuotaPrefix = "a".parse().unwrap();
        let quotas = world.storage.quotas();
        let used = quotas.measure(&prefix).await.unwrap();
        // As a server does when it starts.
        let tracked = quotas.track(vec![prefix.clone()], QuotaCounting::New);
        assert_eq!(tracked.await.unwrap().counted, 1);
        let limit = |used: u64, more: i64| Some(used.saturating_add_signed(more));
        let quota = Quota {
            prefix,
            max_bytes: limit(used.bytes, more_bytes),
            max_tags: limit(used.tags, more_tags),
            warn_at: Some(warn_at),
        };
        let events = Arc::new(MemoryObserver::new(100));
        let world = world.again(RegistrySettings {
            quotas: Quotas::new(vec![quota]).unwrap(),
            observers: Observers::new([Arc::clone(&events) as Arc<dyn Observer>]),
            ..settings(Authentication::Open)
        });
        Self {
            world,
            events,
            used,
        }
    }

    /// Sends so many zeros. Returns the response, and how many were read.
    async fn send(&self, method: &str, path: &str, length: u64, is_announced: bool) -> (Seen, u64) {
        let read = Arc::new(AtomicU64::new(0));
        let body = SentBody {
            left: length,
            is_announced,
            read: Arc::clone(&read),
        };
        let seen = self.world.send_body(method, path, &[], body).await;
        (seen, read.load(Ordering::Relaxed))
    }

    async fn begin(&self) -> String {
        let begun = self.world.send("POST", "/v2/a/blobs/uploads/", &[], b"");
        let begun = begun.await;
        assert_eq!(begun.status, 202);
        let location = begun.header("location").unwrap();
        location[location.find("/v2/").unwrap()..].to_owned()
    }

    async fn push(&self, names: &str, to: &str) -> Seen {
        let kind = match names {
            "index" => oci::media_type::OCI_INDEX,
            _ => oci::media_type::OCI_MANIFEST,
        };
        let bytes = self.world.names[&format!("{names}.bytes")].clone();
        let path = format!("/v2/a/manifests/{to}");
        let headers = [("content-type", kind)];
        self.world
            .send("PUT", &path, &headers, bytes.as_bytes())
            .await
    }

    /// That a response is a refusal for this many more bytes or tags, and that it is an event.
    #[track_caller]
    fn is_refused(&self, seen: &Seen, resource: &str, requested: u64) {
        assert_eq!((seen.status, seen.code().as_str()), (403, "DENIED"));
        let error = &seen.json()["errors"][0];
        let (used, limit) = match resource {
            "bytes" => (self.used.bytes, self.used.bytes + 5_000),
            _ => (self.used.tags, self.used.tags),
        };
        let detail = json!({
            "prefix": "a", "resource": resource, "used": used, "limit": limit, "requested": requested,
        });
        assert_eq!(error["detail"], detail);
        let message = error["message"].as_str().unwrap();
        let numbers = [used, limit, requested].map(|number| number.to_string());
        for part in numbers
            .iter()
            .map(String::as_str)
            .chain(["quota of a", "delete", "ask"])
        {
            assert!(message.contains(part), "{part} is not in {message}");
        }
        let events = self.events.take();
        let refused: Vec<&Value> = events
            .iter()
            .filter(|event| event["event"] == "quota_exceeded")
            .collect();
        assert_eq!(refused.len(), 1, "{events:#?}");
        for (name, value) in detail.as_object().unwrap() {
            assert_eq!(&refused[0][name], value);
        }
        assert_eq!(refused[0]["repository"], "a");
    }
}

/// Whether a refusal says that more may be needed than it knows.
fn is_at_least(seen: &Seen) -> bool {
    let message = &seen.json()["errors"][0]["message"];
    message.as_str().unwrap().contains("at least")
}

fn zeros(length: usize) -> Digest {
    sha256(&vec![0; length])
}

#[tokio::test]
async fn a_blob_without_room_is_refused_before_its_first_byte() {
    let limited = Limited::with(5_000, 0, 100).await;
    let post = format!("/v2/a/blobs/uploads/?digest={}", zeros(5_001));
    let (seen, read) = limited.send("POST", &post, 5_001, true).await;
    limited.is_refused(&seen, "bytes", 5_001);
    assert!(!is_at_least(&seen));
    assert_eq!(read, 0);
    let upload = limited.begin().await;
    let (seen, read) = limited.send("PATCH", &upload, 5_001, true).await;
    limited.is_refused(&seen, "bytes", 5_001);
    assert!(is_at_least(&seen), "another chunk may follow");
    assert_eq!(read, 0);
    // The upload has ended: nothing stays of it.
    assert_eq!(limited.world.get(&upload, &[]).await.status, 404);
    // What has come counts with what is announced.
    for method in ["PATCH", "PUT"] {
        let upload = limited.begin().await;
        let (seen, _) = limited.send("PATCH", &upload, 3_000, true).await;
        assert_eq!(seen.status, 202);
        let path = match method {
            "PUT" => format!("{upload}?digest={}", zeros(5_500)),
            _ => upload.clone(),
        };
        let (seen, read) = limited.send(method, &path, 2_500, true).await;
        limited.is_refused(&seen, "bytes", 5_500);
        assert_eq!(is_at_least(&seen), method == "PATCH");
        assert_eq!(read, 0);
        assert_eq!(limited.world.get(&upload, &[]).await.status, 404);
    }
}

#[tokio::test]
async fn a_body_without_a_length_is_read_as_far_as_there_is_room() {
    let limited = Limited::with(5_000, 0, 100).await;
    let upload = limited.begin().await;
    let (seen, read) = limited.send("PATCH", &upload, 1_000_000, false).await;
    limited.is_refused(&seen, "bytes", 6_000);
    assert!(is_at_least(&seen));
    assert_eq!(read, 6_000);
    assert_eq!(limited.world.get(&upload, &[]).await.status, 404);
    let upload = limited.begin().await;
    let (seen, _) = limited.send("PATCH", &upload, 5_000, false).await;
    assert_eq!(seen.status, 202);
    let put = format!("{upload}?digest={}", zeros(5_000));
    assert_eq!(limited.send("PUT", &put, 0, true).await.0.status, 201);
}

#[tokio::test]
async fn two_uploads_that_each_have_room_do_not_both_get_it() {
    let limited = Limited::with(5_000, 0, 100).await;
    let uploads = [limited.begin().await, limited.begin().await];
    for (upload, length) in uploads.iter().zip([3_000, 2_001]) {
        let (seen, _) = limited.send("PATCH", upload, length, true).await;
        assert_eq!(seen.status, 202);
    }
    let put = |upload: &str, length| format!("{upload}?digest={}", zeros(length));
    let (seen, _) = limited.send("PUT", &put(&uploads[0], 3_000), 0, true).await;
    assert_eq!(seen.status, 201);
    let refused = put(&uploads[1], 2_001);
    let (seen, _) = limited.send("PUT", &refused, 0, true).await;
    assert_eq!((seen.status, seen.code().as_str()), (403, "DENIED"));
    assert_eq!(
        seen.json()["errors"][0]["detail"]["used"],
        json!(limited.used.bytes + 3_000)
    );
    assert_eq!(limited.world.get(&uploads[1], &[]).await.status, 404);
    let blob = format!("/v2/a/blobs/{}", zeros(2_001));
    assert_eq!(limited.world.get(&blob, &[]).await.status, 404);
}

#[tokio::test]
async fn a_mount_and_a_manifest_without_room_are_refused() {
    let limited = Limited::with(5_000, 0, 100).await;
    let large = limited.world.blob("b", &[1; 5_001]).await;
    for from in ["&from=b", ""] {
        let path = format!("/v2/a/blobs/uploads/?mount={large}{from}");
        let seen = limited.world.send("POST", &path, &[], b"").await;
        limited.is_refused(&seen, "bytes", 5_001);
    }
    let small = limited.world.blob("b", &[1; 1]).await;
    let path = format!("/v2/a/blobs/uploads/?mount={small}&from=b");
    let mounted = limited.world.send("POST", &path, &[], b"").await;
    assert_eq!(mounted.status, 201);
    let limited = Limited::with(5_000, 0, 100).await;
    let seen = limited.push("image", "new").await;
    limited.is_refused(&seen, "tags", 1);
    let tagged = limited.world.get("/v2/a/manifests/new", &[]).await;
    assert_eq!(tagged.status, 404);
}

#[tokio::test]
async fn what_adds_nothing_passes_below_a_lowered_limit() {
    let limited = Limited::with(-10, -1, 90).await;
    let world = &limited.world;
    assert_eq!(limited.push("image", "one").await.status, 201);
    assert_eq!(limited.push("index", "one").await.status, 201);
    let digest = sha256(b"0123456789");
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let again = world.send("POST", &path, &[], b"0123456789").await;
    assert_eq!(again.status, 201);
    let mount = format!("/v2/a/blobs/uploads/?mount={}&from=b", sha256(b"{}"));
    assert_eq!(world.send("POST", &mount, &[], b"").await.status, 201);
    assert_eq!(world.get("/v2/a/manifests/one", &[]).await.status, 200);
    let deleted = world.send("DELETE", "/v2/a/manifests/one", &[], b"").await;
    assert_eq!(deleted.status, 202);
    // There is room for no tag more.
    assert_eq!(limited.push("image", "three").await.status, 403);
    // Another prefix has no limit.
    let path = format!("/v2/a2/blobs/uploads/?digest={digest}");
    let other = world.send("POST", &path, &[], b"0123456789").await;
    assert_eq!(other.status, 201);
}

#[tokio::test]
async fn a_warning_comes_once() {
    let limited = Limited::with(100_000, 100, 99).await;
    let near = limited.used.bytes + 100_000;
    let (mut warnings, mut total) = (Vec::new(), limited.used.bytes);
    for length in 0..8 {
        let length = 12_000 + length;
        let path = format!("/v2/a/blobs/uploads/?digest={}", zeros(length));
        let (seen, _) = limited.send("POST", &path, length as u64, true).await;
        assert_eq!(seen.status, 201);
        total += length as u64;
        let events = limited.events.take();
        let found = events
            .into_iter()
            .filter(|event| event["event"] == "quota_warning");
        let found: Vec<Value> = found.collect();
        let is_crossed = total * 100 >= near * 99;
        assert!(found.len() <= 1 && (is_crossed || found.is_empty()));
        warnings.extend(found);
    }
    // 96,028 of 100,000 more bytes: the rest brings it over the share.
    let rest = usize::try_from(near - total).unwrap();
    let path = format!("/v2/a/blobs/uploads/?digest={}", zeros(rest));
    let (seen, _) = limited.send("POST", &path, rest as u64, true).await;
    assert_eq!(seen.status, 201);
    warnings.extend(
        limited
            .events
            .take()
            .into_iter()
            .filter(|event| event["event"] == "quota_warning"),
    );
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert_eq!(
        (
            &warnings[0]["used"],
            &warnings[0]["limit"],
            &warnings[0]["resource"]
        ),
        (&json!(near), &json!(near), &json!("bytes"))
    );
    assert_eq!(warnings[0]["prefix"], "a");
}
