//! The hash that a database has for an account, before it is known to be one.

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
