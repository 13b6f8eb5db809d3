//! bcrypt: `$2b$10$`, 22 characters of salt, 31 of hash.
//!
//! It is read as Go's `golang.org/x/crypto/bcrypt` reads it, because `docker_auth` uses that. The
//! algorithm is the same with any letter after the 2, and the first 72 bytes of a password count.

use std::hint::black_box;
use std::ops::Range;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::HashCost;
use super::bounds::MAX_BCRYPT_COST;

/// The costs of a well-formed hash, in powers of 2 of rounds. (Go and OpenBSD accept no others
/// either.)
pub(super) const COSTS: Range<u32> = 4..32;

/// How many bytes of a password count.
const COUNTED: usize = 72;

/// bcrypt's own base 64, in which `.` is 0.
const ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A bcrypt hash.
#[derive(Clone)]
pub struct Bcrypt {
    cost: u32,
    salt: [u8; 16],
    /// The last 31 characters, which is how Go compares them.
    hash: [u8; 31],
}

impl Bcrypt {
    /// Hashes `password` with `salt`, which must be random, as `$2b$…`.
    ///
    /// # Errors
    /// When `cost` is not between 4 and 17, or `password` is longer than the 72 bytes that count.
    pub fn hash(password: &[u8], salt: [u8; 16], cost: u32) -> Result<String, BcryptError> {
        if password.len() > COUNTED {
            return Err(BcryptError::TooLong {
                length: password.len(),
            });
        }
        if cost > MAX_BCRYPT_COST {
            return Err(BcryptError::TooCostly { cost });
        }
        bcrypt::hash_with_salt(password, cost, salt)
            .map(|parts| parts.format_for_version(bcrypt::Version::TwoB))
            .map_err(|_| BcryptError::Cost)
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        bcrypt::hash_with_salt_bytes(password, self.cost, self.salt)
            .is_ok_and(|text| verify_slices_are_equal(&text[29..], &self.hash).is_ok())
    }

    pub(super) fn cost(&self) -> HashCost {
        HashCost::bcrypt(1 << self.cost)
    }
}

impl FromStr for Bcrypt {
    type Err = BcryptError;

    fn from_str(text: &str) -> Result<Self, BcryptError> {
        let rest = text.strip_prefix("$2").ok_or(BcryptError::Prefix)?;
        // `$2$`, `$2a$`, `$2x$`, `$2y$`, `$2b$`, and any other: docker_auth accepts all of them.
        let (letter, rest) = rest.split_once('$').ok_or(BcryptError::Prefix)?;
        if letter.len() > 1 || !letter.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(BcryptError::Prefix);
        }
        let (cost, rest) = rest.split_once('$').ok_or(BcryptError::Cost)?;
        let cost = match cost.as_bytes() {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
                u32::from(tens - b'0') * 10 + u32::from(ones - b'0')
            }
            _ => return Err(BcryptError::Cost),
        };
        if !COSTS.contains(&cost) {
            return Err(BcryptError::Cost);
        }
        if rest.len() != 22 + 31 {
            return Err(BcryptError::Length {
                length: rest.chars().count(),
            });
        }
        let (salt, hash) = rest.as_bytes().split_at(22);
        let salt = salt_bytes(salt).ok_or(BcryptError::Alphabet)?;
        let hash: [u8; 31] = hash.try_into().map_err(|_| BcryptError::Alphabet)?;
        let last = hash
            .iter()
            .map(|&byte| value(byte))
            .try_fold(0, |_, value| value)
            .ok_or(BcryptError::Alphabet)?;
        // 31 characters hold 186 bits, and the hash has 184. Go compares characters, so such a hash
        // could never match.
        if last & 3 != 0 {
            return Err(BcryptError::Damaged);
        }
        if cost > MAX_BCRYPT_COST {
            return Err(BcryptError::TooCostly { cost });
        }
        Ok(Self { cost, salt, hash })
    }
}

/// What is wrong with a bcrypt hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BcryptError {
    /// It does not begin as a bcrypt hash does.
    #[error("it must begin with `$2b$` (or a, x, y, or no letter)")]
    Prefix,
    /// The cost is missing or out of range.
    #[error("the cost must be two digits between 04 and 31")]
    Cost,
    /// A login would take too long.
    #[error(
        "its cost is {cost}, and none above {MAX_BCRYPT_COST} is verified: hash the password anew"
    )]
    TooCostly {
        /// The cost.
        cost: u32,
    },
    /// Too short or too long.
    #[error(
        "after the cost come 53 characters, not {length}; was it cut off, or its `$` eaten by a shell?"
    )]
    Length {
        /// How many characters come after the cost.
        length: usize,
    },
    /// A character that bcrypt does not use.
    #[error("after the cost come only letters, digits, `.` and `/`")]
    Alphabet,
    /// Its last character is impossible.
    #[error("its last character is one that bcrypt never ends in, so no password can match")]
    Damaged,
    /// The password to hash is longer than what bcrypt reads.
    #[error("the password has {length} bytes, and bcrypt counts only the first 72")]
    TooLong {
        /// The password's length in bytes.
        length: usize,
    },
}

/// Computes 2^`cost` rounds and drops the result.
pub(super) fn compute_and_drop(cost: u32, password: &[u8]) {
    let mut key = [0; COUNTED];
    let counted = password.len().min(COUNTED);
    key[..counted].copy_from_slice(&password[..counted]);
    black_box(bcrypt::bcrypt(
        cost,
        black_box([0; 16]),
        &key[..(counted + 1).min(COUNTED)],
    ));
}

