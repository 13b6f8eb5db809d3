//! The hash that a database has for an account, before it is known to be one.

use common::Secret;

use crate::password::PasswordHash;
use crate::{
    AuthenticationError, CurrentCredentials, LoginSource, PasswordCheck, PasswordVerifier, Proof,
};

/// What the store of a backend has as the hash of an account's password.
#[derive(Clone, Copy)]
pub struct StoredHash<'a> {
    /// The backend's section in the configuration, for the log.
    pub backend: &'static str,
    /// The account, for the log.
    pub account: &'a str,
    /// The hash, if it is one. Otherwise no password matches it.
    pub text: &'a str,
}

/// A user whose hash a store has.
#[derive(Clone)]
pub struct UserWithHash {
    /// The user's name in the store.
    pub name: String,
    /// The hash.
    pub hash: Secret,
}

/// What `check --connect` says of the users among these whose hashes cost too much; `None` if there
/// are none.
#[must_use]
pub fn costly_hashes(users: &[UserWithHash]) -> Option<String> {
    let is_costly = |user: &&UserWithHash| {
        let parsed = user.hash.expose().parse::<PasswordHash>();
        parsed.is_err_and(|error| error.is_too_costly())
    };
    let costly = users.iter().filter(is_costly);
    let names: Vec<_> = costly.map(|user| format!("{:?}", user.name)).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("no login, because the cost of the hash is above 17: {names}")
    })
}

impl StoredHash<'_> {
    /// Whether the password of `proof` is the one that the hash was made of.
    ///
    /// # Errors
    /// [`AuthenticationError::Busy`] when too many verifications are waiting.
    pub async fn check(
        self,
        verifier: &PasswordVerifier,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<PasswordCheck, AuthenticationError> {
        match self.parse() {
            Some(hash) => verifier.verify_hash(hash, proof.secret(), source).await,
            None => {
                let rejection = verifier.reject(proof, source).await?;
                Ok(PasswordCheck::Mismatch(rejection))
            }
        }
    }

    /// What a session of the account must have been opened with.
    #[must_use]
    pub fn credentials(self) -> CurrentCredentials {
        let hash = self.parse();
        CurrentCredentials::Known(hash.iter().map(PasswordHash::fingerprint).collect())
    }

    fn parse(self) -> Option<PasswordHash> {
        let parsed = self.text.parse::<PasswordHash>();
        let parsed = parsed.inspect_err(|error| {
            let Self {
                backend, account, ..
            } = self;
            let error = error as &dyn std::error::Error;
            tracing::warn!(backend, account, error, "a user cannot log in");
        });
        parsed.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_with_costly_hashes_are_named() {
        let user = |name: &str, cost: &str| UserWithHash {
            name: name.to_owned(),
            hash: format!("$2y${cost}$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC")
                .into(),
        };
        let users = [
            user("ann", "31"),
            user("bob", "05"),
            user("eve", "99"),
            user("joe", "18"),
        ];
        assert_eq!(
            costly_hashes(&users).as_deref(),
            Some("no login, because the cost of the hash is above 17: \"ann\", \"joe\"")
        );
        assert_eq!(costly_hashes(&users[1..3]), None);
    }
}
