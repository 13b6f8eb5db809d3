//! The routes of the API: where an object is, and what the caller must be granted to reach it.

use reqwest::Url;

use super::address::ApiAddress;
use crate::Error;
use crate::session::Scopes;

/// Where an object or a list is, below `/api/v1`, and the scopes that it needs.
#[derive(Clone, Debug)]
pub struct ApiRoute {
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    rights: &'static [(&'static str, &'static str)],
}

impl ApiRoute {
    /// The route whose path has these segments. `rights` are the resources and actions that may be
    /// needed, as `("users", "read")` for the scope `wharfinger:users:read`; all of them are asked
    /// for.
    #[must_use]
    pub fn new(path: &[&str], rights: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            path: path.iter().map(ToString::to_string).collect(),
            query: Vec::new(),
            rights,
        }
    }

    /// The route of what is below this one.
    #[must_use]
    pub fn below(mut self, segment: &str) -> Self {
        self.path.push(segment.to_owned());
        self
    }

    /// The same with a parameter in its query.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.query.push((name, value.to_owned()));
        self
    }

    /// The same with a parameter if there is a value for it.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(super) fn scopes(&self) -> Scopes {
        Scopes::api(self.rights)
    }

    pub(super) fn url(&self, address: &ApiAddress) -> Result<Url, Error> {
        let mut path = address.base().path().to_owned();
        for (index, segment) in self.path.iter().enumerate() {
            // A URL cannot hold them, not even encoded (URL Standard, "double-dot URL path segment").
            if matches!(segment.as_str(), "" | "." | "..") {
                return Err(Error::Unsupported(format!(
                    "{segment:?} cannot be part of a URL: run the command beside the server, with FILE"
                )));
            }
            path += if index > 0 { "/" } else { "" };
            path.extend(segment.bytes().map(encoded));
        }
        let mut url = address.base().clone();
        url.set_path(&path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }
}

/// A byte of a path's segment: percent-encoded unless it is unreserved (RFC 3986 §2.3).
fn encoded(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_one_segment() {
        let address = "https://a.example/t".parse().unwrap();
        let url = |name: &str| {
            let route = ApiRoute::new(&["users", name], &[("users", "read")]);
            route.with("after", "a&b").url(&address).map(String::from)
        };
        for (name, segment) in [
            ("bob", "bob"),
            ("a/b", "a%2Fb"),
            ("../robots", "..%2Frobots"),
            ("a?b#c", "a%3Fb%23c"),
            ("50%", "50%25"),
            ("josé", "jos%C3%A9"),
            ("...", "..."),
        ] {
            let expected = format!("https://a.example/t/api/v1/users/{segment}?after=a%26b");
            assert_eq!(url(name).unwrap(), expected);
        }
        for name in ["", ".", ".."] {
            let error = url(name).unwrap_err().to_string();
            assert!(error.contains("cannot be part of a URL"), "{error}");
        }
    }
}
