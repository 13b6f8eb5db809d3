//! Tables of requests and their expected responses, as text.
//!
//! ```text
//! METHOD PATH < header: value < body: text => STATUS > header: value > body: text
//! ```
//!
//! A header is expected to have a value, to exist (`*`), to be absent (`-`), or to contain a text
//! (`~text`). `body~` expects a part of the body, `code` the code of the first error. `{image}` is
//! the digest of an image, `{image.bytes}` its bytes, `{location}` the path of the last `Location`,
//! and `{N*text}` a text N times.

use std::collections::BTreeMap;

use super::world::{Seen, World};

/// One request and its expected response.
pub(crate) struct Step<'a> {
    line: &'a str,
    request: &'a str,
    expected: &'a str,
}

impl<'a> Step<'a> {
    pub(crate) fn parse(line: &'a str) -> Self {
        let (request, expected) = line
            .split_once(" => ")
            .unwrap_or_else(|| panic!("no => in: {line}"));
        Self {
            line,
            request,
            expected,
        }
    }

    /// Sends the request and compares the response.
    pub(crate) async fn run(&self, world: &World, location: &mut String) -> Seen {
        let fill = |text: &str| fill(text, &world.names, location);
        let mut parts = self.request.split(" < ");
        let (method, path) = parts.next().unwrap().split_once(' ').unwrap();
        let (mut headers, mut body) = (Vec::new(), String::new());
        for part in parts {
            let (name, value) = part.split_once(':').unwrap();
            match name {
                "body" => body = fill(value.trim_start()),
                name => headers.push((name.to_owned(), fill(value.trim()))),
            }
        }
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let seen = world
            .send(method, &fill(path.trim()), &headers, body.as_bytes())
            .await;
        self.check(&seen, &fill);
        assert_eq!(
            seen.header("docker-distribution-api-version"),
            Some("registry/2.0"),
            "{}",
            self.line
        );
        if let Some(next) = seen.header("location") {
            *location = next
                .strip_prefix("http://registry.test")
                .unwrap_or(next)
                .to_owned();
        }
        seen
    }

    fn check(&self, seen: &Seen, fill: &dyn Fn(&str) -> String) {
        let line = self.line;
        let mut parts = self.expected.split(" > ");
        let status: u16 = parts
            .next()
            .unwrap()
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("no status in: {line}"));
        assert_eq!(seen.status, status, "{line}\n{}", seen.text());
        for part in parts {
            if let Some(text) = part.strip_prefix("body~ ") {
                assert!(
                    seen.text().contains(&fill(text.trim())),
                    "{line}\n{}",
                    seen.text()
                );
                continue;
            }
            let (name, value) = part.split_once(':').unwrap();
            let value = fill(value.trim());
            match (name, value.as_str()) {
                ("body", value) => assert_eq!(seen.text(), value, "{line}"),
                ("code", value) => assert_eq!(seen.code(), value, "{line}\n{}", seen.text()),
                (name, "*") => assert!(seen.header(name).is_some(), "{line}: {name}"),
                (name, "-") => assert_eq!(seen.header(name), None, "{line}: {name}"),
                (name, value) => match value.strip_prefix('~') {
                    Some(part) => assert!(
                        seen.all(name).contains(part),
                        "{line}: {name}: {}",
                        seen.all(name)
                    ),
                    None => assert_eq!(seen.all(name), value, "{line}: {name}"),
                },
            }
        }
    }
}

/// `text` with its `{names}` replaced.
pub(crate) fn fill(text: &str, names: &BTreeMap<String, String>, location: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let Some(end) = rest[start..].find('}').map(|end| start + end) else {
            break;
        };
        filled.push_str(&rest[..start]);
        let name = &rest[start + 1..end];
        match (name, names.get(name), name.split_once('*')) {
            ("location", ..) => filled.push_str(location),
            (_, Some(value), _) => filled.push_str(value),
            (_, None, Some((count, text))) if count.parse::<usize>().is_ok() => {
                filled.push_str(&text.repeat(count.parse().unwrap()));
            }
            // This may be JSON.
            _ => {
                filled.push('{');
                rest = &rest[start + 1..];
                continue;
            }
        }
        rest = &rest[end + 1..];
    }
    filled + rest
}