/// 22 characters are 132 bits. The first 128 are the salt, and the last four do not matter.
fn salt_bytes(characters: &[u8]) -> Option<[u8; 16]> {
    let (last, others) = characters.split_last()?;
    let bits = others
        .iter()
        .try_fold(0, |bits, &byte| Some(bits << 6 | u128::from(value(byte)?)))?;
    Some((bits << 2 | u128::from(value(*last)? >> 4)).to_be_bytes())
}

fn value(character: u8) -> Option<u8> {
    ALPHABET
        .iter()
        .position(|&letter| letter == character)
        .and_then(|position| u8::try_from(position).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of the password `badmin`.
    const REST: &str = "LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";

    fn parse(text: &str) -> Result<Bcrypt, BcryptError> {
        text.parse()
    }

    #[test]
    fn any_letter_and_none() {
        for prefix in ["$2", "$2a", "$2b", "$2x", "$2y", "$2z", "$2Q", "$27"] {
            let hash = parse(&format!("{prefix}$05${REST}")).unwrap();
            assert!(hash.verify(b"badmin"), "{prefix}");
            assert!(!hash.verify(b"badmi"), "{prefix}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |text: &str| parse(text).map(|_| ()).unwrap_err();
        assert_eq!(wrong(&format!("$2ab$05${REST}")), BcryptError::Prefix);
        assert_eq!(wrong(&format!("$2!$05${REST}")), BcryptError::Prefix);
        assert_eq!(wrong("$2b"), BcryptError::Prefix);
        for cost in ["03", "32", "5", "005", "+5", "", "xx"] {
            assert_eq!(
                wrong(&format!("$2b${cost}${REST}")),
                BcryptError::Cost,
                "{cost}"
            );
        }
        assert_eq!(wrong("$2b$05$"), BcryptError::Length { length: 0 });
        assert_eq!(
            wrong(&format!("$2b$05${REST}x")),
            BcryptError::Length { length: 54 }
        );
        assert_eq!(
            wrong(&format!("$2b$05${}", &REST[1..])),
            BcryptError::Length { length: 52 }
        );
        assert_eq!(
            wrong(&format!("$2b$05$-{}", &REST[1..])),
            BcryptError::Alphabet
        );
        assert_eq!(
            wrong(&format!("$2b$05${}é", &REST[..51])),
            BcryptError::Alphabet
        );
        assert_eq!(
            wrong(&format!("$2b$05${}D", &REST[..52])),
            BcryptError::Damaged
        );
    }

    #[test]
    fn a_hand_made_salt_counts_only_where_it_is_salt() {
        // The salt's last character may end in any bits: `u` and `v` are the same salt.
        let made = Bcrypt::hash(b"x", [0x5a; 16], 4).unwrap();
        let last = value(made.as_bytes()[28]).unwrap();
        for bits in 0..16 {
            let letter = char::from(ALPHABET[usize::from(last & 0x30 | bits)]);
            let same = format!("{}{letter}{}", &made[..28], &made[29..]);
            assert!(parse(&same).unwrap().verify(b"x"), "{same}");
        }
    }

    #[test]
    fn counts_72_bytes() {
        let long = [b'p'; 80];
        let hash = parse(&Bcrypt::hash(&long[..72], [1; 16], 4).unwrap()).unwrap();
        assert!(hash.verify(&long[..72]));
        assert!(hash.verify(&long));
        assert!(!hash.verify(&long[..71]));
        assert_eq!(
            Bcrypt::hash(&long[..73], [1; 16], 4),
            Err(BcryptError::TooLong { length: 73 })
        );
        assert_eq!(Bcrypt::hash(b"x", [1; 16], 3), Err(BcryptError::Cost));
        assert_eq!(
            Bcrypt::hash(b"x", [1; 16], 18),
            Err(BcryptError::TooCostly { cost: 18 })
        );
    }

    #[test]
    fn a_cost_that_would_take_hours_is_not_verified() {
        assert!(parse(&format!("$2b$17${REST}")).is_ok());
        for cost in 18..32 {
            assert_eq!(
                parse(&format!("$2b${cost}${REST}")).map(|_| ()),
                Err(BcryptError::TooCostly { cost })
            );
        }
    }

    /// The vectors of the jBCrypt distribution, which Go's tests have as well.
    #[test]
    fn known_answers() {
        for (password, hash) in [
            (
                "",
                "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.",
            ),
            (
                "a",
                "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
            ),
            (
                "abc",
                "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
            ),
        ] {
            assert!(parse(hash).unwrap().verify(password.as_bytes()), "{hash}");
            assert!(!parse(hash).unwrap().verify(b"other"), "{hash}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn what_is_made_is_verified(password in "\\PC{0,20}", salt: [u8; 16], other in "\\PC{0,20}") {
            let hash = parse(&Bcrypt::hash(password.as_bytes(), salt, 4).unwrap()).unwrap();
            prop_assert!(hash.verify(password.as_bytes()));
            prop_assert_eq!(hash.salt, salt);
            prop_assert_eq!(hash.verify(other.as_bytes()), other == password);
        }

        #[test]
        fn reading_never_panics(text in "\\$2.{0,70}") {
            let _ = parse(&text);
        }
    }
}
