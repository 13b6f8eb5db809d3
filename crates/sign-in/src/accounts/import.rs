//! Taking over records that `docker_auth` wrote elsewhere.

use super::documents::record;
use super::{ATTEMPTS, SignInAccounts, SignInError, check_name};
use crate::store::DocumentKind;

/// What an import does to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// It says what [`Add`](Self::Add) would do.
    TryAdd,
    /// It stores users whom the store does not know.
    Add,
    /// It says what [`Replace`](Self::Replace) would do.
    TryReplace,
    /// It also replaces the records of users whom the store knows. The passwords that they made
    /// here stay.
    Replace,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It was stored.
    Added,
    /// It was stored in place of another one.
    Replaced,
    /// The store had it already.
    Same,
    /// The store has another one, which stays.
    Kept,
}

impl SignInAccounts {
    /// Stores `json` as the record of `name`, byte for byte.
    ///
    /// # Errors
    /// When it is no record, no account may have the name, or the store fails.
    pub async fn import(
        &self,
        name: &str,
        json: &[u8],
        mode: ImportMode,
    ) -> Result<ImportOutcome, SignInError> {
        check_name(name)?;
        record(name, json)?;
        let parts = self.parts();
        let kind = DocumentKind::Record;
        for _ in 0..ATTEMPTS {
            let before = parts.store.read(kind, name).await?;
            let outcome = match (&before, mode) {
                (None, _) => ImportOutcome::Added,
                (Some(before), _) if before == json => ImportOutcome::Same,
                (Some(_), ImportMode::Replace | ImportMode::TryReplace) => ImportOutcome::Replaced,
                (Some(_), ImportMode::Add | ImportMode::TryAdd) => ImportOutcome::Kept,
            };
            let changes = matches!(outcome, ImportOutcome::Added | ImportOutcome::Replaced);
            let is_try = matches!(mode, ImportMode::TryAdd | ImportMode::TryReplace);
            if is_try || !changes {
                return Ok(outcome);
            }
            let before = before.as_deref();
            if parts.store.write(kind, name, before, Some(json)).await? {
                parts.store_spelling(name).await?;
                return Ok(outcome);
            }
        }
        Err(SignInError::Contention(name.to_owned()))
    }
}
