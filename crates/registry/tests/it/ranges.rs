//! Parts of blobs and manifests.

use bytes::Bytes;

use super::script::fill;
use super::world::{Seen, World};

/// The parts of a `multipart/byteranges` body: the headers and content of each.
fn parts(seen: &Seen) -> Vec<(String, Bytes)> {
    let content_type = seen.header("content-type").unwrap();
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let text = seen.text();
    let (body, end) = text.rsplit_once(&format!("\r\n--{boundary}--")).unwrap();
    assert_eq!(end, "\r\n");
    let body = body.strip_prefix(&format!("--{boundary}\r\n")).unwrap();
    let between = format!("\r\n--{boundary}\r\n");
    let parts = body.split(&between);
    parts
        .map(|part| {
            let (head, content) = part.split_once("\r\n\r\n").unwrap();
            (head.to_owned(), Bytes::copy_from_slice(content.as_bytes()))
        })
        .collect()
}

fn head(content_type: &str, range: &str) -> String {
    format!("Content-Type: {content_type}\r\nContent-Range: {range}")
}

#[tokio::test]
async fn several_parts_of_a_blob_come_in_one_response() {
    let world = World::open().await;
    let path = fill("/v2/a/blobs/{layer}", &world.names, "");
    let get = async |range: &str| world.get(&path, &[("range", range)]).await;
    let octets = |range| head("application/octet-stream", range);
    let seen = get("bytes=0-1,4-5,-1").await;
    assert_eq!(seen.status, 206);
    assert_eq!(seen.header("content-range"), None);
    assert_eq!(
        parts(&seen),
        [
            (octets("bytes 0-1/10"), "01".into()),
            (octets("bytes 4-5/10"), "45".into()),
            (octets("bytes 9-9/10"), "9".into()),
        ]
    );
    // The parts have the order of the request.
    let seen = get("bytes=7-8,0-0").await;
    assert_eq!(parts(&seen)[1], (octets("bytes 0-0/10"), "0".into()));
    // Ranges that touch are joined, and a single range is not a multipart body.
    let seen = get("bytes=0-1,2-3,3-5").await;
    assert_eq!(
        (seen.status, seen.header("content-range"), &seen.body[..]),
        (206, Some("bytes 0-5/10"), &b"012345"[..])
    );
    let seen = get("bytes=20-,30-").await;
    assert_eq!(
        (seen.status, seen.header("content-range")),
        (416, Some("bytes */10"))
    );
    // Each response has a new boundary, so that content cannot contain it.
    let types = [get("bytes=0-0,2-2").await, get("bytes=0-0,2-2").await];
    assert_ne!(
        types[0].header("content-type"),
        types[1].header("content-type")
    );
}

#[tokio::test]
async fn parts_of_a_manifest_come_as_parts_of_a_blob_do() {
    let world = World::open().await;
    let bytes = &world.names["image.bytes"];
    let size = bytes.len();
    let digest = fill("/v2/a/manifests/{image}", &world.names, "");
    for path in ["/v2/a/manifests/one", &digest] {
        let all = world.get(path, &[("range", "bytes=0-")]).await;
        assert_eq!((all.status, all.text()), (206, bytes.clone()), "{path}");
        let range = format!("bytes 0-{}/{size}", size - 1);
        assert_eq!(all.header("content-range"), Some(range.as_str()));
        assert_eq!(
            all.header("content-type"),
            Some(oci::media_type::OCI_MANIFEST)
        );
        let plain = world.get(path, &[]).await;
        assert_eq!(
            (plain.status, plain.header("accept-ranges")),
            (200, Some("bytes"))
        );
        let past = world.get(path, &[("range", "bytes=99999-")]).await;
        assert_eq!((past.status, past.code().as_str()), (416, "RANGE_INVALID"));
        let two = world.get(path, &[("range", "bytes=0-0,2-3")]).await;
        let expected = head(oci::media_type::OCI_MANIFEST, &format!("bytes 2-3/{size}"));
        let content = Bytes::copy_from_slice(&bytes.as_bytes()[2..4]);
        assert_eq!(parts(&two)[1], (expected, content));
        let other = [("range", "bytes=0-0"), ("if-range", "\"other\"")];
        assert_eq!(world.get(path, &other).await.status, 200);
        assert_eq!(
            world
                .send("HEAD", path, &[("range", "bytes=0-0")], b"")
                .await
                .status,
            200
        );
    }
}
