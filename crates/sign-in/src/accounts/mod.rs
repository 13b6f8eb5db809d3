//! The accounts of one section: what signing in stores, and what revalidation makes of it.
//!
//! - here: finding an account, signing in; [`passwords`]: further ones; [`revalidation`]: what the
//!   provider says later; [`import`]: records from elsewhere; [`documents`]: how all of this is stored.

mod documents;
mod import;
mod passwords;
mod revalidation;

use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Entropy, EntropyError, unix_seconds};
use policy::Labels;

use crate::passwords::{NamedPassword, NewPassword, PasswordDocument};
use crate::provider::{
    IdentityProvider, ProviderError, ProviderTokens, ProviderUser, SignInRefusal,
};
use crate::record::{RecordError, TokenRecord};
use crate::single_flight::{FlightLost, SingleFlight};
use crate::store::{DocumentKind, TokenStore, TokenStoreError};

pub use self::import::{ImportMode, ImportOutcome};

/// The cost of the hash in `docker_auth`'s record, as there.
pub(crate) const BCRYPT_COST: u32 = 10;
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
    flights: Arc<SingleFlight<Result<RevalidationOutcome, Arc<SignInError>>>>,
}

/// An account as it is stored.
#[derive(Clone)]
pub struct StoredAccount {
    /// The name, as the provider spells it.
    pub name: String,
    pub(crate) record: TokenRecord,
    pub(crate) document: PasswordDocument,
}

/// What a revalidation found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RevalidationOutcome {
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
    ) -> Result<RevalidationOutcome, Arc<SignInError>> {
        if self.parts.clock.now() <= account.record.valid_until {
            return Ok(RevalidationOutcome::Valid(account.record.labels.clone()));
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
