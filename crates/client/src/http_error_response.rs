//! What a server says when a request fails.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde_json::{Map, Value};

use crate::json;
use crate::problem::{ProblemDetails, shortened};
use crate::transport::is_transient;

/// How many errors of one response are read.
const MAX_ERRORS: usize = 10;

/// A response that is not a success, with what the server says about it.
#[derive(Clone, Debug, thiserror::Error)]
pub struct HttpErrorResponse {
    /// The request's method.
    pub method: Method,
    /// The URL that responded.
    pub url: Url,
    /// The response's status.
    pub status: StatusCode,
    /// The errors in its body: a registry's, or a token server's.
    pub errors: Vec<ServerError>,
    /// The text of its body, if that holds no errors in a known form.
    pub text: String,
    /// Its body, if that is a problem of an API (RFC 9457); then `errors` and `text` are empty.
    pub problem: Option<ProblemDetails>,
    /// The scope that the token lacks, if the server names it (RFC 6750 §3.1, `insufficient_scope`).
    pub missing_scope: Option<String>,
    /// The server's `Server` header.
    pub server: Option<String>,
    /// How long the client should wait (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// Whether the token itself is rejected, rather than what it grants (RFC 6750 §3.1).
    pub rejects_token: bool,
}

/// One error of a response's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// `MANIFEST_UNKNOWN`, `invalid_grant`, …; may be empty.
    pub code: String,
    /// A sentence for people; may be empty.
    pub message: String,
    /// Whether the error has an object as its `detail`: then another login would not help, because a rule
    /// of the registry is in the way.
    pub has_details: bool,
}

impl HttpErrorResponse {
    /// Reads a body: a registry's errors (OCI distribution-spec, "Error Codes"), a token server's
    /// (RFC 6749 §5.2), or text.
    pub(crate) fn errors_of(body: &[u8]) -> (Vec<ServerError>, String) {
        let object: Map<String, Value> = match json::parse(body) {
            Ok(object) => object,
            Err(_) => return (Vec::new(), shortened(&String::from_utf8_lossy(body))),
        };
        // A token server's error may be there in both forms. Its own code says more.
        if let Some(code) = json::text(&object, "error") {
            let message = json::text(&object, "error_description")
                .or_else(|| json::text(&object, "details"))
                .unwrap_or_default();
            let error = ServerError {
                code: shortened(code),
                message: shortened(message),
                has_details: false,
            };
            return (vec![error], String::new());
        }
        if let Some(Value::Array(errors)) = json::member(&object, "errors") {
            let errors = errors.iter().filter_map(Value::as_object).take(MAX_ERRORS);
            return (errors.map(registry_error).collect(), String::new());
        }
        (Vec::new(), shortened(&String::from_utf8_lossy(body)))
    }

    /// Whether an error with this code is among them.
    #[must_use]
    pub fn has(&self, code: &str) -> bool {
        self.errors
            .iter()
            .any(|error| error.code.eq_ignore_ascii_case(code))
    }

    /// Whether the registry wrote the body. Proxies write pages or text.
    pub(crate) fn is_from_registry(&self) -> bool {
        self.errors.iter().any(|error| !error.code.is_empty())
    }

    /// Host and port, as names of images begin.
    pub(crate) fn host(&self) -> String {
        host(&self.url)
    }

    /// Whether another try may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        is_transient(self.status)
    }

    pub(crate) fn hint(&self) -> Option<String> {
        match self.status.as_u16() {
            413 if self.is_from_registry() => Some(
                "the registry itself limits the size: ask its operator (in Wharfinger's configuration: \
                 registry.limits)"
                    .to_owned(),
            ),
            413 => Some(
                "a proxy in front of the registry limits the size of requests: raise the limit \
                 (nginx: `client_max_body_size 0;`)"
                    .to_owned(),
            ),
            507 => Some("the registry's disk is full: its operator must make space".to_owned()),
            429 => Some("too many requests: wait, or log in for a higher limit".to_owned()),
            405 if self.method == Method::DELETE => Some(
                "the registry does not allow deleting: set storage.delete.enabled: true in its \
                 configuration"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl fmt::Display for HttpErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = without_secrets(&self.url);
        write!(f, "{} {url} responded {}", self.method, self.status)?;
        for error in &self.errors {
            let separator = if error.message.is_empty() { "" } else { ": " };
            write!(f, ": {}{separator}{}", error.code, error.message)?;
        }
        if let Some(problem) = &self.problem {
            write!(f, ": {problem}")?;
        }
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        Ok(())
    }
}

/// Scheme, host and port.
pub(crate) fn origin(url: &Url) -> String {
    format!("{}://{}", url.scheme(), host(url))
}

/// Host and port; without the port when it is the scheme's own.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A URL without user name, password and query: the query may be signed.
pub(crate) fn without_secrets(url: &Url) -> String {
    format!("{}{}", origin(url), url.path())
}

/// An error of a registry. Docker Hub explains itself in `detail`.
fn registry_error(error: &Map<String, Value>) -> ServerError {
    let code = match json::member(error, "code") {
        Some(Value::String(code)) => code.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let message = json::text(error, "message").unwrap_or_default();
    let detail = json::text(error, "detail").map_or_else(String::new, |text| format!("({text})"));
    ServerError {
        code: shortened(&code),
        message: shortened(&format!("{message} {detail}")),
        has_details: matches!(json::member(error, "detail"), Some(Value::Object(_))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(body: &str) -> Vec<(String, String)> {
        HttpErrorResponse::errors_of(body.as_bytes())
            .0
            .into_iter()
            .map(|error| (error.code, error.message))
            .collect()
    }

    #[test]
    fn reads_both_kinds_of_errors() {
        let registry = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        assert_eq!(
            errors(registry),
            [("MANIFEST_UNKNOWN".into(), "manifest unknown".into())]
        );
        let wordy = r#"{"Errors":[{"code":42,"message":null,"detail":"pull\n limit"}],"x":1}"#;
        assert_eq!(errors(wordy), [("42".into(), "(pull limit)".into())]);
        let token = r#"{"error":"invalid_grant","error_description":"no such token"}"#;
        assert_eq!(
            errors(token),
            [("invalid_grant".into(), "no such token".into())]
        );
        let docker_auth = r#"{"error":"unauthorized","details":"Auth failed."}"#;
        assert_eq!(
            errors(docker_auth),
            [("unauthorized".into(), "Auth failed.".into())]
        );
        let both =
            r#"{"error":"invalid_grant","details":"expired","errors":[{"code":"UNAUTHORIZED"}]}"#;
        assert_eq!(errors(both), [("invalid_grant".into(), "expired".into())]);
    }

    #[test]
    fn anything_else_is_text_of_bearable_length() {
        let (none, text) =
            HttpErrorResponse::errors_of(b"<html>\r\n  413 Request Entity Too Large");
        assert_eq!(
            (none.len(), text.as_str()),
            (0, "<html> 413 Request Entity Too Large")
        );
        let long = HttpErrorResponse::errors_of("é".repeat(1000).as_bytes()).1;
        assert_eq!(long.chars().count(), 301);
        let many = format!(r#"{{"errors":[{}{{}}]}}"#, r#"{"code":"X"},"#.repeat(1000));
        assert_eq!(errors(&many).len(), MAX_ERRORS);
    }
}
