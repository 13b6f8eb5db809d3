//! What a server says when it says no.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

/// The longest message of a server that is shown, in characters.
const LONGEST: usize = 300;

/// An answer that is no success, with what the server says of it.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ErrorResponse {
    /// What was asked.
    pub method: Method,
    /// Whom.
    pub url: Url,
    /// The answer.
    pub status: StatusCode,
    /// The errors that it names: a registry's, or a token server's.
    pub errors: Vec<ServerError>,
    /// What it says where it names none.
    pub text: String,
    /// The program that says it is there (`Server`).
    pub server: Option<String>,
    /// How long to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
}

/// One error that a server names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// `MANIFEST_UNKNOWN`, `invalid_grant`, …; may be empty.
    pub code: String,
    /// For people; may be empty.
    pub message: String,
}

impl ErrorResponse {
    /// Reads a body: a registry's errors (OCI distribution-spec, "Error Codes"), a token server's
    /// (RFC 6749 §5.2), or text.
    pub(crate) fn errors_of(body: &[u8]) -> (Vec<ServerError>, String) {
        #[derive(Deserialize)]
        struct Registrys {
            errors: Vec<Item>,
        }
        #[derive(Deserialize)]
        struct Item {
            #[serde(default)]
            code: Value,
            #[serde(default)]
            message: Option<String>,
            #[serde(default)]
            detail: Value,
        }
        #[derive(Deserialize)]
        struct TokenServers {
            error: String,
            error_description: Option<String>,
            details: Option<String>,
        }
        if let Ok(Registrys { errors }) = serde_json::from_slice(body) {
            let read = |Item {
                            code,
                            message,
                            detail,
                        }| ServerError {
                code: code
                    .as_str()
                    .map_or_else(|| code.to_string(), str::to_owned),
                message: shown(&[message.unwrap_or_default(), text_of(&detail)].join(" ")),
            };
            return (errors.into_iter().map(read).collect(), String::new());
        }
        if let Ok(TokenServers {
            error,
            error_description,
            details,
        }) = serde_json::from_slice(body)
        {
            let message = shown(&error_description.or(details).unwrap_or_default());
            return (
                vec![ServerError {
                    code: error,
                    message,
                }],
                String::new(),
            );
        }
        (Vec::new(), shown(&String::from_utf8_lossy(body)))
    }

    /// Whether an error with this code is among them.
    #[must_use]
    pub fn has(&self, code: &str) -> bool {
        self.errors
            .iter()
            .any(|error| error.code.eq_ignore_ascii_case(code))
    }

    /// Host and port, as images' names begin with.
    pub(crate) fn host(&self) -> String {
        host(&self.url)
    }

    /// Whether the same might succeed at another time.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self.status.as_u16(),
            408 | 425 | 429 | 500 | 502 | 503 | 504
        )
    }

    pub(crate) fn hint(&self) -> Option<String> {
        match self.status.as_u16() {
            413 => Some(format!(
                "{} takes no body of this size: raise the limit of the proxy (nginx: client_max_body_size 0;)",
                self.server
                    .as_deref()
                    .unwrap_or("something in front of the registry")
            )),
            429 => Some("too many requests: wait, or log in for a higher limit".to_owned()),
            405 if self.method == Method::DELETE => Some(
                "the registry does not delete: storage.delete.enabled: true in its configuration"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} answered {}",
            self.method,
            without_query(&self.url),
            self.status
        )?;
        for error in &self.errors {
            let separator = if error.message.is_empty() { "" } else { ": " };
            write!(f, ": {}{separator}{}", error.code, error.message)?;
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

/// Host and port, the port only where it is not the scheme's.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Queries may hold what was signed.
fn without_query(url: &Url) -> String {
    format!("{}{}", origin(url), url.path())
}

/// Text of somebody else's, made fit for a terminal's line.
fn shown(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words: Vec<&str> = clean.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The part of a `detail` that a person can read. Docker Hub explains itself there.
fn text_of(detail: &Value) -> String {
    match detail {
        Value::String(text) => format!("({text})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(body: &str) -> Vec<(String, String)> {
        ErrorResponse::errors_of(body.as_bytes())
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
        let wordy = r#"{"errors":[{"code":42,"detail":"pull\u001b[2J limit"}]}"#;
        assert_eq!(errors(wordy), [("42".into(), "(pull [2J limit)".into())]);
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
    }

    #[test]
    fn anything_else_is_text_of_a_bearable_length() {
        let (none, text) =
            ErrorResponse::errors_of(b"<html>\r\n  413 Request Entity\x07 Too Large");
        assert_eq!(
            (none.len(), text.as_str()),
            (0, "<html> 413 Request Entity Too Large")
        );
        assert_eq!(
            ErrorResponse::errors_of("é".repeat(1000).as_bytes())
                .1
                .chars()
                .count(),
            LONGEST + 1
        );
    }
}
