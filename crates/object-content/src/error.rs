//! What the store's errors mean.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use identity::CircuitOpen;
use object_store::client::{HttpError, HttpErrorKind};
use storage::{Error, RemotePart};

/// When a client may try again while the store is away.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// S3's word for a request whose time is not the store's.
const SKEWED: &str = "RequestTimeTooSkewed";
/// How much of a message of the store is shown, in characters.
const MESSAGE: usize = 300;

/// Why a bucket cannot be used. Each message is for the operator and names the bucket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum S3OpenError {
    /// The settings cannot be used.
    #[error("{url}: these settings cannot be used: {message}")]
    Settings {
        /// The bucket.
        url: String,
        /// What `object_store` says.
        message: String,
    },
    /// No connection to the store can be made.
    #[error("{url}: {cause}")]
    Unreachable {
        /// The bucket.
        url: String,
        /// Where the store should be, why there is no connection, and what to do.
        cause: String,
    },
    /// The store answers that something is wrong, or does not answer.
    #[error("{url}: cannot {action}: {cause}")]
    Refused {
        /// The bucket.
        url: String,
        /// What was tried.
        action: &'static str,
        /// What is wrong, and what to do.
        cause: String,
    },
}

/// Why a request failed, as far as the store says it.
pub(crate) struct StoreFailure {
    /// S3's word for it, such as `NoSuchBucket`.
    code: Option<String>,
    status: Option<u16>,
    /// What the store or the connection says, on one line.
    message: String,
    is_missing: bool,
    is_unreachable: bool,
    /// Whether the answer is not one of S3.
    is_foreign: bool,
    /// Whether the object is another one than the request named.
    is_changed: bool,
    /// Whether another request may succeed in a moment.
    may_pass: bool,
    /// Whether the store was not asked, because it kept failing.
    was_not_asked: bool,
}

impl StoreFailure {
    pub(crate) fn new(error: &object_store::Error) -> Self {
        let text = full_text(error);
        let code = element(&text, "Code").map(str::to_owned);
        let connection = failed_connection(error);
        let foreign = match (&code, &connection) {
            (None, None) => foreign_answer(&text),
            _ => None,
        };
        let time = element(&text, "ServerTime").filter(|_| code.as_deref() == Some(SKEWED));
        let message = match (element(&text, "Message"), &code, &connection) {
            (Some(message), Some(code), _) => first_of(&format!("{code}: {message}")),
            (None, Some(code), _) => first_of(code),
            (_, None, Some(why)) => {
                let store = origin(&text).unwrap_or("the store");
                first_of(&format!("{store} cannot be reached: {why}"))
            }
            (_, None, None) => match &foreign {
                Some(answer) => first_of(answer),
                // What happened is at the end.
                None => last_of(&text),
            },
        };
        let message = match time {
            Some(time) => format!("{message} The store's clock says {}", first_of(time)),
            None => message,
        };
        Self {
            is_unreachable: code.is_none() && connection.is_some(),
            is_foreign: foreign.is_some(),
            status: status(&text),
            message: common::escape_line(&message).into_owned(),
            is_changed: matches!(error, object_store::Error::Precondition { .. }),
            may_pass: may_pass(error, status(&text)),
            was_not_asked: causes(error).any(<dyn std::error::Error>::is::<CircuitOpen>),
            is_missing: matches!(error, object_store::Error::NotFound { .. })
                && code.as_deref() != Some("NoSuchBucket"),
            code,
        }
    }

    /// Whether there is no such object, or no such multipart upload.
    pub(crate) fn is_missing(&self) -> bool {
        self.is_missing
    }

    /// Whether the object ends before the range that was asked for.
    pub(crate) fn is_short(&self) -> bool {
        self.code.as_deref() == Some("InvalidRange") || self.status == Some(416)
    }

    /// Whether the object is missing, shorter, or another one than the request named.
    pub(crate) fn is_about_content(&self) -> bool {
        self.is_missing() || self.is_short() || self.is_changed
    }

