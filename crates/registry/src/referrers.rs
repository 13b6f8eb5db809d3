//! The list of manifests that refer to another one: signatures, bills of materials.

use bytes::Bytes;
use http::HeaderValue;
use http::header::HeaderName;
use oci::{Digest, media_type};
use storage::{PageRequest, ReferrerEntry};

use crate::authorized::{Authorized, Pull};
use crate::body_memory::BodyShare;
use crate::error::RegistryError;
use crate::paging::{Bounds, link};
use crate::request::ApiRequest;
use crate::response;
use crate::response_body::HttpResponse;

/// How many make a page. Not every client follows a `Link`, so a page is long.
const BOUNDS: Bounds = Bounds {
    default: 1000,
    max: 1000,
    strict: false,
};

/// How many are read at once: each may bring annotations as large as a manifest.
const BATCH: u32 = 100;

/// The size of a full page in bytes: every client accepts a manifest of this size.
const FULL: usize = 4 << 20;

/// Which filters were applied (OCI distribution-spec, "Listing Referrers").
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// `GET` of the referrers (end-12): an index, which is empty if there are none or if the repository
/// does not exist.
pub(crate) async fn list(
    proof: &Authorized<'_, Pull>,
    subject: &Digest,
    call: &ApiRequest<'_>,
) -> Result<HttpResponse, RegistryError> {
    let size = BOUNDS.page_size(call.query.first("n"))?;
    // A plus sign that the client did not encode is read as a space, which no type has.
    let kind = call.query.first("artifactType");
    let kind = kind.map(|kind| kind.replace(' ', "+"));
    let kind = kind.as_deref();
    let after = call.query.first("last").map(str::parse).transpose()?;
    let mut share = call.body_share();
    let (manifests, more) = page(proof, subject, kind, after, size, &mut share).await?;
    let last = manifests.last().map(|referrer| referrer.digest.to_string());
    let mut response = response::whole(
        HeaderValue::from_static(media_type::OCI_INDEX),
        share.hold(index(&manifests))?,
    );
    if kind.is_some() {
        response
            .headers_mut()
            .insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let (true, Some(last)) = (more, last) {
        let n = size.to_string();
        let mut parameters = vec![("n", n.as_str()), ("last", &last)];
        parameters.extend(kind.map(|kind| ("artifactType", kind)));
        link(
            &mut response,
            call,
            &format!("/v2/{}/referrers/{subject}", proof.repository()),
            &parameters,
        );
    }
    Ok(response)
}

/// One page of them, and whether there are more.
async fn page(
    proof: &Authorized<'_, Pull>,
    subject: &Digest,
    kind: Option<&str>,
    mut after: Option<Digest>,
    size: u32,
    share: &mut BodyShare,
) -> Result<(Vec<ReferrerEntry>, bool), RegistryError> {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    loop {
        let missing = size.saturating_sub(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        if missing == 0 {
            return Ok((entries, size > 0));
        }
        let batch = PageRequest {
            after,
            limit: missing.min(BATCH),
        };
        let listing = proof.referrers(subject, kind, batch).await?;
        for referrer in listing.entries {
            bytes += referrer.weight();
            if bytes > FULL && !entries.is_empty() {
                return Ok((entries, true));
            }
            share.grow_to(bytes)?;
            after = Some(referrer.digest);
            entries.push(referrer);
        }
        if !listing.more {
            return Ok((entries, false));
        }
    }
}

/// The index of them (OCI image-spec, image-index.md). Annotations are JSON already and digests
/// need no escapes: to take them apart and escape them again would be most of the work.
fn index(referrers: &[ReferrerEntry]) -> Bytes {
    let mut text =
        Vec::with_capacity(128 + referrers.iter().map(ReferrerEntry::weight).sum::<usize>());
    text.extend_from_slice(br#"{"schemaVersion":2,"mediaType":""#);
    text.extend_from_slice(media_type::OCI_INDEX.as_bytes());
    text.extend_from_slice(br#"","manifests":["#);
    for (number, referrer) in referrers.iter().enumerate() {
        if number > 0 {
            text.push(b',');
        }
        describe(referrer, &mut text);
    }
    text.extend_from_slice(b"]}");
    text.into()
}

/// One descriptor (OCI image-spec, descriptor.md).
fn describe(referrer: &ReferrerEntry, text: &mut Vec<u8>) {
    let ReferrerEntry {
        digest,
        media_type,
        size,
        artifact_type,
        annotations,
    } = referrer;
    text.extend_from_slice(br#"{"mediaType":"#);
    response::encode(media_type, text);
    text.extend_from_slice(br#","digest":""#);
    text.extend_from_slice(digest.text().as_str().as_bytes());
    text.extend_from_slice(br#"","size":"#);
    response::encode(size, text);
    if let Some(kind) = artifact_type {
        text.extend_from_slice(br#","artifactType":"#);
        response::encode(kind, text);
    }
    if annotations != "{}" {
        text.extend_from_slice(br#","annotations":"#);
        text.extend_from_slice(annotations.as_bytes());
    }
    text.push(b'}');
}

#[cfg(test)]
mod tests {
    use oci::DigestAlgorithm;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_index_is_json_whatever_is_in_it() {
        let digest = storage::hash::digest(DigestAlgorithm::Sha256, b"");
        let plain = ReferrerEntry {
            digest,
            media_type: "a/b".into(),
            size: 3,
            artifact_type: None,
            annotations: "{}".into(),
        };
        let annotations = json!({"a \"quoted\" key": "line\nbreak"});
        let full = ReferrerEntry {
            media_type: "quote\" and \\".into(),
            artifact_type: Some("é\u{1}".into()),
            annotations: annotations.to_string(),
            ..plain.clone()
        };
        let parsed: Value = serde_json::from_slice(&index(&[plain, full])).unwrap();
        let digest = digest.to_string();
        let expected = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [
            {"mediaType": "a/b", "digest": digest, "size": 3},
            {"mediaType": "quote\" and \\", "digest": digest, "size": 3, "artifactType": "é\u{1}", "annotations": annotations},
        ]});
        assert_eq!(parsed, expected);
        assert_eq!(
            index(&[]),
            format!(
                r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#,
                media_type::OCI_INDEX
            )
        );
    }
}
