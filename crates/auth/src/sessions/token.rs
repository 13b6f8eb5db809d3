//! The text of a refresh token: `whr_` and 48 characters of base64url, which are 32 random bytes
//! and a checksum of 4.
//!
//! The prefix lets people and secret scanners recognise it (`whr_[A-Za-z0-9_-]{48}`). The checksum
//! tells a mistyped, cut or foreign token without asking the store. The SHA-256 of the whole text is
//! stored. So `printf %s whr_… | sha256sum` finds the session of a token that was found somewhere:
//! its id is the beginning of the sum.

use aws_lc_rs::digest::{SHA256, digest};
use common::Secret;
use common::{Entropy, EntropyError};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use zeroize::Zeroizing;

const PREFIX: &str = "whr_";
const RANDOM: usize = 32;
const CHECKSUM: usize = 4;
/// 64 bits: no two sessions of one installation share them.
const ID_BYTES: usize = 8;

/// A new refresh token, and what is stored of it.
pub(super) fn generate(entropy: &dyn Entropy) -> Result<(Secret, TokenHash), EntropyError> {
    let mut bytes = Zeroizing::new([0; RANDOM + CHECKSUM]);
    entropy.fill(&mut bytes[..RANDOM])?;
    let checksum = checksum(&bytes[..RANDOM]);
    bytes[RANDOM..].copy_from_slice(&checksum);
    let mut text = String::with_capacity(PREFIX.len() + BASE64URL_NOPAD.encode_len(bytes.len()));
    text.push_str(PREFIX);
    BASE64URL_NOPAD.encode_append(&bytes[..], &mut text);
    let hash = TokenHash(sha256(text.as_bytes()));
    Ok((text.into(), hash))
}

/// The SHA-256 of a token, which is stored and looked up instead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub(super) [u8; 32]);

impl TokenHash {
    /// The hash of `token`; `None` if it is certainly not one of ours.
    #[must_use]
    pub fn of(token: &Secret) -> Option<Self> {
        let text = token.expose();
        let encoded = text.strip_prefix(PREFIX)?;
        let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(encoded.as_bytes()).ok()?);
        let (random, sum) = bytes.split_at_checked(RANDOM)?;
        (sum == checksum(random)).then(|| Self(sha256(text.as_bytes())))
    }

    /// What lists and logs call the session.
    pub(super) fn id(&self) -> String {
        HEXLOWER.encode(&self.0[..ID_BYTES])
    }
}

/// Whether `secret` has the form of our refresh tokens, checksum included. It says nothing of
/// whether it is valid.
pub(crate) fn is_refresh_token(secret: &Secret) -> bool {
    TokenHash::of(secret).is_some()
}

fn checksum(random: &[u8]) -> [u8; CHECKSUM] {
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&sha256(random)[..CHECKSUM]);
    checksum
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up from a seed.
    struct Counting(u8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            (self.0..)
                .zip(bytes)
                .for_each(|(value, byte)| *byte = value);
            Ok(())
        }
    }

    #[test]
    fn a_token_is_recognised() {
        let (token, hash) = generate(&Counting(1)).unwrap();
        assert_eq!(
            token.expose(),
            "whr_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyCuIWwu"
        );
        assert_eq!(TokenHash::of(&token), Some(hash));
        // printf %s whr_AQID… | sha256sum
        assert_eq!(
            HEXLOWER.encode(&hash.0),
            "0c1fe95f4c57c2db6a398625e4ddc56383f2a748ca8ed426d71bc31789cb845e"
        );
        assert_eq!(hash.id(), "0c1fe95f4c57c2db");
        assert_ne!(generate(&Counting(2)).unwrap().1, hash);
    }

    #[test]
    fn one_wrong_character_is_no_token() {
        let (token, _) = generate(&Counting(1)).unwrap();
        for index in 0..token.expose().len() {
            let mut wrong = token.expose().to_owned().into_bytes();
            wrong[index] = if wrong[index] == b'x' { b'y' } else { b'x' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert_eq!(TokenHash::of(&Secret::from(wrong.clone())), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_ours_is_no_token() {
        let (token, _) = generate(&Counting(1)).unwrap();
        let token = token.expose();
        for foreign in [
            "",
            "whr_",
            "whr_AQID",
            "dckr_pat_x",
            &token[4..],
            &token[..51],
            &format!("{token}A"),
            &format!("{token}="),
        ] {
            assert_eq!(TokenHash::of(&Secret::from(foreign)), None, "{foreign}");
        }
    }
}
