//! Responses: their headers, and their bodies in JSON.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use oci::Digest;
use serde::Serialize;
use serde_json::Value;

use crate::response_body::{Body, HttpResponse};

/// The digest of the content that a response has.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// One error of a response.
#[derive(Serialize)]
pub(crate) struct ErrorEntry {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<Value>,
}

/// A list of errors (OCI distribution-spec, "Error Codes").
#[derive(Serialize)]
struct Errors {
    errors: Vec<ErrorEntry>,
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> HttpResponse {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

/// A response with a body of this type.
pub(crate) fn whole(content_type: HeaderValue, body: Bytes) -> HttpResponse {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// A response of plain text.
pub(crate) fn text(body: &'static str) -> HttpResponse {
    whole(
        HeaderValue::from_static("text/plain; charset=utf-8"),
        Bytes::from_static(body.as_bytes()),
    )
}

/// A response of JSON.
pub(crate) fn json(body: &impl Serialize) -> HttpResponse {
    json_bytes(encoded(body))
}

/// A response of JSON that is encoded already.
pub(crate) fn json_bytes(body: Bytes) -> HttpResponse {
    whole(HeaderValue::from_static("application/json"), body)
}

/// `body` in JSON.
pub(crate) fn encoded(body: &impl Serialize) -> Bytes {
    let mut text = Vec::with_capacity(128);
    encode(body, &mut text);
    text.into()
}

/// Writes `body` in JSON behind `text`.
pub(crate) fn encode(body: &impl Serialize, text: &mut Vec<u8>) {
    #[expect(
        clippy::expect_used,
        reason = "all bodies are structs of strings, numbers and lists"
    )]
    serde_json::to_writer(text, body).expect("a body is plain data");
}

/// Errors with their status.
pub(crate) fn errors(
    status: StatusCode,
    errors: impl IntoIterator<Item = ErrorEntry>,
) -> HttpResponse {
    let body = Errors {
        errors: errors.into_iter().collect(),
    };
    let mut response = whole(
        HeaderValue::from_static("application/json; charset=utf-8"),
        encoded(&body),
    );
    *response.status_mut() = status;
    response
}

/// 301 to another path of the same host. No cache keeps it: a proxy may have another prefix next time.
pub(crate) fn moved(path: &str) -> HttpResponse {
    let mut response = empty(StatusCode::MOVED_PERMANENTLY);
    set(&mut response, LOCATION, path);
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

/// 201 or 202, and where to find what was created.
pub(crate) fn made(status: StatusCode, location: &str, digest: Option<&Digest>) -> HttpResponse {
    let mut response = empty(status);
    set(&mut response, LOCATION, location);
    if let Some(digest) = digest {
        set(&mut response, CONTENT_DIGEST, &digest.to_string());
    }
    response
}

/// Adds the entity tag, and the digest that stands within its quotes.
pub(crate) fn name(response: &mut HttpResponse, etag: String) {
    let tag = Bytes::from(etag);
    for (header, value) in [(CONTENT_DIGEST, tag.slice(1..tag.len() - 1)), (ETAG, tag)] {
        // Both are one piece of memory.
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            response.headers_mut().insert(header, value);
        }
    }
}

/// Sets a header, unless the value has bytes that no header may have.
pub(crate) fn set(response: &mut HttpResponse, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
