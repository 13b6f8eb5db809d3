//! Reading and changing what is stored of an account: compare, change, try again.

use super::{ATTEMPTS, AccountParts, SignInError, StoredAccount};
use crate::passwords::PasswordDocument;
use crate::provider::SignInRefusal;
use crate::record::{RecordError, TokenRecord};
use crate::store::DocumentKind;

impl AccountParts {
    pub(super) async fn stored(&self, name: &str) -> Result<Option<StoredAccount>, SignInError> {
        let Some(json) = self.store.read(DocumentKind::Record, name).await? else {
            return Ok(None);
        };
        Ok(Some(StoredAccount {
            record: record(name, &json)?,
            document: self.document(name).await?.0,
            name: name.to_owned(),
        }))
    }

    /// The document of passwords, and its bytes. One of `docker_auth` has none.
    pub(super) async fn document(
        &self,
        name: &str,
    ) -> Result<(PasswordDocument, Option<Vec<u8>>), SignInError> {
        let json = self.store.read(DocumentKind::Passwords, name).await?;
        let document = match &json {
            Some(json) => serde_json::from_slice(json).map_err(|_| SignInError::Record {
                name: name.to_owned(),
                source: RecordError::Form,
            })?,
            None => PasswordDocument::default(),
        };
        Ok((document, json))
    }

    pub(super) async fn change_document(
        &self,
        name: &str,
        change: impl Fn(&mut PasswordDocument) -> Result<(), SignInRefusal>,
    ) -> Result<Result<(), SignInRefusal>, SignInError> {
        for _ in 0..ATTEMPTS {
            let (mut document, before) = self.document(name).await?;
            if let Err(refusal) = change(&mut document) {
                return Ok(Err(refusal));
            }
            let after = serde_json::json!(document).to_string();
            let (kind, before) = (DocumentKind::Passwords, before.as_deref());
            if self
                .store
                .write(kind, name, before, Some(after.as_bytes()))
                .await?
            {
                return Ok(Ok(()));
            }
        }
        Err(SignInError::Contention(name.to_owned()))
    }

    pub(super) async fn change_record(
        &self,
        name: &str,
        change: impl Fn(Option<&TokenRecord>) -> TokenRecord,
    ) -> Result<(), SignInError> {
        for _ in 0..ATTEMPTS {
            let before = self.store.read(DocumentKind::Record, name).await?;
            // One that cannot be read is replaced.
            let earlier = before.as_deref().and_then(|json| record(name, json).ok());
            let after = change(earlier.as_ref()).to_json();
            let kind = DocumentKind::Record;
            if self
                .store
                .write(kind, name, before.as_deref(), Some(&after))
                .await?
            {
                return Ok(());
            }
        }
        Err(SignInError::Contention(name.to_owned()))
    }

    pub(super) async fn store_spelling(&self, name: &str) -> Result<(), SignInError> {
        let lower = name.to_lowercase();
        if !self.policy.ignores_case || lower == name {
            return Ok(());
        }
        let kind = DocumentKind::Spelling;
        let before = self.store.read(kind, &lower).await?;
        let before = before.as_deref();
        // If another sign-in of the same user is first, it writes the same.
        self.store
            .write(kind, &lower, before, Some(name.as_bytes()))
            .await?;
        Ok(())
    }

    pub(super) async fn remove(&self, name: &str) -> Result<bool, SignInError> {
        let mut was_there = false;
        for (kind, name) in [
            (DocumentKind::Record, name.to_owned()),
            (DocumentKind::Passwords, name.to_owned()),
            (DocumentKind::Spelling, name.to_lowercase()),
        ] {
            let before = self.store.read(kind, &name).await?;
            if let Some(before) = before {
                was_there |= self.store.write(kind, &name, Some(&before), None).await?;
            }
        }
        Ok(was_there)
    }
}

pub(super) fn record(name: &str, json: &[u8]) -> Result<TokenRecord, SignInError> {
    TokenRecord::from_json(json).map_err(|source| SignInError::Record {
        name: name.to_owned(),
        source,
    })
}
