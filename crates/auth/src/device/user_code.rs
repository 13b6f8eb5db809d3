//! The code that a person compares, and types if the address is not enough (RFC 8628 §6.1).

use std::fmt;
use std::str::FromStr;

use common::{Entropy, EntropyError};

/// Consonants that no one takes for another letter or a digit. Without vowels they make no words.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// How many letters a code has: 20^8 codes are 34.5 bits.
const LENGTH: usize = 8;

/// The longest text that is read as a code, in bytes.
const LONGEST_TEXT: usize = 64;

/// A user code, shown as `WDJB-MJHT`.
///
/// ```
/// let code: auth::device::UserCode = " wdjb mjht".parse().unwrap();
/// assert_eq!(code.to_string(), "WDJB-MJHT");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCode(String);

/// A text that is not a user code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code has eight letters, such as WDJB-MJHT")]
pub struct UserCodeError;

impl UserCode {
    /// Draws a code.
    pub(super) fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut code = String::with_capacity(LENGTH);
        while code.len() < LENGTH {
            let mut bytes = [0; 2 * LENGTH];
            entropy.fill(&mut bytes)?;
            // 240 is the largest multiple of 20: every letter is as likely as any other.
            let fair = bytes.iter().filter(|byte| **byte < 240);
            let letters = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % 20]));
            code.extend(letters.take(LENGTH - code.len()));
        }
        Ok(Self(code))
    }

    /// The letters alone, as they are stored and stand in addresses.
    #[must_use]
    pub fn letters(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(LENGTH / 2);
        write!(f, "{first}-{second}")
    }
}

impl FromStr for UserCode {
    type Err = UserCodeError;

    /// Case, blanks and punctuation do not matter (RFC 8628 §6.1).
    fn from_str(text: &str) -> Result<Self, UserCodeError> {
        if text.len() > LONGEST_TEXT {
            return Err(UserCodeError);
        }
        let ignored = |c: &char| c.is_whitespace() || c.is_ascii_punctuation();
        let letters = text.chars().filter(|c| !ignored(c));
        let code: String = letters.map(|c| c.to_ascii_uppercase()).collect();
        let is_code = code.len() == LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte));
        is_code.then_some(Self(code)).ok_or(UserCodeError)
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;

    use super::*;

    #[test]
    fn a_drawn_code_is_read_again() {
        for _ in 0..100 {
            let code = UserCode::generate(&SystemEntropy).unwrap();
            assert_eq!(code.to_string().parse(), Ok(code.clone()));
            assert_eq!(code.letters().to_lowercase().parse(), Ok(code));
        }
    }

    #[test]
    fn what_is_not_eight_letters_of_ours_is_no_code() {
        for text in [
            "",
            "WDJB-MJH",
            "WDJB-MJHTT",
            "WDJB-MJHA",
            "WDJB-MJH0",
            "WDJB–MJHT",
            "ＷDJB-MJHT",
            &"-".repeat(LONGEST_TEXT + 1),
        ] {
            assert_eq!(text.parse::<UserCode>(), Err(UserCodeError), "{text}");
        }
    }

    #[test]
    fn fuzz_user_code() {
        fuzz::target("user_code", &["WDJB-MJHT", " wdjb.mjht\n"], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let Ok(code) = text.parse::<UserCode>() else {
                return false;
            };
            assert_eq!(code.to_string().parse(), Ok(code));
            true
        });
    }
}
