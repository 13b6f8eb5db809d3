//! The accounts of one section: what signing in stores, and what revalidation makes of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Clock, Entropy, EntropyError, unix_seconds};
use identity::password::Bcrypt;
use policy::Labels;

use crate::passwords::{NamedPassword, NewPassword, PasswordDocument};
use crate::provider::{
    ExpectedUser, IdentityProvider, ProviderError, ProviderTokens, ProviderUser, SignInRefusal,
    TokenGrant,
};
use crate::record::{RecordError, TokenRecord};
use crate::single_flight::{FlightLost, SingleFlight};
use crate::store::{DocumentKind, TokenStore, TokenStoreError};

/// The cost of the hash in `docker_auth`'s record, as there.
pub(crate) const BCRYPT_COST: u32 = 10;
/// How long an access token counts whose provider does not say it.
const USUAL_LIFE: Duration = Duration::from_secs(3600);
/// How long before its end an access token is renewed, as `docker_auth` has it.
const EARLY: Duration = Duration::from_secs(30);
/// A sign-in that was refused for so long is removed.
const REFUSED_KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How often a change is tried while others change the same document.
const ATTEMPTS: usize = 10;

/// What a section of the configuration says of its accounts.
#[derive(Clone, Copy, Debug)]
pub struct AccountPolicy {
    /// How long an account counts until the provider is asked again; `None`: as long as its access
    /// token lives.
    pub revalidate_after: Option<Duration>,
    /// How long a sign-in is good whose provider gave no refresh token.
    pub session: Duration,
    /// When a refresh token is redeemed.
    pub refresh: RefreshWhen,
    /// Whether `ANN` finds `ann`, as at providers whose names have no case.
    pub ignores_case: bool,
}

/// When a refresh token is redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshWhen {
    /// At each revalidation.
    Always,
    /// When the provider refuses the access token.
    Refused,
}

/// The parts of [`SignInAccounts`].
pub struct AccountParts {
    /// The section of the configuration, for logs and errors.
    pub section: &'static str,
    /// Who vouches for the accounts.
    pub provider: Arc<dyn IdentityProvider>,
    /// Where they are kept.
    pub store: Arc<dyn TokenStore>,
    /// What the section says.
    pub policy: AccountPolicy,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for passwords.
    pub entropy: Arc<dyn Entropy>,
}

/// The accounts of one section. Clones share them.
#[derive(Clone)]
pub struct SignInAccounts {
    parts: Arc<AccountParts>,
    flights: Arc<SingleFlight<Result<Revalidated, Arc<SignInError>>>>,
}

/// An account as it is stored.
#[derive(Clone, Debug)]
pub struct StoredAccount {
    /// The name, as the provider spells it.
    pub name: String,
    pub(crate) record: TokenRecord,
    pub(crate) document: PasswordDocument,
}

/// What a revalidation found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Revalidated {
    /// The account is there, with these labels.
    Valid(Labels),
    /// The provider does not vouch for it any more.
    Refused(SignInRefusal),
    /// It is not stored any more.
    Gone,
}

/// Why a sign-in or a revalidation fails.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The provider has no answer, or refuses.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store has no answer.
    #[error(transparent)]
    Store(#[from] TokenStoreError),
    /// What is stored cannot be read.
    #[error("the sign-in of {name:?} cannot be read")]
    Record {
        /// The account.
        name: String,
        /// Why.
        source: RecordError,
    },
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A password could not be hashed, or the work was lost.
    #[error("the password could not be made")]
    Hash,
    /// Others changed the same account all the time.
    #[error("the account {0:?} is changed by others all the time")]
    Contention(String),
    /// A revalidation ended without a result.
    #[error("the revalidation of an account ended early")]
    Lost,
}

impl SignInAccounts {
    /// The accounts of these parts.
    #[must_use]
    pub fn new(parts: AccountParts) -> Self {
        Self {
            parts: Arc::new(parts),
            flights: Arc::default(),
        }
    }

