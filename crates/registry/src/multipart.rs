//! Responses that have some ranges of their content only.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use common::Entropy;
use data_encoding::HEXLOWER;
use http::StatusCode;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue};

use crate::error::RegistryError;
use crate::response;
use crate::response_body::{Body, HttpResponse, OpenRange, Part};

/// Makes `response` a 206 of one range (RFC 9110 §15.3.7.1), whose body is the caller's to set.
pub(crate) fn single(response: &mut HttpResponse, range: &Range<u64>, size: u64) {
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    response::set(response, CONTENT_RANGE, &content_range(range, size));
}

/// Makes `response`, which has the content's type, a 206 of several ranges (RFC 9110 §15.3.7.2).
/// Each is opened when its turn comes.
pub(crate) fn several(
    response: &mut HttpResponse,
    ranges: Vec<Range<u64>>,
    size: u64,
    open: OpenRange,
    entropy: &dyn Entropy,
) -> Result<(), RegistryError> {
    // A random boundary, which no content can contain on purpose.
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    let boundary = HEXLOWER.encode(&random);
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let parts = parts(ranges, size, content_type.unwrap_or_default(), &boundary);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    *response.body_mut() = Body::parts(parts, open);
    let content_type = format!("multipart/byteranges; boundary={boundary}");
    if let Ok(value) = HeaderValue::from_str(&content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    Ok(())
}

fn parts(ranges: Vec<Range<u64>>, size: u64, content_type: &str, boundary: &str) -> VecDeque<Part> {
    let mut parts = VecDeque::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        // RFC 2046 §5.1.1: the line break before a boundary belongs to the boundary.
        let line_break = if parts.is_empty() { "" } else { "\r\n" };
        let head = format!(
            "{line_break}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {}\r\n\r\n",
            content_range(&range, size)
        );
        parts.push_back(Part::Text(Bytes::from(head)));
        parts.push_back(Part::Content(range));
    }
    parts.push_back(Part::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    parts
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}
