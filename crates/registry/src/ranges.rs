//! Stretches of bytes: those that are asked for, and those that are sent.

use std::ops::Range;

use http::HeaderMap;
use http::header::{CONTENT_RANGE, IF_RANGE, RANGE};

/// What part of a blob a `GET` wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    Part(Range<u64>),
    Unsatisfiable,
}

/// What `headers` want of content that has `size` bytes and this entity tag (RFC 9110 §14.2).
///
/// Several ranges at once, and units other than bytes, are answered with the whole, as the RFC
/// allows.
pub(crate) fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else {
        return Wanted::Whole;
    };
    // RFC 9110 §13.1.5: a part of something else is of no use.
    if headers
        .get(IF_RANGE)
        .is_some_and(|value| value.as_bytes() != etag.as_bytes())
    {
        return Wanted::Whole;
    }
    let Some((unit, set)) = range.split_once('=') else {
        return Wanted::Unsatisfiable;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Wanted::Whole;
    }
    match part(set.trim(), size) {
        Some(range) => Wanted::Part(range),
        None => Wanted::Unsatisfiable,
    }
}

/// One range of `bytes=`: `0-99`, `100-`, or the last `-5`.
fn part(text: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.split_once('-')?;
    let range = match (first, last) {
        ("", suffix) => size.saturating_sub(number(suffix)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    (range.start < range.end).then_some(range)
}

/// A number of digits only; one that is too large is as large as can be.
fn number(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Where a chunk of an upload belongs (OCI distribution-spec, "Pushing a blob in chunks":
/// `^[0-9]+-[0-9]+$`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentRange {
    /// The first byte.
    pub(crate) start: u64,
    /// How many bytes.
    pub(crate) length: u64,
}

/// A `Content-Range` that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Content-Range of a chunk is its first byte and its last, as in 0-1023")]
pub(crate) struct ContentRangeError;

impl ContentRange {
    /// The request's `Content-Range`; none where it has none.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, ContentRangeError> {
        let Some(value) = headers.get(CONTENT_RANGE) else {
            return Ok(None);
        };
        let text = value.to_str().map_err(|_| ContentRangeError)?;
        let (first, last) = text.split_once('-').ok_or(ContentRangeError)?;
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Err(ContentRangeError);
        };
        let length = last
            .checked_sub(first)
            .and_then(|length| length.checked_add(1))
            .ok_or(ContentRangeError)?;
        Ok(Some(Self {
            start: first,
            length,
        }))
    }
}

/// How far an upload is, in Docker's notation, which cannot tell nothing from one byte: `0-0` is
/// both.
pub(crate) fn progress(received: u64) -> String {
    format!("0-{}", received.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn one_range_of_bytes_is_understood() {
        let table = [
            ("bytes=0-4", Wanted::Part(0..5)),
            ("bytes=5-", Wanted::Part(5..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=9-99999999999999999999999", Wanted::Part(9..10)),
            ("Bytes=0-0", Wanted::Part(0..1)),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("lines=0-4", Wanted::Whole),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=500-0", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=-", Wanted::Unsatisfiable),
            ("bytes=a-b", Wanted::Unsatisfiable),
            ("bytes=+1-2", Wanted::Unsatisfiable),
            ("bytes", Wanted::Unsatisfiable),
        ];
        for (range, expected) in table {
            assert_eq!(
                wanted(&headers(&[(RANGE, range)]), "\"e\"", 10),
                expected,
                "{range}"
            );
        }
        assert_eq!(
            wanted(&headers(&[(RANGE, "bytes=0-")]), "\"e\"", 0),
            Wanted::Unsatisfiable
        );
        assert_eq!(wanted(&headers(&[]), "\"e\"", 10), Wanted::Whole);
    }

    #[test]
    fn a_part_of_something_else_is_not_wanted() {
        let asked = |tag| {
            wanted(
                &headers(&[(RANGE, "bytes=0-0"), (IF_RANGE, tag)]),
                "\"e\"",
                10,
            )
        };
        assert_eq!(asked("\"e\""), Wanted::Part(0..1));
        assert_eq!(asked("\"f\""), Wanted::Whole);
        assert_eq!(asked("W/\"e\""), Wanted::Whole);
    }

    #[test]
    fn a_chunk_says_where_it_belongs() {
        let of = |text| ContentRange::of(&headers(&[(CONTENT_RANGE, text)]));
        assert_eq!(
            of("0-4"),
            Ok(Some(ContentRange {
                start: 0,
                length: 5
            }))
        );
        assert_eq!(
            of("7-7"),
            Ok(Some(ContentRange {
                start: 7,
                length: 1
            }))
        );
        for text in ["4-0", "bytes 0-4/5", "0", "-", "a-b", "0-4 ", "-1-4", ""] {
            assert_eq!(of(text), Err(ContentRangeError), "{text}");
        }
        assert_eq!(
            of("0-18446744073709551615"),
            Err(ContentRangeError),
            "longer than can be counted"
        );
        assert_eq!(ContentRange::of(&headers(&[])), Ok(None));
        assert_eq!(
            [progress(0), progress(1), progress(1024)],
            ["0-0", "0-0", "0-1023"]
        );
    }
}