    /// The section of the configuration.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.parts.section
    }

    pub(crate) fn parts(&self) -> &AccountParts {
        &self.parts
    }

    /// The account that a client calls `typed`.
    ///
    /// # Errors
    /// When the store has no answer, or one that cannot be read.
    pub async fn find(&self, typed: &str) -> Result<Option<StoredAccount>, SignInError> {
        if typed.is_empty() {
            return Ok(None);
        }
        if let Some(account) = self.parts.stored(typed).await? {
            return Ok(Some(account));
        }
        if !self.parts.policy.ignores_case {
            return Ok(None);
        }
        let lower = typed.to_lowercase();
        let spelling = self
            .parts
            .store
            .read(DocumentKind::Spelling, &lower)
            .await?;
        // A name in lower case is its own spelling.
        let name = spelling.and_then(|name| String::from_utf8(name).ok());
        self.parts.stored(&name.unwrap_or(lower)).await
    }

    /// Stores `user`, who signed in with `tokens`, and makes a password called `password_name`.
    ///
    /// # Errors
    /// [`SignInRefusal::OtherPerson`] when the name was another person's, or the store fails.
    pub async fn sign_in(
        &self,
        tokens: &ProviderTokens,
        user: &ProviderUser,
        password_name: &str,
    ) -> Result<NewPassword, SignInError> {
        let parts = &self.parts;
        check_name(&user.name)?;
        let now = parts.clock.now();
        let (password, bcrypt) = parts.new_password().await?;
        let named = password.named(password_name, unix_seconds(now));
        let stored = parts.stored(&user.name).await?;
        let in_record = stored.map_or_else(String::new, |stored| stored.record.docker_password);
        let refusal = parts
            .change_document(&user.name, |document| {
                check_person(document, user)?;
                document.issuer.clone_from(&user.issuer);
                document.subject.clone_from(&user.subject);
                document.refused_since = None;
                document.keeps_old_labels = user.labels.is_none();
                document.add(named.clone(), bcrypt.clone(), &in_record, unix_seconds(now));
                Ok(())
            })
            .await?;
        refusal.map_err(ProviderError::from)?;
        parts
            .change_record(&user.name, |earlier| TokenRecord {
                tokens: tokens.clone(),
                valid_until: parts.valid_until(tokens, now),
                docker_password: bcrypt.clone(),
                labels: user.labels.clone().unwrap_or_else(|| {
                    earlier.map_or_else(Labels::new, |earlier| earlier.labels.clone())
                }),
            })
            .await?;
        parts.store_spelling(&user.name).await?;
        Ok(password)
    }

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

    /// Removes an account with all its passwords. Returns whether it was there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove(&self, name: &str) -> Result<bool, SignInError> {
        self.parts.remove(name).await
    }

    /// The names of all accounts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn users(&self) -> Result<Vec<String>, SignInError> {
        Ok(self.parts.store.users().await?)
    }

    /// Whether the provider still vouches for the account, and its labels of now. The provider is
    /// asked if the last answer is too old, once for all that want to know at the same moment.
    pub(crate) async fn revalidated(
        &self,
        account: &StoredAccount,
    ) -> Result<Revalidated, Arc<SignInError>> {
        if self.parts.clock.now() <= account.record.valid_until {
            return Ok(Revalidated::Valid(account.record.labels.clone()));
        }
        let (parts, name) = (Arc::clone(&self.parts), account.name.clone());
        let work = || async move { parts.revalidate(&name).await.map_err(Arc::new) };
        let outcome = self.flights.run(&account.name, work).await;
        outcome.map_err(|FlightLost| Arc::new(SignInError::Lost))?
    }
}

impl StoredAccount {
    /// Its passwords, the oldest first.
    #[must_use]
    pub fn passwords(&self) -> Vec<NamedPassword> {
        self.document.listed(&self.record.docker_password)
    }
}

impl AccountParts {
    async fn stored(&self, name: &str) -> Result<Option<StoredAccount>, SignInError> {
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
    async fn document(
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

    async fn change_document(
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

    async fn change_record(
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

    /// Writes the hash of the newest password into the record.
    async fn set_hash(&self, name: &str, hash: &str) -> Result<(), SignInError> {
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

    async fn store_spelling(&self, name: &str) -> Result<(), SignInError> {
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

    async fn remove(&self, name: &str) -> Result<bool, SignInError> {
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

    /// A password, and its bcrypt hash with the letter that `docker_auth` writes.
    async fn new_password(&self) -> Result<(NewPassword, String), SignInError> {
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

    /// Until when `tokens`, which came `now`, need not be checked again.
    fn valid_until(&self, tokens: &ProviderTokens, now: SystemTime) -> SystemTime {
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
    async fn revalidate(&self, name: &str) -> Result<Revalidated, SignInError> {
        for _ in 0..ATTEMPTS {
            let Some(mut before) = self.store.read(DocumentKind::Record, name).await? else {
                return Ok(Revalidated::Gone);
            };
            let earlier = record(name, &before)?;
            if self.clock.now() <= earlier.valid_until {
                return Ok(Revalidated::Valid(earlier.labels));
            }
            match self.revalidate_once(name, &mut before, earlier).await {
                Ok(Some(labels)) => return Ok(Revalidated::Valid(labels)),
                // Another server changed the record meanwhile: what it wrote counts.
                Ok(None) => {}
                Err(SignInError::Provider(ProviderError::Refused(refusal))) => {
                    let now = self.store.read(DocumentKind::Record, name).await?;
                    if now.as_ref() == Some(&before) {
                        self.note_refusal(name, &refusal).await?;
                        return Ok(Revalidated::Refused(refusal));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(SignInError::Contention(name.to_owned()))
    }

    /// `None` if the record is not `before` any more. `before` becomes what is stored meanwhile.
    async fn revalidate_once(
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
    async fn replace_record(
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
    async fn note_refusal(&self, name: &str, refusal: &SignInRefusal) -> Result<(), SignInError> {
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

fn record(name: &str, json: &[u8]) -> Result<TokenRecord, SignInError> {
    TokenRecord::from_json(json).map_err(|source| SignInError::Record {
        name: name.to_owned(),
        source,
    })
}

/// No log, terminal or store may read the name as another one.
fn check_name(name: &str) -> Result<(), SignInError> {
    let is_good = !name.is_empty() && name.len() <= 255 && identity::is_unambiguous_name(name);
    if is_good {
        return Ok(());
    }
    Err(ProviderError::from(SignInRefusal::Name).into())
}

/// An address or a name that was given to another person opens nothing of the first one's.
fn check_person(document: &PasswordDocument, user: &ProviderUser) -> Result<(), SignInRefusal> {
    let is_known = !document.subject.is_empty() && !user.subject.is_empty();
    let is_same = (&document.issuer, &document.subject) == (&user.issuer, &user.subject);
    if is_known && !is_same {
        return Err(SignInRefusal::OtherPerson(user.name.clone()));
    }
    Ok(())
}
