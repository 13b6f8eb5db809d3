//! Content that the client has already.
//!
//! `headers::IfNoneMatch` drops entity tags without quotes, which some clients send, so the header
//! is read by hand.

use http::HeaderMap;
use http::header::IF_NONE_MATCH;
use oci::Digest;

/// The entity tag of content: its digest, quoted (RFC 9110 §8.8.3).
pub(crate) fn etag(digest: &Digest) -> String {
    ["\"", digest.text().as_str(), "\""].concat()
}

/// Whether the client says that it has the content with this tag (RFC 9110 §13.1.2), with or
/// without quotes.
pub(crate) fn if_none_match_matches(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers
        .get_all(IF_NONE_MATCH)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|tag| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag.trim_matches('"') == etag.trim_matches('"')
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_the_client_has() {
        let has = |lines: &[&'static str]| {
            let headers = lines
                .iter()
                .map(|line| (IF_NONE_MATCH, HeaderValue::from_static(line)))
                .collect();
            if_none_match_matches(&headers, "\"sha256:a\"")
        };
        for line in [
            "\"sha256:a\"",
            "sha256:a",
            "W/\"sha256:a\"",
            "*",
            "\"x\", \"sha256:a\"",
        ] {
            assert!(has(&[line]), "{line}");
        }
        assert!(has(&["\"x\"", "\"sha256:a\""]), "on a second line");
        assert!(!has(&[]) && !has(&["\"sha256:b\""]) && !has(&[""]));
    }
}
