//! A request that can be sent again.

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use crate::Step;
use crate::observer::{seen, shortened};

/// A request, whole in memory but for a body that is streamed.
#[derive(Clone)]
pub(crate) struct HttpRequest {
    pub(crate) step: Step,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// The body's fields, where it is a form, fit to be seen.
    pub(crate) form: Vec<(String, String)>,
}

/// Fields of a token request that are not for every eye.
const SECRET_FIELDS: [&str; 2] = ["password", "refresh_token"];

impl HttpRequest {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            step: Step::Ask,
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            form: Vec::new(),
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

    /// Sets a header. A value that cannot be one is left out, and the server will say that it
    /// misses it.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn authorization(self, value: Option<&HeaderValue>) -> Self {
        let mut call = self;
        match value {
            Some(value) => {
                let mut value = value.clone();
                value.set_sensitive(true);
                call.headers.insert(AUTHORIZATION, value);
                call.step = Step::Authorized;
            }
            None => {
                call.headers.remove(AUTHORIZATION);
            }
        }
        call
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A form as its body.
    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let encoded = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let shown = |&(name, value): &(&str, &str)| {
            let secret = SECRET_FIELDS.contains(&name);
            (
                name.to_owned(),
                if secret {
                    shortened(value)
                } else {
                    value.to_owned()
                },
            )
        };
        self.form = fields.iter().map(shown).collect();
        self.header(
            reqwest::header::CONTENT_TYPE,
            "application/x-www-form-urlencoded",
        )
        .body(encoded)
    }

    /// Its headers, fit to be seen.
    pub(crate) fn seen_headers(&self) -> Vec<(String, String)> {
        seen(&self.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded_and_its_secrets_are_not_shown() {
        let call = HttpRequest::new(Method::POST, Url::parse("https://a.example/token").unwrap())
            .form(&[("service", "Docker registry"), ("password", "a&b")]);
        assert_eq!(
            call.body.as_deref(),
            Some(&b"service=Docker+registry&password=a%26b"[..])
        );
        assert_eq!(call.form[0].1, "Docker registry");
        assert_eq!(call.form[1].1, "… (3 characters)");
    }
}
