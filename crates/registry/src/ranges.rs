//! Ranges of bytes: those that a request asks for, and those that it sends.
//!
//! `headers::Range` skips the ranges that it cannot read and knows `bytes` in lower case only. A
//! wrong range must be a 416 here, so it is read by hand.

use std::ops::Range;

use http::HeaderMap;
use http::header::{CONTENT_RANGE, IF_RANGE, RANGE};

/// The most ranges that one response has. A request for more gets the whole content. Podman asks
/// for at most 1024.
const MAX_RANGES: usize = 1024;

/// What part of some content a `GET` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RequestedRange {
    /// All of it.
    Whole,
    /// One range.
    Single(Range<u64>),
    /// At least two ranges, which neither overlap nor touch.
    Multiple(Vec<Range<u64>>),
    /// No byte that the content has.
    Unsatisfiable,
}

/// What `headers` ask for of content that has `size` bytes and this entity tag (RFC 9110 §14.2).
///
/// Units other than bytes are ignored, as the RFC requires. Ranges that overlap or touch are joined
/// (RFC 9110 §15.3.7.2), so a response never has more bytes than the content.
pub(crate) fn requested_range(headers: &HeaderMap, etag: &str, size: u64) -> RequestedRange {
    let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else {
        return RequestedRange::Whole;
    };
    // RFC 9110 §13.1.5: a part of other content is of no use.
    if headers
        .get(IF_RANGE)
        .is_some_and(|value| value.as_bytes() != etag.as_bytes())
    {
        return RequestedRange::Whole;
    }
    let Some((unit, set)) = range.split_once('=') else {
        return RequestedRange::Unsatisfiable;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return RequestedRange::Whole;
    }
    let Some(ranges) = satisfiable(set, size) else {
        return RequestedRange::Unsatisfiable;
    };
    let mut ranges = joined(ranges);
    match ranges.len() {
        0 => RequestedRange::Unsatisfiable,
        1 => RequestedRange::Single(ranges.remove(0)),
        2..=MAX_RANGES => RequestedRange::Multiple(ranges),
        _ => RequestedRange::Whole,
    }
}

/// The ranges of a list that hold a byte of the content; none if one of them cannot be read.
fn satisfiable(set: &str, size: u64) -> Option<Vec<Range<u64>>> {
    // RFC 9110 §5.6.1.2: a list may have empty elements.
    let elements = set
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let ranges = elements
        .map(|text| part(text, size))
        .collect::<Option<Vec<_>>>()?;
    Some(
        ranges
            .into_iter()
            .filter(|range| !range.is_empty())
            .collect(),
    )
}

/// One range of `bytes=`: `0-99`, `100-`, or the last `-5`. It is empty if the content has none of
/// it.
fn part(text: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.split_once('-')?;
    match (first, last) {
        ("", suffix) => Some(size.saturating_sub(number(suffix)?)..size),
        (first, "") => Some(number(first)?..size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first..last.saturating_add(1).min(size))
        }
    }
}

/// The ranges with those joined that overlap or touch, in the order in which they were asked for.
fn joined(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted: Vec<(usize, Range<u64>)> = ranges.into_iter().enumerate().collect();
    sorted.sort_by_key(|(_, range)| range.start);
    let mut joined: Vec<(usize, Range<u64>)> = Vec::new();
    for (position, range) in sorted {
        match joined.last_mut() {
            Some((first, last)) if range.start <= last.end => {
                last.end = last.end.max(range.end);
                *first = position.min(*first);
            }
            _ => joined.push((position, range)),
        }
    }
    joined.sort_by_key(|(position, _)| *position);
    joined.into_iter().map(|(_, range)| range).collect()
}

/// A number of digits only. One that is too large counts as the largest.
fn number(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The place of a chunk in its upload (OCI distribution-spec, "Pushing a blob in chunks":
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
#[error("invalid Content-Range: write the first and the last byte of the chunk, as in 0-1023")]
pub(crate) struct ContentRangeError;

impl ContentRange {
    /// The request's `Content-Range`, if it has one.
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

/// How much of an upload has arrived, as Docker writes it: `0-0` is one byte or nothing.
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

    fn asked(range: &'static str, size: u64) -> RequestedRange {
        requested_range(&headers(&[(RANGE, range)]), "\"e\"", size)
    }

    #[test]
    fn one_range_of_bytes_is_understood() {
        use RequestedRange::{Single, Unsatisfiable, Whole};
        let table = [
            ("bytes=0-4", Single(0..5)),
            ("bytes=5-", Single(5..10)),
            ("bytes=-3", Single(7..10)),
            ("bytes=-99", Single(0..10)),
            ("bytes=9-99999999999999999999999", Single(9..10)),
            ("Bytes=0-0", Single(0..1)),
            ("lines=0-4", Whole),
            ("bytes=10-", Unsatisfiable),
            ("bytes=500-0", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=-", Unsatisfiable),
            ("bytes=a-b", Unsatisfiable),
            ("bytes=+1-2", Unsatisfiable),
            ("bytes=", Unsatisfiable),
            ("bytes", Unsatisfiable),
        ];
        for (range, expected) in table {
            assert_eq!(asked(range, 10), expected, "{range}");
        }
        assert_eq!(asked("bytes=0-", 0), Unsatisfiable);
        assert_eq!(requested_range(&headers(&[]), "\"e\"", 10), Whole);
    }

    #[test]
    fn several_ranges_are_joined_where_they_touch() {
        use RequestedRange::{Multiple, Single, Unsatisfiable};
        let table = [
            ("bytes=0-1,4-5", Multiple(vec![0..2, 4..6])),
            ("bytes=4-5, 0-1", Multiple(vec![4..6, 0..2])),
            ("bytes=0-1,,\t4-5,", Multiple(vec![0..2, 4..6])),
            ("bytes=0-1,2-5", Single(0..6)),
            ("bytes=4-8,0-5", Single(0..9)),
            ("bytes=0-0,0-0,0-", Single(0..10)),
            ("bytes=8-,0-0,1-2,-1", Multiple(vec![8..10, 0..3])),
            ("bytes=0-1,99-", Single(0..2)),
            ("bytes=98-,99-", Unsatisfiable),
            ("bytes=0-1,x", Unsatisfiable),
            ("bytes=0-1,5-4", Unsatisfiable),
            ("bytes=,", Unsatisfiable),
        ];
        for (range, expected) in table {
            assert_eq!(asked(range, 10), expected, "{range}");
        }
    }

    #[test]
    fn more_ranges_than_allowed_are_answered_with_the_whole() {
        let asked = |count: usize| {
            let ranges: Vec<String> = (0..count).map(|n| format!("{0}-{0}", 2 * n)).collect();
            let value = HeaderValue::from_str(&format!("bytes={}", ranges.join(","))).unwrap();
            requested_range(&[(RANGE, value)].into_iter().collect(), "\"e\"", 1 << 20)
        };
        assert!(
            matches!(asked(MAX_RANGES), RequestedRange::Multiple(all) if all.len() == MAX_RANGES)
        );
        assert_eq!(asked(MAX_RANGES + 1), RequestedRange::Whole);
    }

    #[test]
    fn a_part_of_other_content_is_not_wanted() {
        let asked = |tag| {
            requested_range(
                &headers(&[(RANGE, "bytes=0-0"), (IF_RANGE, tag)]),
                "\"e\"",
                10,
            )
        };
        assert_eq!(asked("\"e\""), RequestedRange::Single(0..1));
        assert_eq!(asked("\"f\""), RequestedRange::Whole);
        assert_eq!(asked("W/\"e\""), RequestedRange::Whole);
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
