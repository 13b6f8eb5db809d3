//! Parsing a token, before its signature is verified.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Deserialize;
use serde_json::Value;

use crate::{Certificate, Jwk, JwkError, ReceivedClaims};

/// The longest token that is looked at, in bytes. Every server that has to carry one in a header
/// field stops earlier.
pub const LONGEST_TOKEN: usize = 64 * 1024;

/// A parsed token whose signature is not verified.
#[derive(Clone, Debug)]
pub struct UnverifiedToken {
    header_json: String,
    claims_json: String,
    signing_input: String,
    signature: Vec<u8>,
    header: TokenHeader,
}

/// The members of a token's header that lead to its key (RFC 7515 §4.1). Others are ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct TokenHeader {
    /// `alg`.
    #[serde(rename = "alg")]
    pub algorithm: String,
    /// `kid`.
    #[serde(rename = "kid", default)]
    pub key_id: Option<String>,
    /// `jwk`, not yet read as a key.
    #[serde(default)]
    pub jwk: Option<Value>,
    /// `x5c`, not yet read as certificates.
    #[serde(default)]
    pub x5c: Option<Vec<String>>,
    /// `crit`: what a reader has to understand to read the token at all. Nothing here is
    /// understood.
    #[serde(rename = "crit", default)]
    pub critical: Option<Value>,
}

impl TokenHeader {
    /// `jwk` as a key.
    ///
    /// # Errors
    /// When it is not a key that signs tokens.
    pub fn jwk(&self) -> Option<Result<Jwk, JwkError>> {
        self.jwk
            .as_ref()
            .map(|jwk| Jwk::from_json(&jwk.to_string()))
    }

    /// `x5c` as certificates, the key's own first; empty if the header has no `x5c`.
    ///
    /// # Errors
    /// When a member is not a certificate.
    pub fn chain(&self) -> Result<Vec<Certificate>, TokenError> {
        let texts = self.x5c.iter().flatten();
        texts
            .map(|text| {
                // RFC 7515 §4.1.6: base64, not base64url. Go skips line ends, which PEM has.
                let text = text.replace(['\r', '\n'], "");
                let der = BASE64
                    .decode(text.as_bytes())
                    .map_err(|_| TokenError::Chain)?;
                Certificate::from_der(&der).map_err(|_| TokenError::Chain)
            })
            .collect()
    }
}

impl UnverifiedToken {
    /// Parses a token in compact serialization (RFC 7515 §3.1, §5.2).
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() > LONGEST_TOKEN {
            return Err(TokenError::TooLong { length: text.len() });
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(TokenError::Parts(parts.len()));
        };
        let header_json = json("header", header)?;
        Ok(Self {
            header: serde_json::from_str(&header_json)
                .map_err(|e| TokenError::Header(e.to_string()))?,
            header_json,
            claims_json: json("claims", claims)?,
            signing_input: text[..header.len() + 1 + claims.len()].to_owned(),
            signature: decoded("signature", signature)?,
        })
    }

    /// The header's members that lead to the key.
    #[must_use]
    pub fn header(&self) -> &TokenHeader {
        &self.header
    }

    /// The header as it was written.
    #[must_use]
    pub fn header_json(&self) -> &str {
        &self.header_json
    }

    /// The claims as they were written.
    #[must_use]
    pub fn claims_json(&self) -> &str {
        &self.claims_json
    }

    /// The claims, unverified.
    ///
    /// # Errors
    /// When they are not the claims of a token: a claim of another type, say.
    pub fn claims(&self) -> Result<ReceivedClaims, TokenError> {
        serde_json::from_str(&self.claims_json).map_err(|e| TokenError::Claims(e.to_string()))
    }

    /// What the signature is over.
    #[must_use]
    pub fn signing_input(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    /// The signature; may be empty.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// Why a text is not a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than any token.
    #[error("it has {length} bytes, more than the {LONGEST_TOKEN} that a token may have")]
    TooLong {
        /// How long it is.
        length: usize,
    },
    /// Not three parts.
    #[error("it must have three parts between dots (header.claims.signature), and has {0}")]
    Parts(usize),
    /// A part is not base64url.
    #[error("its {0} is not base64url")]
    Base64(&'static str),
    /// A part is not UTF-8.
    #[error("its {0} is not text")]
    Utf8(&'static str),
    /// A part is not a JSON object.
    #[error("its {0} is not a JSON object")]
    Object(&'static str),
    /// The header is not what it should be.
    #[error("its header cannot be read: {0}")]
    Header(String),
    /// The claims are not what they should be.
    #[error("its claims cannot be read: {0}")]
    Claims(String),
    /// `x5c` is not what it should be.
    #[error("the x5c of its header does not hold certificates")]
    Chain,
}

fn json(part: &'static str, text: &str) -> Result<String, TokenError> {
    let json = String::from_utf8(decoded(part, text)?).map_err(|_| TokenError::Utf8(part))?;
    if json.trim_start().starts_with('{') {
        Ok(json)
    } else {
        Err(TokenError::Object(part))
    }
}

fn decoded(part: &'static str, text: &str) -> Result<Vec<u8>, TokenError> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| TokenError::Base64(part))
}
