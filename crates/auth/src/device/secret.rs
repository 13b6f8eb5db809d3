//! The two secrets of a device login: the device code, which the device keeps, and the secret of the
//! browser in which a person decides. Only their SHA-256 is stored.

use aws_lc_rs::digest::{SHA256, digest};
use common::{Entropy, EntropyError, Secret};
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

/// 256 bits cannot be guessed, so tries need no limit (RFC 8628 §5.2).
const BYTES: usize = 32;

/// A random text of 43 characters.
pub(super) fn draw(entropy: &dyn Entropy) -> Result<Secret, EntropyError> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    entropy.fill(&mut bytes[..])?;
    Ok(BASE64URL_NOPAD.encode(&bytes[..]).into())
}

/// The SHA-256 of a secret, which is stored and looked up instead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SecretHash(pub(super) [u8; 32]);

impl SecretHash {
    pub(super) fn of(secret: &Secret) -> Self {
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, secret.expose().as_bytes()).as_ref());
        Self(sum)
    }
}
