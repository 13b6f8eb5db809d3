//! Signing tokens.

use std::sync::Arc;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Serialize;

use crate::{Certificate, Claims, Jwk, KeyIdKind, PrivateKey, SignError, SignatureAlgorithm};

/// A member of a token's header that tells the registry which key signed it. No single one serves
/// every registry: a registry reads the first that it finds of `x5c`, `jwk`, `kid`, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderMember {
    /// The key's id.
    Kid,
    /// The public key itself, its id in it.
    Jwk,
    /// The key's certificate and the chain above it.
    X5c,
}

/// What a token's header says of the key.
#[derive(Clone, Copy, Debug)]
pub struct HeaderOptions<'a> {
    /// The members to write; none is allowed, but only a registry of one key could read that.
    pub members: &'a [HeaderMember],
    /// The id in `kid`, and in a `jwk`.
    pub key_id: KeyIdKind,
    /// The key's certificate first, then its issuers'. Needed for `x5c`.
    pub chain: &'a [Certificate],
}

/// Room for a signature of P-256 or Ed25519 in base64url. RSA's are longer, but take so much time that
/// a second allocation does not matter.
const SIGNATURE_LENGTH: usize = 86;

/// A key with a header, ready to sign any number of tokens: the header is encoded once.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Arc<PrivateKey>,
    kid: String,
    /// The header in base64url and the dot behind it.
    header: String,
}

impl Signer {
    /// Joins a key with a header.
    ///
    /// # Errors
    /// When `x5c` is asked for without the key's certificate.
    pub fn new(key: Arc<PrivateKey>, options: HeaderOptions<'_>) -> Result<Self, HeaderError> {
        let has = |member| options.members.contains(&member);
        if has(HeaderMember::X5c) {
            let leaf = options.chain.first().ok_or(HeaderError::NoCertificate)?;
            if !leaf.holds(key.public()) {
                return Err(HeaderError::OtherKey {
                    subject: leaf.subject().to_owned(),
                });
            }
        }
        let kid = key.public().id(options.key_id);
        let header = Header {
            typ: "JWT",
            alg: key.algorithm(),
            kid: has(HeaderMember::Kid).then(|| kid.clone()),
            jwk: has(HeaderMember::Jwk).then(|| key.public().jwk().with_id(options.key_id)),
            x5c: has(HeaderMember::X5c).then(|| {
                options
                    .chain
                    .iter()
                    .map(|c| BASE64.encode(c.der()))
                    .collect()
            }),
        };
        let json = serde_json::to_vec(&header).map_err(|_| HeaderError::Encoding)?;
        let mut header = BASE64URL_NOPAD.encode(&json);
        header.push('.');
        Ok(Self { key, kid, header })
    }

    /// Signs a token of these claims, each action once, in compact serialization (RFC 7515 §3.1).
    ///
    /// # Errors
    /// When the cryptographic library fails, which it has no reason to.
    pub fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        // A signature on P-256 takes so little time that a larger buffer, or one more, would be
        // seen in the rate.
        let mut json = Vec::with_capacity(512);
        serde_json::to_writer(&mut json, &*claims.deduplicated()).map_err(|_| SignError)?;
        let signed = self.header.len() + BASE64URL_NOPAD.encode_len(json.len());
        let mut token = String::with_capacity(signed + 1 + SIGNATURE_LENGTH);
        token.push_str(&self.header);
        BASE64URL_NOPAD.encode_append(&json, &mut token);
        let signature = self.key.sign_with(token.as_bytes(), |signature| {
            BASE64URL_NOPAD.encode(signature)
        })?;
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }

    /// The id that the header gives the key, or would give it.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }
}

/// Why a header cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// `x5c` without a certificate.
    #[error("a header with x5c needs the key's certificate")]
    NoCertificate,
    /// The certificate is another key's.
    #[error("the certificate of {subject:?} does not belong to the key")]
    OtherKey {
        /// The subject of the certificate.
        subject: String,
    },
    /// The header could not be written as JSON, which has no reason to happen.
    #[error("the header cannot be written")]
    Encoding,
}

/// In the order in which seed generators wrote it.
#[derive(Serialize)]
struct Header {
    typ: &'static str,
    #[serde(serialize_with = "name")]
    alg: SignatureAlgorithm,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwk: Option<Jwk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5c: Option<Vec<String>>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn name<S: serde::Serializer>(algorithm: &SignatureAlgorithm, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(algorithm.name())
}
