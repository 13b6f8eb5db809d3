//! The signature of a body, by which an endpoint knows who has sent it.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use http::{HeaderName, HeaderValue};

/// The header of the signature: `sha256=HEX`, the HMAC-SHA256 of the body. It is the header and the
/// form of GitHub's webhooks, which receivers know how to verify.
pub const SIGNATURE_HEADER: HeaderName = HeaderName::from_static("x-hub-signature-256");

/// A secret that this server and the receivers know.
#[derive(Clone)]
pub struct SigningSecret(hmac::Key);

impl SigningSecret {
    /// The secret with these bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The value of [`SIGNATURE_HEADER`] for a body.
    pub(crate) fn sign(&self, body: &[u8]) -> Option<HeaderValue> {
        let signature = HEXLOWER.encode(hmac::sign(&self.0, body).as_ref());
        HeaderValue::try_from(format!("sha256={signature}")).ok()
    }
}

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 §4.3.
    #[test]
    fn it_is_the_hmac_of_the_body() {
        let signature = SigningSecret::new(b"Jefe").sign(b"what do ya want for nothing?");
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature.unwrap().to_str().unwrap(), expected);
    }
}
