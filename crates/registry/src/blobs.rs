//! Blobs: handed out whole or in part, and taken away.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue,
};
use http::{Response, StatusCode};
use oci::Digest;
use storage::{Blob, Error};

use crate::access::{Authorized, Delete, Pull};
use crate::body::{Body, HttpResponse};
use crate::conditions::{etag, has_already};
use crate::error::RegistryError;
use crate::ranges::{Wanted, wanted};
use crate::request::ApiRequest;
use crate::response;

/// What a digest names never changes, so it may be kept for a year (RFC 8246).
const FOREVER: HeaderValue = HeaderValue::from_static("max-age=31536000, immutable");

/// `GET` and `HEAD` of a blob. It goes out as it came in, never compressed: its digest is of these
/// very bytes.
pub(crate) async fn fetch(
    proof: &Authorized<'_, Pull>,
    digest: &Digest,
    call: &ApiRequest<'_>,
) -> Result<HttpResponse, RegistryError> {
    let blob = find(proof, digest, call).await?;
    let tag = etag(digest);
    let mut answer = Response::new(Body::default());
    if has_already(call.headers(), &tag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    } else if call.is_head() {
        answer
            .headers_mut()
            .insert(CONTENT_LENGTH, blob.size.into());
    } else {
        let range = match wanted(call.headers(), &tag, blob.size) {
            Wanted::Whole => 0..blob.size,
            Wanted::Part(range) => {
                *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
                let stretch = format!("bytes {}-{}/{}", range.start, range.end - 1, blob.size);
                response::set(&mut answer, CONTENT_RANGE, &stretch);
                range
            }
            Wanted::Unsatisfiable => return Err(RegistryError::Unsatisfiable { size: blob.size }),
        };
        let length = range.end - range.start;
        let source = proof
            .storage()
            .read(proof.repository(), &blob, range)
            .await?;
        *answer.body_mut() = Body::stream(source, length);
    }
    response::name(&mut answer, tag);
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, FOREVER);
    Ok(answer)
}

/// The blob. Somebody who may push and asks whether it is there is about to push what refers to it,
/// so it is leased.
async fn find(
    proof: &Authorized<'_, Pull>,
    digest: &Digest,
    call: &ApiRequest<'_>,
) -> Result<Blob, Error> {
    let (blobs, repository) = (proof.storage().blobs(), proof.repository());
    if call.is_head() && proof.pushes() {
        match blobs.lease(repository, digest).await {
            // A disk that takes no writes can still be read.
            Err(Error::Full | Error::ReadOnly | Error::Busy) => {}
            leased => return leased,
        }
    }
    blobs.find(repository, digest).await
}

/// `DELETE` of a blob.
pub(crate) async fn delete(
    proof: &Authorized<'_, Delete>,
    digest: &Digest,
) -> Result<HttpResponse, RegistryError> {
    proof
        .storage()
        .blobs()
        .unlink(proof.repository(), digest)
        .await?;
    tracing::info!(repository = %proof.repository(), %digest, account = proof.account(), "blob deleted");
    Ok(response::empty(StatusCode::ACCEPTED))
}
