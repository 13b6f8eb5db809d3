//! The claims of a token.

use std::borrow::Cow;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize};

use crate::Access;
use crate::json::null_or;
use common::{Entropy, EntropyError};

/// The claims of a token to be issued (RFC 7519 §4.1; Distribution, "Token Authentication
/// Implementation").
///
/// Times are seconds since the Unix epoch. Every registered member is always written: registry 2 reads
/// `aud` only as a plain string, and `access` only when it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The issuer (`iss`).
    #[serde(rename = "iss")]
    pub issuer: String,
    /// The account (`sub`); empty for anonymous.
    #[serde(rename = "sub")]
    pub subject: String,
    /// The service, a registry's, that it is for.
    #[serde(rename = "aud")]
    pub audience: String,
    /// When it ends.
    #[serde(rename = "exp")]
    pub expires_at: u64,
    /// When it begins.
    #[serde(rename = "nbf")]
    pub not_before: u64,
    /// When it was made.
    #[serde(rename = "iat")]
    pub issued_at: u64,
    /// Its own id: see [`jti`].
    #[serde(rename = "jti")]
    pub id: String,
    /// What it grants.
    pub access: Vec<Access>,
    /// The personal token or robot's token for which it was issued, by its id; empty for another login. A
    /// private claim (RFC 7519 §4.3): other registries ignore it.
    #[serde(rename = "wharfinger_token", skip_serializing_if = "String::is_empty")]
    pub personal_token: String,
}

impl Claims {
    /// The same with each action of an access once.
    pub(crate) fn deduplicated(&self) -> Cow<'_, Self> {
        if !self.access.iter().any(Access::repeats_actions) {
            return Cow::Borrowed(self);
        }
        let access = self.access.iter().cloned();
        Cow::Owned(Self {
            access: access.map(Access::deduplicated).collect(),
            ..self.clone()
        })
    }
}

/// A fresh id for a token: 128 bits in base64url.
///
/// # Errors
/// When the system has no randomness.
pub fn jti(entropy: &dyn Entropy) -> Result<String, EntropyError> {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// The claims of a received token: from any issuer, so every claim may be missing or `null`, and
/// `aud` may be a list (RFC 7519 §4.1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ReceivedClaims {
    /// The issuer (`iss`).
    #[serde(rename = "iss", deserialize_with = "null_or")]
    pub issuer: String,
    /// The account (`sub`); empty for anonymous.
    #[serde(rename = "sub", deserialize_with = "null_or")]
    pub subject: String,
    /// The services that it is for.
    #[serde(rename = "aud", deserialize_with = "one_or_several")]
    pub audience: Vec<String>,
    /// When it ends.
    #[serde(rename = "exp", deserialize_with = "seconds")]
    pub expires_at: u64,
    /// When it begins.
    #[serde(rename = "nbf", deserialize_with = "seconds")]
    pub not_before: u64,
    /// When it was made.
    #[serde(rename = "iat", deserialize_with = "seconds")]
    pub issued_at: u64,
    /// Its own id.
    #[serde(rename = "jti", deserialize_with = "null_or")]
    pub id: String,
    /// What it grants.
    #[serde(deserialize_with = "access")]
    pub access: Vec<Access>,
    /// The personal token or robot's token for which it was issued, by its id; empty for another login, or
    /// if it is no text: another issuer may use the name for something else.
    #[serde(rename = "wharfinger_token", deserialize_with = "text_or_nothing")]
    pub personal_token: String,
}

fn text_or_nothing<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::String(text) => text,
        _ => String::new(),
    })
}

fn one_or_several<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Option::deserialize(from)? {
        None => Vec::new(),
        Some(Audience::One(one)) => vec![one],
        Some(Audience::Several(several)) => several,
    })
}

/// RFC 7519 §2 lets a time have a fraction.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum NumericDate {
        Whole(u64),
        Fraction(f64),
    }
    Ok(match Option::deserialize(from)? {
        None => 0,
        Some(NumericDate::Whole(seconds)) => seconds,
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates"
        )]
        Some(NumericDate::Fraction(seconds)) => seconds as u64,
    })
}

/// Go writes an empty list as `null`. An action that the token repeats is kept once.
fn access<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Access>, D::Error> {
    let access: Vec<Access> = null_or(from)?;
    Ok(access.into_iter().map(Access::deduplicated).collect())
}