    /// Whether another request may succeed in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// Whether the store does not have what its row says: another request would say the same.
    pub(crate) fn is_mismatch(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some("InvalidPart" | "InvalidPartOrder" | "EntityTooSmall")
        )
    }

    /// Whether the store does not know this kind of request.
    pub(crate) fn is_unsupported(&self) -> bool {
        matches!(self.status, Some(400 | 405 | 411 | 501))
            || matches!(
                self.code.as_deref(),
                Some("NotImplemented" | "MethodNotAllowed" | "MissingContentMD5")
            )
    }

    /// The failure for a client, once it is in the log.
    pub(crate) fn unavailable(&self, action: &str) -> Error {
        if self.was_not_asked {
            // The log says once that the store keeps failing.
            tracing::debug!("the object store keeps failing: cannot {action}");
        } else {
            tracing::error!(cause = %self.message, "the object store failed: cannot {action}");
        }
        Error::Unavailable {
            what: RemotePart::Content,
            retry_after: RETRY_AFTER,
        }
    }

    /// The failure for the operator.
    pub(crate) fn refused(&self, url: &str, action: &'static str) -> S3OpenError {
        let cause = match self.hint() {
            Some(hint) => format!("{} ({hint})", self.message),
            None => self.message.clone(),
        };
        if self.is_unreachable {
            return S3OpenError::Unreachable {
                url: url.to_owned(),
                cause,
            };
        }
        S3OpenError::Refused {
            url: url.to_owned(),
            action,
            cause,
        }
    }

    /// The failure of reading another registry's data. Unless it is about one object, it is
    /// [`ErrorKind::HostUnreachable`], whatever the store says.
    pub(crate) fn io_error(&self) -> io::Error {
        let kind = match self.code.as_deref() {
            // The object is in an archive.
            Some("InvalidObjectState") => ErrorKind::Other,
            _ if self.is_missing => ErrorKind::NotFound,
            _ => ErrorKind::HostUnreachable,
        };
        let message = match self.hint() {
            Some(hint) => format!("{} ({hint})", self.message),
            None => self.message.clone(),
        };
        io::Error::new(kind, message)
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self.code.as_deref() {
            Some("NoSuchBucket") => "create the bucket, or correct `bucket`",
            Some("InvalidAccessKeyId" | "XAdminUserNotFound") => "correct `accesskey`",
            Some("SignatureDoesNotMatch") => "correct `secretkey`, or `region`",
            Some("AccessDenied") => {
                "allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload, and \
                 s3:ListBucket for the images of another registry"
            }
            Some(SKEWED) => "correct the clock of this machine",
            Some("AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                "correct `region`"
            }
            Some("PermanentRedirect" | "TemporaryRedirect") => {
                "correct `region` or `regionendpoint`"
            }
            Some("ExpiredToken") => "the temporary credentials have expired: renew them",
            Some("InvalidStorageClass") => "correct `storageclass`",
            _ if self.is_unreachable => "correct `regionendpoint`, or check that the store runs",
            _ if self.status == Some(403) => "check the key, its permissions, and the clock",
            _ if self.is_foreign => {
                "look at what listens there: it does not answer as S3 does; correct `regionendpoint`"
            }
            _ => return None,
        })
    }
}

/// For `map_err`: the failure of an action for which the store is at fault.
pub(crate) fn unavailable(action: &'static str) -> impl FnOnce(object_store::Error) -> Error {
    move |error| StoreFailure::new(&error).unavailable(action)
}

/// An error with all its causes. Most of `object_store`'s errors repeat their causes, some do not.
fn full_text(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut source = StdError::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// An error and all its causes.
fn causes(error: &object_store::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |&cause| cause.source())
}

/// Whether another request may succeed: the connection failed, or the store says so.
fn may_pass(error: &object_store::Error, status: Option<u16>) -> bool {
    let is_connection = causes(error).any(|cause| {
        let http = cause.downcast_ref::<HttpError>();
        http.is_some_and(|http| {
            matches!(
                http.kind(),
                HttpErrorKind::Connect
                    | HttpErrorKind::Request
                    | HttpErrorKind::Timeout
                    | HttpErrorKind::Interrupted
            )
        })
    });
    is_connection || matches!(status, Some(408 | 429 | 500 | 502..=504))
}

