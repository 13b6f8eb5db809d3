//! A request's parameters: those of the body first, then those of the query.
//!
//! The order is `docker_auth`'s: a body parameter beats the query's. Values stay bytes until the
//! caller asks for text, and chooses what becomes of bytes that are not UTF-8.

use std::borrow::Cow;

use common::Secret;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode;

/// The decoded `name=value` pairs of a form body and a query, in that order.
#[derive(Debug, Default)]
pub(crate) struct Parameters<'a> {
    pairs: Vec<Parameter<'a>>,
}

/// Borrowed if there was nothing to decode.
#[derive(Debug)]
struct Parameter<'a> {
    name: Cow<'a, [u8]>,
    value: Cow<'a, [u8]>,
}

/// A `%` that two hexadecimal digits do not follow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MalformedEscape;

/// A value that must be text, and is not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8;

/// Why the parameters of a request cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParametersError {
    Escape(MalformedEscape),
    /// The body is not a form, but of this content type.
    ContentType(String),
}

impl<'a> Parameters<'a> {
    /// The parameters of a request's form and query. A body must be a form, because nothing else is
    /// read of it.
    pub(crate) fn of_form(
        headers: &HeaderMap,
        query: &'a str,
        body: &'a [u8],
    ) -> Result<Self, ParametersError> {
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let mut parts = content_type.unwrap_or_default().split(|&b| b == b';');
        let essence = parts.next().unwrap_or_default().trim_ascii();
        let is_form = essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded");
        if !body.is_empty() && !is_form {
            let essence = String::from_utf8_lossy(essence).into_owned();
            return Err(ParametersError::ContentType(essence));
        }
        Self::parse(body, query.as_bytes()).map_err(ParametersError::Escape)
    }

    pub(crate) fn parse(body: &'a [u8], query: &'a [u8]) -> Result<Self, MalformedEscape> {
        let mut pairs = Vec::with_capacity(8);
        for pair in body
            .split(|&b| b == b'&')
            .chain(query.split(|&b| b == b'&'))
        {
            if pair.is_empty() {
                continue;
            }
            let end = pair.iter().position(|&b| b == b'=').unwrap_or(pair.len());
            let value = pair.get(end + 1..).unwrap_or_default();
            pairs.push(Parameter {
                name: decode(&pair[..end])?,
                value: decode(value)?,
            });
        }
        Ok(Self { pairs })
    }

    /// The first value of `name`; empty if it is missing.
    pub(crate) fn bytes(&self, name: &str) -> &[u8] {
        self.pairs
            .iter()
            .find(|pair| *pair.name == *name.as_bytes())
            .map_or(&[], |pair| &pair.value)
    }

    /// The first value of `name` as text; empty if it is missing. What is not UTF-8 becomes U+FFFD.
    pub(crate) fn text(&self, name: &str) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes(name))
    }

    /// The first value of `name` as a secret; empty if it is missing. It must be text in UTF-8,
    /// whatever the client's terminal uses (RFC 7617 §2.1, RFC 6749 appendix B).
    pub(crate) fn secret(&self, name: &str) -> Result<Secret, NotUtf8> {
        std::str::from_utf8(self.bytes(name))
            .map(Secret::from)
            .map_err(|_| NotUtf8)
    }

    /// Every value of `name`, in order.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.pairs
            .iter()
            .filter(move |pair| *pair.name == *name.as_bytes())
            .map(|pair| pair.value.as_ref())
    }
}

/// Undoes `application/x-www-form-urlencoded`: `+` is a space, `%41` a byte.
fn decode(text: &[u8]) -> Result<Cow<'_, [u8]>, MalformedEscape> {
    if !text.contains(&b'%') && !text.contains(&b'+') {
        return Ok(text.into());
    }
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&b| b == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => rest = &rest[at + 3..],
            _ => return Err(MalformedEscape),
        }
    }
    let space_or = |&b: &u8| if b == b'+' { b' ' } else { b };
    let spaced: Vec<u8> = text.iter().map(space_or).collect();
    Ok(percent_decode(&spaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_comes_before_the_query() {
        let parameters =
            Parameters::parse(b"account=b&x=1", b"account=q&scope=a+b&scope=%63").unwrap();
        assert_eq!(parameters.text("account"), "b");
        assert_eq!(
            parameters.values("scope").collect::<Vec<_>>(),
            [&b"a b"[..], b"c"]
        );
        assert_eq!(parameters.text("missing"), "");
    }

    #[test]
    fn odd_pairs_are_still_pairs() {
        let parameters = Parameters::parse(b"", b"&&flag&=v&a=b=c&n=%00&latin=%e4").unwrap();
        assert_eq!(parameters.values("flag").count(), 1);
        assert_eq!(parameters.text("a"), "b=c");
        assert_eq!(parameters.bytes("n"), b"\0");
        assert_eq!(parameters.bytes("latin"), b"\xe4");
        assert_eq!(parameters.text("latin"), "\u{fffd}");
    }

    #[test]
    fn a_malformed_escape_is_refused() {
        for query in ["a=%", "a=%4", "a=%zz", "%g=1", "a=%%41"] {
            assert_eq!(
                Parameters::parse(b"", query.as_bytes()).err(),
                Some(MalformedEscape),
                "{query}"
            );
        }
    }
}
