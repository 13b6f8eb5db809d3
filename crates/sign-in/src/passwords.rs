//! The passwords that a user has made on the page: named, listed, revocable.
//!
//! A password is 16 random letters and digits, that is 95 bits, so no dictionary helps to guess it.
//! SHA-256 is enough for it and costs nothing. `docker_auth`'s record holds the newest one, too, as
//! bcrypt. A password that `docker_auth` itself made is only known by that hash.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use common::{Entropy, EntropyError, Secret};
use data_encoding::HEXLOWER;
use identity::CredentialFingerprint;
use serde::{Deserialize, Serialize};

/// The letters and digits of a password, as `docker_auth` has them.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How many characters a password has.
const LENGTH: usize = 16;

/// The most passwords that a user has. A further one takes the place of the oldest.
pub const MAX_PASSWORDS: usize = 50;

/// The longest name of a password, in characters.
pub const MAX_NAME: usize = 64;

/// The name of a password that `docker_auth` made.
const OF_DOCKER_AUTH: &str = "docker_auth";

/// What is kept of a user besides `docker_auth`'s record.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PasswordDocument {
    /// Who the user is at the provider: the issuer and the user's own id there (`iss` and `sub`).
    /// Empty if a record of `docker_auth` was never seen by this server.
    pub(crate) issuer: String,
    /// The user's own id at the provider.
    pub(crate) subject: String,
    /// Since when the provider has refused to vouch for the user, in seconds since 1970.
    pub(crate) refused_since: Option<u64>,
    /// Whether the labels are older than the last revalidation, because they could not be fetched.
    pub(crate) keeps_old_labels: bool,
    /// The passwords, the oldest first.
    pub(crate) passwords: Vec<NamedPassword>,
    /// The bcrypt hash that this server last wrote into `docker_auth`'s record.
    pub(crate) recorded_hash: String,
    /// The id of the password that this hash is of.
    pub(crate) recorded_id: String,
}

/// One password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedPassword {
    /// Its id in lists.
    pub id: String,
    /// The name that the user gave it.
    pub name: String,
    /// SHA-256 in hexadecimal, or bcrypt if `docker_auth` made it.
    pub hash: String,
    /// When it was made, in seconds since 1970.
    pub created_at: u64,
}

/// A new password, which is shown once.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// The password.
    pub password: Secret,
    /// Its id in lists.
    pub id: String,
}

impl NewPassword {
    /// Draws one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn draw(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut id = [0; 8];
        entropy.fill(&mut id)?;
        let mut text = String::with_capacity(LENGTH);
        while text.len() < LENGTH {
            let mut bytes = [0; 2 * LENGTH];
            entropy.fill(&mut bytes)?;
            // 248 is the largest multiple of 62: every character is as likely as any other.
            let fair = bytes.iter().filter(|byte| **byte < 248);
            let characters = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % 62]));
            text.extend(characters.take(LENGTH - text.len()));
        }
        Ok(Self {
            password: text.into(),
            id: HEXLOWER.encode(&id),
        })
    }

    /// This password as it is listed.
    #[must_use]
    pub fn named(&self, name: &str, created_at: u64) -> NamedPassword {
        NamedPassword {
            id: self.id.clone(),
            name: name.to_owned(),
            hash: sha256(self.password.expose()),
            created_at,
        }
    }
}

impl NamedPassword {
    /// What a session that this password opened keeps of it.
    #[must_use]
    pub fn fingerprint(&self) -> CredentialFingerprint {
        CredentialFingerprint::of(&self.hash)
    }

    /// Whether only bcrypt can tell if a password is this one.
    #[must_use]
    pub fn is_of_docker_auth(&self) -> bool {
        self.hash.starts_with('$')
    }
}

impl PasswordDocument {
    /// The password of ours that `password` is.
    #[must_use]
    pub(crate) fn find(&self, password: &Secret) -> Option<&NamedPassword> {
        let hash = sha256(password.expose());
        let is_it = |known: &&NamedPassword| {
            verify_slices_are_equal(known.hash.as_bytes(), hash.as_bytes()).is_ok()
        };
        self.passwords.iter().find(is_it)
    }

    /// The bcrypt hash that a password must match which is none of ours: that of the record if
    /// `docker_auth` wrote it there, else that of an earlier record.
    #[must_use]
    pub(crate) fn bcrypt<'a>(&'a self, in_record: &'a str) -> Option<&'a str> {
        if !in_record.is_empty() && in_record != self.recorded_hash {
            return Some(in_record);
        }
        let mut earlier = self.passwords.iter();
        let earlier = earlier.find(|known| known.is_of_docker_auth())?;
        Some(&earlier.hash)
    }