/// Why no connection could be made, if that is what is wrong.
fn failed_connection(error: &object_store::Error) -> Option<String> {
    let causes = || causes(error);
    causes().find(|cause| {
        let http = cause.downcast_ref::<HttpError>();
        http.is_some_and(|http| http.kind() == HttpErrorKind::Connect)
    })?;
    // Errors of the client are around it, which say only that a request failed.
    let inner: Vec<_> = causes()
        .map(ToString::to_string)
        .skip_while(|text| !text.starts_with("client error"))
        .skip(1)
        .collect();
    match inner.is_empty() {
        true => causes().last().map(ToString::to_string),
        false => Some(inner.join(": ")),
    }
}

/// What answered, if it is no error of S3, which has its word for it in XML: a web page, another API,
/// another protocol.
fn foreign_answer(text: &str) -> Option<String> {
    const STATUS: &str = "status code: ";
    const NO_HTTP: &str = "client error (SendRequest): ";
    let store = origin(text).unwrap_or("the store");
    if let Some((_, answer)) = text.split_once(STATUS) {
        let status = answer.split(':').next().unwrap_or_default().trim();
        return Some(format!("{store} answered {status}"));
    }
    if let Some((_, reason)) = text.rsplit_once(NO_HTTP) {
        return Some(format!("{store} gave no answer in HTTP: {reason}"));
    }
    let is_without_tag = text.contains("ETag Header missing");
    is_without_tag.then(|| format!("{store} answered without an ETag"))
}

/// Scheme, host and port of the first URL in a text.
fn origin(text: &str) -> Option<&str> {
    let url = text
        .split_whitespace()
        .find(|word| word.starts_with("http://") || word.starts_with("https://"))?;
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    url.get(..scheme.len() + "://".len() + host.len())
}

fn first_of(text: &str) -> String {
    text.chars().take(MESSAGE).collect()
}

fn last_of(text: &str) -> String {
    let excess = text.chars().count().saturating_sub(MESSAGE);
    text.chars().skip(excess).collect()
}

/// The text of an element of an XML answer, which `object_store` quotes.
fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let rest = text.get(start..)?;
    let end = rest.find("</")?;
    rest.get(..end)
}

/// The status of the answer, which `object_store` writes into the text.
fn status(text: &str) -> Option<u16> {
    let start = text.find("status code: ")? + "status code: ".len();
    text.get(start..start + 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_messages_are_found() {
        let failure = |text: &str| {
            StoreFailure::new(&object_store::Error::Generic {
                store: "S3",
                source: text.to_owned().into(),
            })
        };
        let denied = failure(
            "non-2xx status code: 403 Forbidden: <Error><Code>AccessDenied</Code><Message>No\n.</Message></Error>",
        );
        assert_eq!((denied.status, denied.is_missing()), (Some(403), false));
        let refused = denied.refused("s3://b", "write").to_string();
        assert!(
            refused.starts_with(r"s3://b: cannot write: AccessDenied: No\n. (allow s3:GetObject"),
            "{refused}"
        );
        assert!(failure("<Code>InvalidPart</Code>").is_mismatch());
        assert!(failure("status code: 416 Range").is_short());
        assert!(failure("status code: 501 x").is_unsupported());
        let put = "Error performing PUT http://127.0.0.1:8080/b/blobs/a in 2ms";
        for (text, answer) in [
            (
                format!(
                    "{put} - Server returned non-2xx status code: 404 Not Found: <html>: {}",
                    "x".repeat(600)
                ),
                "http://127.0.0.1:8080 answered 404 Not Found",
            ),
            (
                format!(
                    "{put} - HTTP error: error sending request: client error (SendRequest): invalid HTTP version parsed"
                ),
                "http://127.0.0.1:8080 gave no answer in HTTP: invalid HTTP version parsed",
            ),
            (
                "Unable to extract metadata from headers: ETag Header missing from response"
                    .to_owned(),
                "the store answered without an ETag",
            ),
        ] {
            let refused = failure(&text)
                .refused("s3://b", "write an object")
                .to_string();
            assert_eq!(
                refused,
                format!(
                    "s3://b: cannot write an object: {answer} (look at what listens there: it does not answer as S3 does; \
                     correct `regionendpoint`)"
                )
            );
        }
        assert_eq!(failure("connection refused").hint(), None);
        let long = failure(&format!("{} the cause", "x".repeat(2 * MESSAGE)));
        assert!(long.message.ends_with(" the cause"), "{}", long.message);
    }
}
