//! A request that can be sent again.

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use crate::Step;
use crate::observer::{HIDDEN, seen};

/// A request, whole in memory, except for a body that is streamed.
#[derive(Clone)]
pub(crate) struct ClientRequest {
    pub(crate) step: Step,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// The fields of a body that is a form, with secrets hidden.
    pub(crate) form: Vec<(String, String)>,
    /// Whether it is sent again when it fails for a reason that may pass.
    pub(crate) retried: bool,
    /// Whether a redirect is followed.
    pub(crate) redirected: bool,
}

/// Fields of a token request that are secrets.
const SECRET_FIELDS: [&str; 5] = [
    "password",
    "refresh_token",
    "token",
    "client_secret",
    "device_code",
];

impl ClientRequest {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            step: Step::Unauthenticated,
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            form: Vec::new(),
            retried: true,
            redirected: true,
        }
    }

    pub(crate) fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    pub(crate) fn head(url: Url) -> Self {
        Self::new(Method::HEAD, url)
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.step = step;
        self
    }

    /// Sends it once only: its failure costs less than waiting.
    pub(crate) fn once(mut self) -> Self {
        self.retried = false;
        self
    }

    /// Follows no redirect: what is asked for is at this server, or nowhere.
    pub(crate) fn without_redirects(mut self) -> Self {
        self.redirected = false;
        self
    }

    /// Sets a header. A value that a header cannot hold is left out, and the server will say that
    /// the header is missing.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn authorization(mut self, value: Option<&HeaderValue>) -> Self {
        match value {
            Some(value) => {
                let mut value = value.clone();
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
                self.step = Step::Authorized;
            }
            None => {
                self.headers.remove(AUTHORIZATION);
            }
        }
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a form as its body.
    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let encoded = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let shown = |&(name, value): &(&str, &str)| {
            let shown = match SECRET_FIELDS.contains(&name) {
                true => HIDDEN,
                false => value,
            };
            (name.to_owned(), shown.to_owned())
        };
        self.form = fields.iter().map(shown).collect();
        self.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(encoded)
    }

    /// Its headers as an observer sees them.
    pub(crate) fn seen_headers(&self) -> Vec<(String, String)> {
        seen(&self.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded_and_its_secrets_are_not_shown() {
        let long = "0123456789".repeat(10);
        let request =
            ClientRequest::new(Method::POST, Url::parse("https://a.example/token").unwrap()).form(
                &[
                    ("service", "Docker registry"),
                    ("password", "a&b"),
                    ("refresh_token", &long),
                ],
            );
        let expected = format!("service=Docker+registry&password=a%26b&refresh_token={long}");
        assert_eq!(request.body.as_deref(), Some(expected.as_bytes()));
        let shown: Vec<_> = request
            .form
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(shown, ["Docker registry", HIDDEN, HIDDEN]);
    }
}
