//! The parsers of foreign bytes, tried with mutations.

use std::str::from_utf8;

use http::header::{CONTENT_RANGE, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderValue};

use crate::conditions::if_none_match_matches;
use crate::query::Query;
use crate::ranges::{ContentRange, RequestedRange, requested_range};
use crate::route::Route;

const ETAG: &str = "\"sha256:0\"";

#[test]
fn fuzz_headers() {
    let seeds = [
        "bytes=0-99,1000-1099",
        "bytes=-5",
        "bytes=7-",
        "0-1023",
        "bytes 0-9/10",
        "\"sha256:0\", W/\"x\", *",
    ];
    fuzz::target("range", &seeds, |bytes| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else {
            return false;
        };
        let headers = |name| HeaderMap::from_iter([(name, value.clone())]);
        let _ = if_none_match_matches(&headers(IF_NONE_MATCH), ETAG);
        let content = ContentRange::of(&headers(CONTENT_RANGE));
        let asked = requested_range(&headers(RANGE), ETAG, 1000);
        let ranges = match asked {
            RequestedRange::Single(range) => vec![range],
            RequestedRange::Multiple(ranges) => ranges,
            RequestedRange::Whole | RequestedRange::Unsatisfiable => Vec::new(),
        };
        // In order, apart from each other, within the content.
        assert!(
            ranges
                .iter()
                .all(|range| range.start < range.end && range.end <= 1000)
        );
        assert!(ranges.is_sorted_by(|one, next| one.end < next.start) || ranges.len() < 2);
        !ranges.is_empty() || matches!(content, Ok(Some(_)))
    });
}

#[test]
fn fuzz_addresses() {
    let digest = format!("sha256:{}", "0f".repeat(32));
    let seeds = [
        "/v2/library/app/manifests/latest".to_owned(),
        format!("/v2/a/blobs/{digest}"),
        format!("/v2/a/referrers/{digest}?artifactType=a%2Fb&n=5"),
        "/v2/a/blobs/uploads/0192f0c1-2345-7890-abcd-ef0123456789?_state=x".to_owned(),
        "/v2/_catalog?n=10&last=a".to_owned(),
    ];
    fuzz::target("addresses", &seeds, |bytes| {
        let Ok(text) = from_utf8(bytes) else {
            return false;
        };
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let query = Query::parse(Some(query));
        let _ = (query.first("n"), query.all("mount").count());
        Route::parse(path).is_ok()
    });
}
