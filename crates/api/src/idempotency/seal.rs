//! Responses that are stored, encrypted. A response may hold the secret of a token, which is shown
//! once and stored nowhere else.
//!
//! The key of each response is derived of a secret of the server *and* of the Idempotency-Key, of
//! which the database has a digest only. So the database alone opens nothing, nor does it with the
//! server's key, unless the Idempotency-Key can be guessed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use common::{Entropy, EntropyError};
use http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::ClaimedKey;
use crate::etag::EntityTag;
use crate::reply::ApiResponse;

/// A secret of the server.
pub struct ResponseKey(Zeroizing<[u8; 32]>);

/// A response that only its Idempotency-Key opens.
#[derive(Clone)]
pub(super) struct SealedResponse(Vec<u8>);

/// A response as it is encrypted.
#[derive(Serialize, Deserialize)]
struct StoredResponse {
    status: u16,
    headers: Vec<(String, String)>,
    tag: Option<String>,
    body: Value,
}

impl ResponseKey {
    /// A key that is derived from `secret`, such as a private key.
    #[must_use]
    pub fn derived_from(secret: &[u8]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(
            &secret,
            b"wharfinger: responses of the API by idempotency key",
        );
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(derived.as_ref());
        Self(key)
    }

    pub(super) fn seal(
        &self,
        claimed: &ClaimedKey,
        response: &ApiResponse,
        entropy: &dyn Entropy,
    ) -> Result<SealedResponse, EntropyError> {
        let header = |(name, value): &(HeaderName, String)| (name.to_string(), value.clone());
        let stored = StoredResponse {
            status: response.status.as_u16(),
            headers: response.headers.iter().map(header).collect(),
            tag: response.tag.as_ref().map(|tag| tag.as_str().to_owned()),
            body: response.body.clone(),
        };
        let mut text = serde_json::to_vec(&stored).map_err(|_| EntropyError)?;
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce)?;
        let key = self.key_of(claimed).ok_or(EntropyError)?;
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(claimed.id),
            &mut text,
        )
        .map_err(|_| EntropyError)?;
        Ok(SealedResponse([nonce.as_slice(), &text].concat()))
    }

    /// What was sealed; `None` if it was not with this key.
    pub(super) fn open(&self, claimed: &ClaimedKey, sealed: &[u8]) -> Option<ApiResponse> {
        let mut sealed = sealed.to_vec();
        let (nonce, text) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let key = self.key_of(claimed)?;
        let text = key.open_in_place(nonce, Aad::from(claimed.id), text).ok()?;
        let stored: StoredResponse = serde_json::from_slice(text).ok()?;
        let header = |(name, value): (String, String)| Some((name.parse().ok()?, value));
        Some(ApiResponse {
            status: StatusCode::from_u16(stored.status).ok()?,
            headers: stored.headers.into_iter().filter_map(header).collect(),
            tag: stored.tag.map(EntityTag::stored),
            body: stored.body,
        })
    }

    /// The key of one response (RFC 5869).
    fn key_of(&self, claimed: &ClaimedKey) -> Option<LessSafeKey> {
        let secret = Salt::new(HKDF_SHA256, &*self.0).extract(claimed.key.as_bytes());
        let info = [b"response of ", claimed.account.as_bytes()];
        let okm = secret.expand(&info, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(okm)))
    }
}

impl SealedResponse {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;

    use super::*;

    fn claimed(account: &str, key: &str) -> ClaimedKey {
        ClaimedKey {
            id: [7; 32],
            account: account.to_owned(),
            key: key.to_owned(),
        }
    }

    #[test]
    fn only_the_same_keys_open_a_response() {
        let key = ResponseKey::derived_from(b"a private key");
        let response = ApiResponse {
            status: StatusCode::CREATED,
            headers: vec![(http::header::LOCATION, "/api/v1/tokens/1".to_owned())],
            tag: Some(EntityTag::stored("\"v1\"".to_owned())),
            body: serde_json::json!({ "secret": "whp_0123" }),
        };
        let sealed = key
            .seal(&claimed("ann", "k"), &response, &SystemEntropy)
            .unwrap();
        let text = String::from_utf8_lossy(sealed.as_bytes());
        assert!(!text.contains("whp_"), "{text}");
        let opened = key.open(&claimed("ann", "k"), sealed.as_bytes()).unwrap();
        assert_eq!(
            (opened.status, &opened.body),
            (StatusCode::CREATED, &response.body)
        );
        assert_eq!(
            (&opened.headers, &opened.tag),
            (&response.headers, &response.tag)
        );
        for (account, other) in [("ann", "other"), ("bob", "k")] {
            let opened = key.open(&claimed(account, other), sealed.as_bytes());
            assert!(opened.is_none(), "{account} {other}");
        }
        let rotated = ResponseKey::derived_from(b"another private key");
        assert!(
            rotated
                .open(&claimed("ann", "k"), sealed.as_bytes())
                .is_none()
        );
        assert!(key.open(&claimed("ann", "k"), &[]).is_none());
    }
}
