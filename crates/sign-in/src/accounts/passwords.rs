//! The passwords of an account: made, revoked.

use common::unix_seconds;
use identity::password::Bcrypt;

use super::documents::record;
use super::{ATTEMPTS, AccountParts, BCRYPT_COST, SignInAccounts, SignInError};
use crate::passwords::NewPassword;
use crate::provider::ProviderError;
use crate::store::DocumentKind;

impl SignInAccounts {
    /// Makes a further password for an account that has signed in.
    ///
    /// # Errors
    /// When the store fails. `None` if the account is gone.
    pub async fn add_password(
        &self,
        name: &str,
        password_name: &str,
    ) -> Result<Option<NewPassword>, SignInError> {
        let parts = &self.parts;
        let Some(stored) = parts.stored(name).await? else {
            return Ok(None);
        };
        let (password, bcrypt) = parts.new_password().await?;
        let now = unix_seconds(parts.clock.now());
        let named = password.named(password_name, now);
        let in_record = stored.record.docker_password;
        let added = parts
            .change_document(name, |document| {
                document.add(named.clone(), bcrypt.clone(), &in_record, now);
                Ok(())
            })
            .await?;
        added.map_err(ProviderError::from)?;
        parts.set_hash(name, &bcrypt).await?;
        Ok(Some(password))
    }

    /// Ends a password, and with it every session that it opened. Returns whether it was there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke_password(&self, name: &str, id: &str) -> Result<bool, SignInError> {
        let parts = &self.parts;
        let Some(stored) = parts.stored(name).await? else {
            return Ok(false);
        };
        let in_record = stored.record.docker_password;
        let listed = stored.document.listed(&in_record);
        let Some(password) = listed.into_iter().find(|password| password.id == id) else {
            return Ok(false);
        };
        let is_recorded = password.hash == in_record
            || (stored.document.recorded_id == id && stored.document.recorded_hash == in_record);
        if is_recorded {
            parts.set_hash(name, "").await?;
        }
        let removed = parts
            .change_document(name, |document| {
                document.passwords.retain(|known| known.id != id);
                Ok(())
            })
            .await?;
        removed.map_err(ProviderError::from)?;
        Ok(true)
    }
}

impl AccountParts {
    /// A password, and its bcrypt hash with the letter that `docker_auth` writes.
    pub(super) async fn new_password(&self) -> Result<(NewPassword, String), SignInError> {
        let password = NewPassword::draw(self.entropy.as_ref())?;
        let mut salt = [0; 16];
        self.entropy.fill(&mut salt)?;
        let secret = password.password.clone();
        let hashed = tokio::task::spawn_blocking(move || {
            Bcrypt::hash(secret.expose().as_bytes(), salt, BCRYPT_COST)
        });
        let hash = hashed.await.map_err(|_| SignInError::Hash)?;
        let hash = hash.map_err(|_| SignInError::Hash)?;
        let hash = hash.replacen("$2b$", "$2a$", 1);
        Ok((password, hash))
    }

    /// Writes the hash of the newest password into the record.
    pub(super) async fn set_hash(&self, name: &str, hash: &str) -> Result<(), SignInError> {
        for _ in 0..ATTEMPTS {
            let Some(before) = self.store.read(DocumentKind::Record, name).await? else {
                return Ok(());
            };
            let mut after = record(name, &before)?;
            hash.clone_into(&mut after.docker_password);
            let (kind, after) = (DocumentKind::Record, after.to_json());
            if self
                .store
                .write(kind, name, Some(&before), Some(&after))
                .await?
            {
                return Ok(());
            }
        }
        Err(SignInError::Contention(name.to_owned()))
    }
}
