//! The challenge of a 401: `WWW-Authenticate`, exactly as each client in the field needs it.
//!
//! There is one challenge, every parameter is quoted, and no parameter is empty: crane asks for the
//! scope `repository::pull` if it is given `scope=""`. A client that sent a token is told what is
//! wrong with it, or containerd goes on using it.
//!
//! (RFC 9110 §11.6.1, RFC 6750 §3, RFC 7617 §2; Distribution, "Token Authentication
//! Specification".)

use std::fmt::Write;

use http::HeaderValue;
use serde_json::Value;

use crate::required_access::{RequiredAccess, scope};

/// What is wrong with a token that was presented (RFC 6750 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenFault {
    /// It does not verify.
    InvalidToken,
    /// It verifies and does not grant enough.
    InsufficientScope,
}

/// What a 401 asks for.
#[derive(Debug)]
pub(crate) struct AccessChallenge {
    pub(crate) header: HeaderValue,
    /// The `detail` of the body: an entry for each action, as Distribution words it. There is none
    /// if any token would do.
    pub(crate) detail: Option<Value>,
    /// The scopes that are asked for, separated by spaces.
    pub(crate) scope: String,
    /// What was wrong with the credentials, for the operator; none if the client sent none.
    pub(crate) reason: Option<String>,
}

impl AccessChallenge {
    /// For a token from `realm` that grants `needed`.
    pub(crate) fn bearer(
        realm: &str,
        service: &str,
        needed: &[RequiredAccess<'_>],
        fault: Option<TokenFault>,
    ) -> Self {
        let mut text = format!("Bearer realm={}", quoted(realm));
        parameter(&mut text, "service", service);
        let scope = scope(needed);
        parameter(&mut text, "scope", &scope);
        match fault {
            Some(TokenFault::InvalidToken) => parameter(&mut text, "error", "invalid_token"),
            Some(TokenFault::InsufficientScope) => {
                parameter(&mut text, "error", "insufficient_scope");
            }
            None => {}
        }
        let detail: Vec<Value> = needed.iter().flat_map(RequiredAccess::details).collect();
        Self {
            header: value(&text),
            detail: (!detail.is_empty()).then_some(Value::Array(detail)),
            scope,
            reason: None,
        }
    }

    /// For a name and a password.
    pub(crate) fn basic(realm: &str) -> Self {
        Self {
            header: value(&format!("Basic realm={}", quoted(realm))),
            detail: None,
            scope: String::new(),
            reason: None,
        }
    }

    /// Notes why the credentials that came did not suffice.
    pub(crate) fn because(self, reason: Option<String>) -> Self {
        Self { reason, ..self }
    }
}

fn parameter(text: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        // Writing to a string does not fail.
        let _ = write!(text, ",{name}={}", quoted(value));
    }
}

/// A quoted-string (RFC 9110 §5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn value(text: &str) -> HeaderValue {
    // A configuration has nothing that a header cannot hold.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("Basic realm=\"registry\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bearer(needed: &[RequiredAccess<'_>], fault: Option<TokenFault>) -> AccessChallenge {
        AccessChallenge::bearer(
            "https://auth.example/token",
            "registry.example",
            needed,
            fault,
        )
    }

    #[test]
    fn a_challenge_says_what_to_bring() {
        let challenge = bearer(&[RequiredAccess::repository("a/b", &["pull"])], None);
        assert_eq!(
            challenge.header,
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull""#
        );
        assert_eq!(
            challenge.detail,
            Some(json!([{"Type": "repository", "Name": "a/b", "Action": "pull"}]))
        );
    }

    #[test]
    fn no_parameter_is_empty() {
        let challenge = AccessChallenge::bearer("https://a/token", "", &[], None);
        assert_eq!(challenge.header, r#"Bearer realm="https://a/token""#);
        assert_eq!(challenge.detail, None);
    }

    #[test]
    fn a_token_that_was_brought_hears_why_it_did_not_do() {
        let last = |fault| {
            bearer(&[], Some(fault))
                .header
                .to_str()
                .unwrap()
                .rsplit(',')
                .next()
                .map(str::to_owned)
        };
        assert_eq!(
            last(TokenFault::InvalidToken).as_deref(),
            Some(r#"error="invalid_token""#)
        );
        assert_eq!(
            last(TokenFault::InsufficientScope).as_deref(),
            Some(r#"error="insufficient_scope""#)
        );
    }

    #[test]
    fn a_mount_needs_two_repositories() {
        let challenge = bearer(
            &[
                RequiredAccess::repository("to", &["pull", "push"]),
                RequiredAccess::repository("from", &["pull"]),
            ],
            None,
        );
        assert!(
            challenge
                .header
                .to_str()
                .unwrap()
                .ends_with(r#"scope="repository:to:pull,push repository:from:pull""#)
        );
        assert_eq!(challenge.detail.unwrap().as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_realm_is_quoted() {
        assert_eq!(
            AccessChallenge::basic("a \"b\" \\").header,
            r#"Basic realm="a \"b\" \\""#
        );
    }
}