    /// Adds a password, whose bcrypt hash becomes the record's. A password that `docker_auth` put
    /// into the record stays valid, as an entry of the list.
    pub(crate) fn add(
        &mut self,
        password: NamedPassword,
        bcrypt: String,
        in_record: &str,
        now: u64,
    ) {
        if !in_record.is_empty() && in_record != self.recorded_hash {
            self.passwords.retain(|known| !known.is_of_docker_auth());
            self.passwords.push(NamedPassword {
                id: id_of_docker_auth(in_record),
                name: OF_DOCKER_AUTH.to_owned(),
                hash: in_record.to_owned(),
                created_at: now,
            });
        }
        self.recorded_id.clone_from(&password.id);
        self.recorded_hash = bcrypt;
        self.passwords.push(password);
        let surplus = self.passwords.len().saturating_sub(MAX_PASSWORDS);
        self.passwords.drain(..surplus);
    }

    /// Every password, that of `docker_auth` in the record included.
    #[must_use]
    pub(crate) fn listed(&self, in_record: &str) -> Vec<NamedPassword> {
        let mut listed = self.passwords.clone();
        if !in_record.is_empty() && in_record != self.recorded_hash {
            listed.retain(|known| !known.is_of_docker_auth());
            listed.push(NamedPassword {
                id: id_of_docker_auth(in_record),
                name: OF_DOCKER_AUTH.to_owned(),
                hash: in_record.to_owned(),
                created_at: 0,
            });
        }
        listed
    }
}

fn sha256(password: &str) -> String {
    HEXLOWER.encode(digest(&SHA256, password.as_bytes()).as_ref())
}

/// An id for a password that has none, always the same.
fn id_of_docker_auth(hash: &str) -> String {
    HEXLOWER.encode(&digest(&SHA256, hash.as_bytes()).as_ref()[..8])
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;

    use super::*;

    fn drawn() -> NewPassword {
        NewPassword::draw(&SystemEntropy).unwrap()
    }

    #[test]
    fn a_password_is_sixteen_letters_and_digits() {
        let (one, other) = (drawn(), drawn());
        assert_eq!(one.password.expose().len(), 16);
        assert!(
            one.password
                .expose()
                .bytes()
                .all(|b| b.is_ascii_alphanumeric())
        );
        assert_ne!(one.password.expose(), other.password.expose());
        assert_ne!(one.id, other.id);
    }

    #[test]
    fn each_password_is_found_and_no_other() {
        let mut document = PasswordDocument::default();
        let (laptop, server) = (drawn(), drawn());
        for (password, name) in [(&laptop, "laptop"), (&server, "server")] {
            document.add(password.named(name, 7), format!("$2a${name}"), "", 7);
        }
        assert_eq!(document.find(&laptop.password).unwrap().name, "laptop");
        assert_eq!(document.find(&server.password).unwrap().name, "server");
        assert!(document.find(&"".into()).is_none());
        assert!(document.find(&drawn().password).is_none());
        assert_eq!(document.recorded_hash, "$2a$server");
        assert_eq!(document.bcrypt("$2a$server"), None);
    }

    #[test]
    fn a_password_of_docker_auth_stays_valid() {
        let mut document = PasswordDocument::default();
        assert_eq!(document.bcrypt("$2a$theirs"), Some("$2a$theirs"));
        let ours = drawn();
        document.add(ours.named("laptop", 7), "$2a$ours".into(), "$2a$theirs", 7);
        assert_eq!(document.bcrypt("$2a$ours"), Some("$2a$theirs"));
        assert_eq!(document.listed("$2a$ours").len(), 2);
        // docker_auth replaces its own password at each of its sign-ins, and so does this list.
        assert_eq!(document.bcrypt("$2a$newer"), Some("$2a$newer"));
        assert_eq!(document.listed("$2a$newer").len(), 2);
        assert!(document.find(&ours.password).is_some());
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut document = PasswordDocument::default();
        let first = drawn();
        document.add(first.named("first", 0), "$2a$0".into(), "", 0);
        for n in 0..MAX_PASSWORDS {
            document.add(drawn().named("more", 1), format!("$2a${n}"), "", 1);
        }
        assert_eq!(document.passwords.len(), MAX_PASSWORDS);
        assert!(document.find(&first.password).is_none());
    }
}
