//! Asking the provider again: whether an account is still there, and its labels of now.

use std::time::{Duration, SystemTime};

use common::unix_seconds;
use policy::Labels;

use super::documents::record;
use super::{ATTEMPTS, AccountParts, RefreshWhen, RevalidationOutcome, SignInError, check_person};
use crate::passwords::PasswordDocument;
use crate::provider::{ExpectedUser, ProviderError, ProviderTokens, SignInRefusal, TokenGrant};
use crate::record::TokenRecord;
use crate::store::DocumentKind;

/// How long an access token counts whose provider does not say it.
const USUAL_LIFE: Duration = Duration::from_secs(3600);
/// How long before its end an access token is renewed, as `docker_auth` has it.
const EARLY: Duration = Duration::from_secs(30);
/// A sign-in that was refused for so long is removed.
const REFUSED_KEPT: Duration = Duration::from_secs(30 * 86_400);

impl AccountParts {
    /// Until when `tokens`, which came `now`, need not be checked again.
    pub(super) fn valid_until(&self, tokens: &ProviderTokens, now: SystemTime) -> SystemTime {
        let cannot_refresh = tokens.refresh_token.is_empty();
        let period = if self.policy.refresh == RefreshWhen::Always && cannot_refresh {
            self.policy.session
        } else {
            let life = tokens.expires_in.unwrap_or(USUAL_LIFE);
            let usual = life.saturating_sub(EARLY);
            self.policy.revalidate_after.unwrap_or(usual)
        };
        now.checked_add(period).unwrap_or(now)
    }

    /// Asks the provider about an account, and stores what it says.
    pub(super) async fn revalidate(&self, name: &str) -> Result<RevalidationOutcome, SignInError> {
        for _ in 0..ATTEMPTS {
            let Some(mut before) = self.store.read(DocumentKind::Record, name).await? else {
                return Ok(RevalidationOutcome::Gone);
            };
            let earlier = record(name, &before)?;
            if self.clock.now() <= earlier.valid_until {
                return Ok(RevalidationOutcome::Valid(earlier.labels));
            }
            match self.revalidate_once(name, &mut before, earlier).await {
                Ok(Some(labels)) => return Ok(RevalidationOutcome::Valid(labels)),
                // Another server changed the record meanwhile: what it wrote counts.
                Ok(None) => {}
                Err(SignInError::Provider(ProviderError::Refused(refusal))) => {
                    let now = self.store.read(DocumentKind::Record, name).await?;
                    if now.as_ref() == Some(&before) {
                        self.note_refusal(name, &refusal).await?;
                        return Ok(RevalidationOutcome::Refused(refusal));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(SignInError::Contention(name.to_owned()))
    }

    /// `None` if the record is not `before` any more. `before` becomes what is stored meanwhile.
    pub(super) async fn revalidate_once(
        &self,
        name: &str,
        before: &mut Vec<u8>,
        mut record: TokenRecord,
    ) -> Result<Option<Labels>, SignInError> {
        let document = self.document(name).await?.0;
        let expected = ExpectedUser::Known {
            name,
            subject: &document.subject,
        };
        let asked = match self.policy.refresh {
            RefreshWhen::Always => None,
            RefreshWhen::Refused => match self.provider.identify(&record.tokens, expected).await {
                Err(ProviderError::Refused(SignInRefusal::Revoked))
                    if !record.tokens.refresh_token.is_empty() =>
                {
                    None
                }
                asked => Some(asked?),
            },
        };
        let user = match asked {
            Some(user) => user,
            None => {
                if record.tokens.refresh_token.is_empty() {
                    return Err(ProviderError::from(SignInRefusal::NoRefreshToken).into());
                }
                let grant = TokenGrant::RefreshToken(&record.tokens.refresh_token);
                record.tokens = self.provider.request_tokens(grant).await?;
                // The provider may take the old token no more, so the new one is stored before
                // anything else can fail.
                if !self.replace_record(name, before, &record).await? {
                    return Ok(None);
                }
                self.provider.identify(&record.tokens, expected).await?
            }
        };
        check_person(&document, &user).map_err(ProviderError::from)?;
        if user.name != name {
            return Err(ProviderError::from(SignInRefusal::Renamed(user.name)).into());
        }
        let keeps_old_labels = user.labels.is_none();
        if keeps_old_labels && document.keeps_old_labels {
            return Err(ProviderError::Unavailable {
                what: "the labels of the account could not be fetched twice".to_owned(),
                source: None,
            }
            .into());
        }
        let now = self.clock.now();
        if let Some(labels) = user.labels {
            record.labels = labels;
        }
        record.valid_until = self.valid_until(&record.tokens, now);
        if !self.replace_record(name, before, &record).await? {
            return Ok(None);
        }
        let changed = PasswordDocument {
            issuer: user.issuer,
            subject: user.subject,
            refused_since: None,
            keeps_old_labels,
            ..document.clone()
        };
        if changed != document {
            let note = self.change_document(name, |document| {
                document.issuer.clone_from(&changed.issuer);
                document.subject.clone_from(&changed.subject);
                document.refused_since = None;
                document.keeps_old_labels = keeps_old_labels;
                Ok(())
            });
            let _no_refusal = note.await?;
        }
        Ok(Some(record.labels))
    }

    /// Stores `record` in place of `before`, which it becomes. Returns false if another server has
    /// changed it.
    pub(super) async fn replace_record(
        &self,
        name: &str,
        before: &mut Vec<u8>,
        record: &TokenRecord,
    ) -> Result<bool, SignInError> {
        let (kind, after) = (DocumentKind::Record, record.to_json());
        let was_replaced = self
            .store
            .write(kind, name, Some(before), Some(&after))
            .await?;
        *before = after;
        Ok(was_replaced)
    }

    /// Notes since when an account is refused. After a long time it is removed.
    pub(super) async fn note_refusal(
        &self,
        name: &str,
        refusal: &SignInRefusal,
    ) -> Result<(), SignInError> {
        tracing::warn!(
            account = name,
            backend = self.section,
            reason = %refusal,
            "the provider does not vouch for an account any more; its user must sign in again"
        );
        let now = unix_seconds(self.clock.now());
        let since = self.document(name).await?.0.refused_since;
        match since {
            Some(since) if now.saturating_sub(since) >= REFUSED_KEPT.as_secs() => {
                self.remove(name).await?;
                tracing::info!(
                    account = name,
                    backend = self.section,
                    "an old sign-in was removed"
                );
            }
            Some(_) => {}
            None => {
                let note = self.change_document(name, |document| {
                    document.refused_since.get_or_insert(now);
                    Ok(())
                });
                let _no_refusal = note.await?;
            }
        }
        Ok(())
    }
}
