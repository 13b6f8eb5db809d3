//! The text of a secret: `whp_` (personal) or `whb_` (robot), 43 random characters and a checksum of 6.
//!
//! All characters after the prefix are of base62 (`0-9A-Za-z`), so that a double click selects the
//! whole and no program breaks it: 43 of them are 256 random bits. The checksum is the CRC-32 of what
//! is before it, as in GitHub's tokens. It lets secret scanners tell a token from a text that looks
//! like one, and this server tell a mistyped token without asking the database. The SHA-256 of the
//! whole text is stored: `printf %s whp_… | sha256sum` finds the token of a secret that leaked.

use common::{Entropy, EntropyError, Secret};
use identity::CredentialFingerprint;
use zeroize::Zeroizing;

use crate::TokenKind;

/// What matches every secret, for secret scanners.
pub const PATTERN: &str = "wh[pb]_[0-9A-Za-z]{49}";

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is just above 2^256.
const RANDOM: usize = 43;
/// 62^6 is above 2^32.
const CHECKSUM: usize = 6;

/// A new secret, and what is stored of it.
pub(crate) fn generate(
    kind: TokenKind,
    entropy: &dyn Entropy,
) -> Result<(Secret, CredentialFingerprint), EntropyError> {
    let mut text = String::with_capacity(kind.prefix().len() + RANDOM + CHECKSUM);
    text.push_str(kind.prefix());
    while text.len() < kind.prefix().len() + RANDOM {
        let mut bytes = Zeroizing::new([0; RANDOM]);
        entropy.fill(&mut bytes[..])?;
        let missing = kind.prefix().len() + RANDOM - text.len();
        // Bytes from 248 on would make the first characters more likely than the others.
        let fair = bytes.iter().filter(|byte| **byte < 248).take(missing);
        text.extend(fair.map(|byte| char::from(BASE62[usize::from(byte % 62)])));
    }
    text.push_str(&checksum(&text));
    let secret = Secret::from(text);
    let fingerprint = CredentialFingerprint::of(secret.expose());
    Ok((secret, fingerprint))
}

/// Whether `secret` begins like one of ours. Then it is nothing else, even if it is cut off.
#[must_use]
pub fn has_prefix(secret: &Secret) -> bool {
    let kinds = [TokenKind::Personal, TokenKind::Robot];
    kinds
        .iter()
        .any(|kind| secret.expose().starts_with(kind.prefix()))
}

/// What is stored of `secret`; `None` if it is certainly not one of ours.
#[must_use]
pub fn fingerprint(secret: &Secret) -> Option<CredentialFingerprint> {
    let text = secret.expose();
    let (before, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
    let has_length = text.len() == TokenKind::Personal.prefix().len() + RANDOM + CHECKSUM;
    let is_ours = has_prefix(secret) && has_length && checksum(before) == sum;
    is_ours.then(|| CredentialFingerprint::of(text))
}

/// The SHA-256 of a secret as `sha256sum` prints it.
#[must_use]
pub fn sha256_hex(fingerprint: &CredentialFingerprint) -> String {
    data_encoding::HEXLOWER.encode(fingerprint.as_bytes())
}

/// The CRC-32 of `text` in base62, filled up with zeros.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes()) as usize;
    let mut characters = [b'0'; CHECKSUM];
    for character in characters.iter_mut().rev() {
        *character = BASE62[rest % BASE62.len()];
        rest /= BASE62.len();
    }
    characters.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up from a seed, through every byte.
    struct Counting(u8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            let mut value = self.0;
            for byte in bytes {
                *byte = value;
                value = value.wrapping_add(1);
            }
            Ok(())
        }
    }

    #[test]
    fn a_secret_is_recognised() {
        let (secret, stored) = generate(TokenKind::Personal, &Counting(0)).unwrap();
        assert_eq!(
            secret.expose(),
            "whp_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg3NY0Dh"
        );
        assert_eq!(fingerprint(&secret), Some(stored));
        // printf %s whp_0123… | sha256sum
        assert_eq!(
            sha256_hex(&stored),
            "730f0e3fb1f4dfbab77bed80489475560da5e69165ed3860f9ec37c8031cc49e"
        );
        let (robot, other) = generate(TokenKind::Robot, &Counting(0)).unwrap();
        assert!(robot.expose().starts_with("whb_0123") && other != stored);
    }

    #[test]
    fn bytes_that_would_favour_some_characters_are_left_out() {
        let (secret, _) = generate(TokenKind::Robot, &Counting(240)).unwrap();
        assert!(
            secret.expose().starts_with("whb_stuvwxyz0123456789"),
            "{}",
            secret.expose()
        );
    }

    #[test]
    fn one_wrong_character_is_no_secret() {
        let (secret, _) = generate(TokenKind::Personal, &Counting(1)).unwrap();
        for index in 0..secret.expose().len() {
            let mut wrong = secret.expose().to_owned().into_bytes();
            wrong[index] = if wrong[index] == b'x' { b'y' } else { b'x' };
            let wrong = Secret::from(String::from_utf8(wrong).unwrap());
            assert_eq!(fingerprint(&wrong), None, "{}", wrong.expose());
        }
    }

    #[test]
    fn what_is_cut_off_is_still_kept_from_the_backends() {
        let (secret, _) = generate(TokenKind::Personal, &Counting(1)).unwrap();
        let text = secret.expose();
        for (foreign, prefix) in [
            ("", false),
            ("whp_", true),
            ("whp", false),
            ("whr_AQID", false),
            ("ghp_x", false),
            (&text[..52], true),
            (&text[4..], false),
            (&format!("{text}A"), true),
            (&format!(" {text}"), false),
            ("whb_ünïcode", true),
        ] {
            let foreign = Secret::from(foreign);
            assert_eq!(fingerprint(&foreign), None, "{}", foreign.expose());
            assert_eq!(has_prefix(&foreign), prefix, "{}", foreign.expose());
        }
    }

    #[test]
    fn fuzz_personal_token_secret() {
        let (secret, _) = generate(TokenKind::Personal, &Counting(7)).unwrap();
        fuzz::target(
            "personal_token_secret",
            &[secret.expose(), "whp_x"],
            |bytes| {
                let text = std::str::from_utf8(bytes).unwrap_or_default();
                fingerprint(&Secret::from(text)).is_some()
            },
        );
    }
}
