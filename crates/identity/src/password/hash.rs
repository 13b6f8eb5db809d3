//! A password hash of either kind.

use std::fmt;
use std::str::FromStr;

use super::unsupported;
use super::{Argon2id, Argon2idError, Bcrypt, BcryptError, HashCost};
use crate::CredentialFingerprint;

/// A hash that a password can be verified against.
#[derive(Clone)]
pub struct PasswordHash {
    kind: Kind,
    fingerprint: CredentialFingerprint,
}

#[derive(Clone)]
enum Kind {
    Bcrypt(Bcrypt),
    Argon2id(Argon2id),
    /// No password matches.
    Unmatchable,
}

impl PasswordHash {
    /// A hash that no password matches, for an account that must be there although its own hash,
    /// `text`, is not verified. It costs nothing, so a login costs what every rejection does.
    #[must_use]
    pub fn unmatchable(text: &str) -> Self {
        Self {
            kind: Kind::Unmatchable,
            fingerprint: CredentialFingerprint::of(text.trim_ascii_end()),
        }
    }

    /// Whether `password` is the one this hash was made of. Slow by design: [`cost`](Self::cost)
    /// says how slow.
    #[must_use]
    pub fn verify(&self, password: &str) -> bool {
        match &self.kind {
            Kind::Bcrypt(hash) => hash.verify(password.as_bytes()),
            Kind::Argon2id(hash) => hash.verify(password.as_bytes()),
            Kind::Unmatchable => false,
        }
    }

    /// What one verification costs.
    #[must_use]
    pub fn cost(&self) -> HashCost {
        match &self.kind {
            Kind::Bcrypt(hash) => hash.cost(),
            Kind::Argon2id(hash) => hash.cost(),
            Kind::Unmatchable => HashCost::default(),
        }
    }

    /// What a session that this password opened keeps of it.
    #[must_use]
    pub fn fingerprint(&self) -> CredentialFingerprint {
        self.fingerprint
    }
}

impl FromStr for PasswordHash {
    type Err = HashError;

    /// Reads a hash. White space at its end is dropped, because YAML's block text ends in a newline.
    fn from_str(text: &str) -> Result<Self, HashError> {
        let text = text.trim_ascii_end();
        let kind = match text {
            "" => return Err(HashError::Empty),
            _ if text.starts_with("$2") => Kind::Bcrypt(text.parse()?),
            _ if text.starts_with("$argon2id$") => Kind::Argon2id(text.parse()?),
            _ => return Err(HashError::Kind(unsupported::name(text))),
        };
        Ok(Self {
            kind,
            fingerprint: CredentialFingerprint::of(text),
        })
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Bcrypt(_) => "PasswordHash(bcrypt …)",
            Kind::Argon2id(_) => "PasswordHash(argon2id …)",
            Kind::Unmatchable => "PasswordHash(unmatchable)",
        })
    }
}

/// What is wrong with a password's hash; the hash itself is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// It is empty.
    #[error("the password hash is empty: make one with `wharfinger hash`")]
    Empty,
    /// It is of another kind.
    #[error("this is {0}, not a bcrypt or argon2id hash: make one with `wharfinger hash`")]
    Kind(&'static str),
    /// It looks like bcrypt, but is not valid.
    #[error("bad bcrypt hash: {0}")]
    Bcrypt(#[from] BcryptError),
    /// It looks like argon2id, but is not valid.
    #[error("bad argon2id hash: {0}")]
    Argon2id(#[from] Argon2idError),
}

impl HashError {
    /// Whether it is a hash like any other, whose verification would take too long.
    #[must_use]
    pub fn is_too_costly(&self) -> bool {
        matches!(self, Self::Bcrypt(BcryptError::TooCostly { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTLY: &str = "$2y$31$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";

    #[test]
    fn takes_two_kinds() {
        let bcrypt: PasswordHash = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC\n"
            .parse()
            .unwrap();
        assert!(bcrypt.verify("badmin"));
        assert!(!bcrypt.verify("Badmin"));
        assert_eq!(format!("{bcrypt:?}"), "PasswordHash(bcrypt …)");
        let text = Argon2id::hash(b"sesame", &[7; 16], 64, 2).unwrap();
        let argon: PasswordHash = text.parse().unwrap();
        assert!(argon.verify("sesame"));
        assert!(!argon.verify("sesam"));
        assert_eq!(format!("{argon:?}"), "PasswordHash(argon2id …)");
        assert_ne!(bcrypt.fingerprint(), argon.fingerprint());
    }

    #[test]
    fn a_hash_that_is_too_costly_can_stand_for_an_account() {
        let error = COSTLY.parse::<PasswordHash>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "bad bcrypt hash: its cost is 31, and none above 17 is verified: hash the password anew"
        );
        let hash = PasswordHash::unmatchable(COSTLY);
        assert!(!hash.verify("badmin") && hash.cost().is_none());
        assert_eq!(format!("{hash:?}"), "PasswordHash(unmatchable)");
        assert_eq!(hash.fingerprint(), CredentialFingerprint::of(COSTLY));
    }

    #[test]
    fn names_what_it_refuses() {
        let kind = |text: &str| match text.parse::<PasswordHash>() {
            Err(HashError::Kind(kind)) => kind,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(kind("$apr1$1234$abcd"), "an Apache MD5 hash ($apr1$)");
        assert_eq!(
            kind("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
            "an unsalted SHA-1 hash ({SHA})"
        );
        assert_eq!(kind("$6$salt$hash"), "a SHA-512 crypt hash ($6$)");
        assert_eq!(
            kind("$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA"),
            "an argon2i hash"
        );
        assert_eq!(
            kind("rqXexS6ZhobKA"),
            "a traditional crypt hash (DES), or a plain password"
        );
        assert_eq!(
            kind("hunter2"),
            "a plain password, or an unknown kind of hash"
        );
        assert_eq!("".parse::<PasswordHash>().unwrap_err(), HashError::Empty);
        assert_eq!(" \n".parse::<PasswordHash>().unwrap_err(), HashError::Empty);
    }

    #[test]
    fn never_shows_the_hash() {
        for text in [
            "hunter2hunter2",
            "$2y$99$SECRETSECRET",
            "$argon2id$v=19$SECRET",
            "$6$SECRET",
        ] {
            let error = text.parse::<PasswordHash>().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(
                !shown.contains("SECRET") && !shown.contains("hunter2"),
                "{shown}"
            );
        }
    }
}
