//! The header `Forwarded` (RFC 7239) and its older relatives.

use std::net::IpAddr;

use common::parse_ip;
use http::{HeaderMap, HeaderName};

/// A header by which a proxy tells of the client or of the request that it got.
pub(super) fn forwarding_header(headers: &HeaderMap) -> Option<&HeaderName> {
    headers.keys().find(|name| {
        let name = name.as_str();
        matches!(name, "forwarded" | "x-real-ip") || name.starts_with("x-forwarded-")
    })
}

/// What one proxy added (RFC 7239 §4, forwarded-element).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// The node that made the request to the proxy (`for`): an address, `unknown` or a made-up
    /// name.
    pub(super) client: Option<String>,
    pub(super) host: Option<String>,
    pub(super) proto: Option<String>,
}

impl Element {
    /// The client's address, if the element tells one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let node = without_port(self.client.as_deref()?);
        // RFC 7239 §6: an IPv6 address stands in brackets, without a port, too.
        let bare = node
            .strip_prefix('[')
            .and_then(|node| node.strip_suffix(']'));
        parse_ip(bare.unwrap_or(node))
    }
}

/// A text that RFC 7239's grammar does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ForwardedError(pub(super) String);

/// The elements of every `Forwarded` line, the client's own first.
pub(super) fn elements(headers: &HeaderMap) -> Result<Vec<Element>, ForwardedError> {
    let mut elements = Vec::new();
    for line in headers.get_all("forwarded") {
        let line = String::from_utf8_lossy(line.as_bytes());
        let mut rest: &str = &line;
        loop {
            let (element, after) = element(rest).ok_or_else(|| ForwardedError(line.to_string()))?;
            elements.push(element);
            match after {
                Some(after) => rest = after,
                None => break,
            }
        }
    }
    Ok(elements)
}

/// The element at the front of `text`, and what follows its comma.
fn element(mut text: &str) -> Option<(Element, Option<&str>)> {
    let mut element = Element::default();
    loop {
        text = text.trim_start_matches([' ', '\t']);
        // Empty pairs and elements are legal in a list (RFC 9110 §5.6.1).
        if !text.is_empty() && !text.starts_with([',', ';']) {
            let (name, after) = text.split_once('=')?;
            let (value, after) = value(after)?;
            let field = match name.trim().to_ascii_lowercase().as_str() {
                "for" => Some(&mut element.client),
                "host" => Some(&mut element.host),
                "proto" => Some(&mut element.proto),
                name if name.bytes().all(|byte| byte.is_ascii_graphic()) => None,
                _ => return None,
            };
            if let Some(field) = field
                && field.replace(value).is_some()
            {
                // RFC 7239 §4: each parameter at most once.
                return None;
            }
            text = after.trim_start_matches([' ', '\t']);
        }
        match text.chars().next() {
            None => return Some((element, None)),
            Some(',') => return Some((element, Some(&text[1..]))),
            Some(';') => text = &text[1..],
            Some(_) => return None,
        }
    }
}

/// A token or a quoted-string, and what follows it (RFC 9110 §5.6.4). Proxies write addresses with
/// ports and brackets without quotes, too.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t', '"']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[index + 1..])),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(character),
        }
    }
    None
}

/// `text` without the port behind an IPv4 address, or behind an IPv6 address in brackets.
pub(super) fn without_port(text: &str) -> &str {
    let Some((host, _)) = text
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
    else {
        return text;
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'));
    match bare {
        Some(inner) if !inner.contains(['[', ']']) => inner,
        None if !host.contains([':', '[', ']']) => host,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Vec<Element>, ForwardedError> {
        let lines = lines
            .iter()
            .map(|line| (http::header::FORWARDED, line.parse().unwrap()));
        elements(&lines.collect())
    }

    fn element(client: &str, host: &str, proto: &str) -> Element {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Element {
            client: some(client),
            host: some(host),
            proto: some(proto),
        }
    }

    #[test]
    fn examples_of_the_specification() {
        for (lines, expected) in [
            (
                &["for=192.0.2.60;proto=http;by=203.0.113.43"][..],
                vec![element("192.0.2.60", "", "http")],
            ),
            (
                &["For=\"[2001:db8:cafe::17]:4711\""],
                vec![element("[2001:db8:cafe::17]:4711", "", "")],
            ),
            (
                &["for=192.0.2.43, for=198.51.100.17"],
                vec![
                    element("192.0.2.43", "", ""),
                    element("198.51.100.17", "", ""),
                ],
            ),
            (
                &[
                    "for=_gazonk",
                    "for=unknown; host=\"a,b;c\\\"d\" ;PROTO=https",
                ],
                vec![
                    element("_gazonk", "", ""),
                    element("unknown", "a,b;c\"d", "https"),
                ],
            ),
        ] {
            assert_eq!(read(lines), Ok(expected), "{lines:?}");
        }
    }

    #[test]
    fn addresses_of_nodes() {
        for (node, expected) in [
            ("192.0.2.43:47011", Some("192.0.2.43")),
            ("[2001:db8::1]:47011", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("::ffff:10.0.0.1", Some("10.0.0.1")),
            ("unknown", None),
            ("_hidden", None),
            ("[::1", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(element(node, "", "").address(), expected, "{node}");
        }
    }

    #[test]
    fn what_the_grammar_does_not_allow() {
        for line in [
            "for=\"192.0.2.1",
            "for",
            "for=a b",
            "for=a;for=b",
            "for=\"a\"b",
            "f r=a",
            "for=\"192.0.2.1, for=198.51.100.17",
        ] {
            assert!(read(&[line]).is_err(), "{line}");
        }
    }

    #[test]
    fn fuzz_forwarded() {
        let seeds = [
            r#"for=1.2.3.4;proto=https;host=f.example.com"#,
            r#"for="[2001:db8::1]:80";by=_x, for=unknown, For = "a\\"b""#,
        ];
        fuzz::target("forwarded", &seeds, |bytes| {
            let Ok(value) = http::HeaderValue::from_bytes(bytes) else {
                return false;
            };
            let headers = HeaderMap::from_iter([(http::header::FORWARDED, value)]);
            elements(&headers).is_ok()
        });
    }
}
