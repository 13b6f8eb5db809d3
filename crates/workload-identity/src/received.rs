//! A token as a client presents it, before its signature is verified.

use serde_json::{Map, Value};
use token::UnverifiedToken;

use crate::problem::{LONGEST_WORKLOAD_TOKEN, TokenProblem};
use crate::strict_json;

/// Members of a header that bring or name a key. A key comes from the issuer's set and from nowhere
/// else (RFC 8725 §3.10).
const KEY_MEMBERS: [&str; 4] = ["jwk", "jku", "x5c", "x5u"];

/// A token in its parts.
pub(crate) struct ReceivedToken {
    pub(crate) token: UnverifiedToken,
    pub(crate) claims: Map<String, Value>,
}

/// Whether `text` has the form of a token: it costs nothing to see that a password has not.
pub(crate) fn has_token_form(text: &str) -> bool {
    // Every header is an object, and `{"` in base64url is `eyJ`.
    text.len() <= LONGEST_WORKLOAD_TOKEN
        && text.starts_with("eyJ")
        && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Who issued `text`, if it is a token that names its issuer. Nothing of it is verified.
pub(crate) fn claimed_issuer(text: &str) -> Option<String> {
    if !has_token_form(text) {
        return None;
    }
    let token = UnverifiedToken::parse(text).ok()?;
    let claims: Value = serde_json::from_str(token.claims_json()).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

impl ReceivedToken {
    /// Takes a token apart, and refuses what no verifier should look at any further.
    pub(crate) fn parse(text: &str) -> Result<Self, TokenProblem> {
        if text.len() > LONGEST_WORKLOAD_TOKEN {
            return Err(TokenProblem::TooLong(text.len()));
        }
        let token = UnverifiedToken::parse(text)?;
        let part = |part: &'static str, json: &str| {
            strict_json::object(json).map_err(|error| TokenProblem::Json {
                part,
                error: error.to_string(),
            })
        };
        let header = part("header", token.header_json())?;
        let claims = part("claims", token.claims_json())?;
        if let Some(member) = KEY_MEMBERS
            .into_iter()
            .find(|name| header.contains_key(*name))
        {
            return Err(TokenProblem::KeyInHeader(member));
        }
        // RFC 8725 §3.11: a token of another kind, such as a logout token, is not one of these.
        let kind = header.get("typ").map(|kind| kind.as_str().unwrap_or(""));
        let is_usual = |kind: &str| {
            ["JWT", "JOSE"]
                .iter()
                .any(|usual| kind.eq_ignore_ascii_case(usual))
        };
        if let Some(kind) = kind.filter(|kind| !is_usual(kind)) {
            return Err(TokenProblem::Kind(kind.to_owned()));
        }
        Ok(Self { token, claims })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_password_has_not_the_form_of_a_token() {
        for text in [
            "",
            "secret",
            "a.b.c",
            "eyJhbGciOiJub25lIn0.e30",
            "eyJ.a.b.c",
        ] {
            assert_eq!(claimed_issuer(text), None, "{text}");
        }
        // {"alg":"none"}.{"iss":"x"}.
        assert_eq!(
            claimed_issuer("eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.").as_deref(),
            Some("x")
        );
    }

    #[test]
    fn fuzz_received_token() {
        let seeds = [
            "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.",
            "eyJhbGciOiJub25lIiwiandrIjp7fX0.eyJpc3MiOiJ4In0.AA",
        ];
        fuzz::target("received token", &seeds, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let issuer = claimed_issuer(&text);
            let Ok(received) = ReceivedToken::parse(&text) else {
                return issuer.is_some();
            };
            assert!(text.len() <= LONGEST_WORKLOAD_TOKEN);
            let lenient: Value = serde_json::from_str(received.token.claims_json()).unwrap();
            assert_eq!(Value::Object(received.claims), lenient);
            true
        });
    }
}
