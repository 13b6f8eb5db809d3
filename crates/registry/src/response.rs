//! What a caller is told when all is well, and the JSON of everything else.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use oci::Digest;
use serde::Serialize;
use serde_json::Value;

use crate::body::{Body, HttpResponse};

/// Which content an answer is about.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// One error of an answer.
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

/// An answer that says everything in its status and headers.
pub(crate) fn empty(status: StatusCode) -> HttpResponse {
    let mut answer = Response::new(Body::default());
    *answer.status_mut() = status;
    answer
}

/// An answer with a body of this type.
pub(crate) fn whole(content_type: HeaderValue, body: Bytes) -> HttpResponse {
    let mut answer = Response::new(Body::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// A short text, a line of its own.
pub(crate) fn text(body: &'static str) -> HttpResponse {
    whole(
        HeaderValue::from_static("text/plain; charset=utf-8"),
        Bytes::from_static(body.as_bytes()),
    )
}

/// Something in JSON.
pub(crate) fn json(body: &impl Serialize) -> HttpResponse {
    whole(HeaderValue::from_static("application/json"), encoded(body))
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
    let mut answer = whole(
        HeaderValue::from_static("application/json; charset=utf-8"),
        encoded(&body),
    );
    *answer.status_mut() = status;
    answer
}

/// 301 to another path of the same host. No cache keeps it: a proxy may have another prefix next time.
pub(crate) fn moved(path: &str) -> HttpResponse {
    let mut answer = empty(StatusCode::MOVED_PERMANENTLY);
    set(&mut answer, LOCATION, path);
    set(&mut answer, CACHE_CONTROL, "no-store");
    answer
}

/// 201 or 202, and where to find what was made.
pub(crate) fn made(status: StatusCode, location: &str, digest: Option<&Digest>) -> HttpResponse {
    let mut answer = empty(status);
    set(&mut answer, LOCATION, location);
    if let Some(digest) = digest {
        set(&mut answer, CONTENT_DIGEST, &digest.to_string());
    }
    answer
}

/// Says what the content is called: its entity tag, and what is within the tag's quotes.
pub(crate) fn name(answer: &mut HttpResponse, etag: String) {
    let tag = Bytes::from(etag);
    for (header, value) in [(CONTENT_DIGEST, tag.slice(1..tag.len() - 1)), (ETAG, tag)] {
        // Both are one piece of memory.
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            answer.headers_mut().insert(header, value);
        }
    }
}

/// Sets a header. What cannot stand in one is left away; nothing that is written here can have come
/// to that, for it came in as a header, a path or a parsed noun.
pub(crate) fn set(answer: &mut HttpResponse, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
