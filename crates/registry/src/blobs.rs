//! Blobs: sent whole or in part, and removed.

use common::Entropy;
use event::{BlobEvent, EventKind};
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::Body as _;
use oci::Digest;

use crate::authorized::{Authorized, Delete, Pull};
use crate::conditions::{etag, if_none_match_matches};
use crate::error::RegistryError;
use crate::multipart;
use crate::ranges::{RequestedRange, requested_range};
use crate::redirects::RedirectRules;
use crate::request::ApiRequest;
use crate::response;
use crate::response_body::{Body, HttpResponse};

/// Content with a digest never changes, so clients may keep it for a year (RFC 8246).
const IMMUTABLE: HeaderValue = HeaderValue::from_static("max-age=31536000, immutable");

/// `GET` and `HEAD` of a blob. It is sent as it was pushed, never compressed: its digest is
/// computed over these bytes.
pub(crate) async fn fetch(
    proof: &Authorized<'_, Pull>,
    digest: &Digest,
    call: &ApiRequest<'_>,
    redirects: Option<&RedirectRules>,
    entropy: &dyn Entropy,
) -> Result<HttpResponse, RegistryError> {
    let tag = etag(digest);
    let mut response = Response::new(Body::default());
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    let blob = if call.is_head() {
        proof.stat_and_lease_blob(digest).await?
    } else {
        proof.blob(digest).await?
    };
    let size = blob.size();
    if if_none_match_matches(call.headers(), &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if call.is_head() {
        response.headers_mut().insert(CONTENT_LENGTH, size.into());
        call.observe(EventKind::BlobChecked(BlobEvent {
            repository: proof.repository(),
            digest,
            size,
        }));
    } else {
        let range = requested_range(call.headers(), &tag, size);
        if let Some(rules) = redirects
            && let Some(redirect) = rules.respond(proof, &blob, digest, &range, call).await?
        {
            return Ok(redirect);
        }
        match range {
            RequestedRange::Whole => {
                let reader = proof.read(&blob, 0..size).await?;
                *response.body_mut() = Body::stream(reader, size);
            }
            RequestedRange::Single(range) => {
                multipart::single(&mut response, &range, size);
                let length = range.end - range.start;
                let reader = proof.read(&blob, range).await?;
                *response.body_mut() = Body::stream(reader, length);
            }
            RequestedRange::Multiple(ranges) => {
                // No 206 for content that is gone.
                proof.read(&blob, 0..size).await?;
                let open = proof.range_opener(blob);
                multipart::several(&mut response, ranges, size, open, entropy)?;
            }
            RequestedRange::Unsatisfiable => {
                return Err(RegistryError::RangeNotSatisfiable { size });
            }
        }
        let length = response.body().size_hint().exact().unwrap_or(size);
        let blob = BlobEvent {
            repository: proof.repository(),
            digest,
            size,
        };
        call.observe(EventKind::BlobPulled { blob, length });
    }
    response::name(&mut response, tag);
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, IMMUTABLE);
    Ok(response)
}

/// `DELETE` of a blob.
pub(crate) async fn delete(
    proof: &Authorized<'_, Delete>,
    digest: &Digest,
    call: &ApiRequest<'_>,
) -> Result<HttpResponse, RegistryError> {
    proof.delete_blob(digest, call.immutable_tags()?).await?;
    let repository = proof.repository();
    call.observe(EventKind::BlobDeleted { repository, digest });
    Ok(response::empty(StatusCode::ACCEPTED))
}
