//! The backend: an account's entry is searched, and a bind as that entry checks the password.

use std::sync::Arc;

use common::{BoxFuture, Clock, escape_line};
use identity::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError,
    CredentialFingerprint, Credentials, CurrentCredentials, FairSemaphore, Identity, LoginSource,
    PasswordVerifier, Proof, RETRY_AFTER, Recheck, SourceAddress, TooManyWaiting, can_be_looked_up,
};
use policy::{Labels, Subject};

use crate::account_state;
use crate::connection::BindOutcome;
use crate::distinguished_name::BindNameTemplate;
use crate::entry::DirectoryEntry;
use crate::error::{DirectoryError, SECTION};
use crate::exchanges::{AccountBind, AccountSession, EntryLookup, SessionOutcome};
use crate::found_account::{FoundAccount, stored_name};
use crate::groups::GroupLookup;
use crate::labels;
use crate::pool::{ConnectionPool, ServerList};
use crate::reader::Reader;
use crate::settings::{LdapSettings, SearchIdentity};

/// A directory that knows accounts.
pub struct LdapAuth {
    settings: LdapSettings,
    servers: Arc<ServerList>,
    /// Connections that search.
    readers: ConnectionPool,
    /// Connections that bind as accounts.
    binders: ConnectionPool,
    /// The attributes that an account's entry is asked for.
    attributes: Vec<String>,
    turns: FairSemaphore,
    verifier: Arc<PasswordVerifier>,
    clock: Arc<dyn Clock>,
}

/// What a login came to, before a rejection is paid for.
enum LoginResult {
    NoMatch,
    Accepted(Identity),
    Refused,
}

impl LdapAuth {
    /// A backend that asks the directory of `settings`. What the directory refuses, `verifier` makes
    /// as slow as every rejection. No connection is opened until the first login.
    #[must_use]
    pub fn new(
        settings: LdapSettings,
        verifier: Arc<PasswordVerifier>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let most = settings.concurrency.get();
        let servers = Arc::new(ServerList::new(
            settings.servers.clone(),
            settings.timeouts,
            Arc::clone(&clock),
        ));
        let reader = match &settings.search_as {
            SearchIdentity::Reader(credentials) => Some(Reader::new(
                credentials.clone(),
                settings.timeouts.operation,
                Arc::clone(&clock),
            )),
            SearchIdentity::Anonymous | SearchIdentity::Account(_) => None,
        };
        Self {
            readers: ConnectionPool::new(Arc::clone(&servers), reader, most),
            binders: ConnectionPool::new(Arc::clone(&servers), None, most),
            attributes: settings.attributes(),
            turns: FairSemaphore::new(settings.concurrency, settings.timeouts.operation),
            settings,
            servers,
            verifier,
            clock,
        }
    }

    async fn answer(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let Some(credentials) = proof.password().filter(|it| can_be_asked(it)) else {
            return Ok(AuthenticationOutcome::NoMatch);
        };
        let result = {
            let turn = self.turns.acquire(source).await;
            let _permit = turn.map_err(|TooManyWaiting| AuthenticationError::Busy(RETRY_AFTER))?;
            self.log_in(credentials).await.map_err(BackendError::from)?
        };
        Ok(match result {
            LoginResult::NoMatch => AuthenticationOutcome::NoMatch,
            LoginResult::Accepted(identity) => AuthenticationOutcome::Accepted(identity),
            LoginResult::Refused => {
                AuthenticationOutcome::Rejected(self.verifier.reject(proof, source).await?)
            }
        })
    }

    async fn log_in(&self, credentials: &Credentials) -> Result<LoginResult, DirectoryError> {
        match &self.settings.search_as {
            SearchIdentity::Account(template) => {
                self.log_in_as_account(template, credentials).await
            }
            SearchIdentity::Anonymous | SearchIdentity::Reader(_) => {
                self.log_in_by_reader(credentials).await
            }
        }
    }

    async fn log_in_by_reader(
        &self,
        credentials: &Credentials,
    ) -> Result<LoginResult, DirectoryError> {
        let Credentials { account, password } = credentials;
        let entry = match self.find(account).await? {
            FoundAccount::None => return Ok(LoginResult::NoMatch),
            FoundAccount::Several => return Ok(LoginResult::Refused),
            FoundAccount::One(entry) => entry,
        };
        let bind = AccountBind {
            name: &entry.name,
            password,
        };
        if let BindOutcome::Refused(refusal) = self.binders.run(&bind).await? {
            refusal.log(account);
            return Ok(LoginResult::Refused);
        }
        let groups = self.groups(account, &entry).await?;
        let credential = account_state::fingerprint(&entry);
        self.accept(account, &entry, &groups, Some(credential))
    }

    async fn log_in_as_account(
        &self,
        template: &BindNameTemplate,
        credentials: &Credentials,
    ) -> Result<LoginResult, DirectoryError> {
        let Credentials { account, password } = credentials;
        let Some(name) = template.expand(account) else {
            return Ok(LoginResult::NoMatch);
        };
        let session = AccountSession {
            name: &name,
            password,
            account,
            lookup: self.lookup(account),
            groups: self.settings.groups.as_ref(),
        };
        let (found, groups) = match self.binders.run(&session).await? {
            SessionOutcome::Refused(refusal) => {
                refusal.log(account);
                return Ok(LoginResult::Refused);
            }
            SessionOutcome::Bound { found, groups } => (found, groups),
        };
        match FoundAccount::of(account, found) {
            FoundAccount::None => Ok(LoginResult::NoMatch),
            FoundAccount::Several => Ok(LoginResult::Refused),
            FoundAccount::One(entry) => self.accept(account, &entry, &groups, None),
        }
    }

    /// What becomes of a session: its account must be there under its name, and not be disabled.
    async fn status(&self, account: &str) -> Result<Recheck, DirectoryError> {
        let entry = match self.find(account).await? {
            FoundAccount::None => return Ok(Recheck::NoMatch),
            FoundAccount::Several => return Ok(ended(account)),
            FoundAccount::One(entry) => entry,
        };
        if self.stored_name(account, &entry).as_deref() != Some(account) {
            return Ok(Recheck::NoMatch);
        }
        if account_state::is_disabled(&entry, self.clock.now()) {
            return Ok(ended(account));
        }
        let groups = self.groups(account, &entry).await?;
        Ok(Recheck::Present {
            subject: Subject {
                account: account.to_owned(),
                labels: self.labels(&entry, &groups)?,
            },
            credentials: CurrentCredentials::Known(vec![account_state::fingerprint(&entry)]),
        })
    }

    async fn find(&self, account: &str) -> Result<FoundAccount, DirectoryError> {
        let found = self.readers.run(&self.lookup(account)).await?;
        Ok(FoundAccount::of(account, found))
    }

    async fn groups(
        &self,
        account: &str,
        entry: &DirectoryEntry,
    ) -> Result<Vec<String>, DirectoryError> {
        let Some(search) = &self.settings.groups else {
            return Ok(Vec::new());
        };
        let lookup = GroupLookup {
            search,
            account,
            name: &entry.name,
        };
        self.readers.run(&lookup).await
    }

    fn lookup(&self, account: &str) -> EntryLookup<'_> {
        EntryLookup {
            base: &self.settings.base,
            filter: self.settings.filter.expand(account, ""),
            attributes: &self.attributes,
        }
    }

    fn accept(
        &self,
        account: &str,
        entry: &DirectoryEntry,
        groups: &[String],
        credential: Option<CredentialFingerprint>,
    ) -> Result<LoginResult, DirectoryError> {
        let Some(name) = self.stored_name(account, entry) else {
            let account = escape_line(account);
            tracing::warn!(%account, "ldap_auth: the entry has no name in account_attribute, so the login is refused");
            return Ok(LoginResult::Refused);
        };
        let identity = Identity::new(Subject {
            account: name,
            labels: self.labels(entry, groups)?,
        });
        Ok(LoginResult::Accepted(Identity {
            credential,
            ..identity
        }))
    }

    /// The account's name for rules and tokens.
    fn stored_name(&self, account: &str, entry: &DirectoryEntry) -> Option<String> {
        match &self.settings.account_attribute {
            Some(attribute) => stored_name(entry, attribute, account),
            None => Some(account.to_owned()),
        }
    }

    fn labels(&self, entry: &DirectoryEntry, groups: &[String]) -> Result<Labels, DirectoryError> {
        let mut labels = labels::of_entry(&self.settings.labels, entry);
        if let Some(search) = &self.settings.groups {
            let groups = labels::of_groups(&search.label, &search.change, groups);
            labels.insert(search.label.clone(), groups);
        }
        Ok(labels::bounded(labels)?)
    }

    async fn reach(&self) -> Result<String, DirectoryError> {
        let base = &self.settings.base;
        if matches!(self.settings.search_as, SearchIdentity::Account(_)) {
            let connection = self.servers.open().await?;
            return Ok(format!("connected to {}", connection.server()));
        }
        let lookup = EntryLookup {
            base,
            filter: "(objectClass=*)".to_owned(),
            attributes: &[],
        };
        let found = self.readers.run(&lookup).await?;
        Ok(match found.entries.len() {
            0 => format!("connected; the search for entries below {base} finds none"),
            _ => format!("connected; entries below {base} can be searched"),
        })
    }
}

impl Authenticator for LdapAuth {
    fn name(&self) -> &'static str {
        SECTION
    }

    fn hint(&self, account: &str) -> AccountHint {
        if account.is_empty() {
            AccountHint::NoMatch
        } else {
            AccountHint::NeedsProof
        }
    }

    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        Box::pin(self.answer(proof, source))
    }

    fn recheck<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(async move {
            if !is_a_name(account) {
                return Ok(Recheck::NoMatch);
            }
            if matches!(self.settings.search_as, SearchIdentity::Account(_)) {
                return Ok(Recheck::Unknown);
            }
            let source = LoginSource::new(SourceAddress::shared(None), account);
            let Ok(_permit) = self.turns.acquire(&source).await else {
                return Err(BackendError::unavailable(SECTION, TooManyWaiting));
            };
            Ok(self.status(account).await?)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, BackendError>> {
        Box::pin(async move { Ok(Some(self.reach().await?)) })
    }
}

/// Whether a directory may be asked. An empty password would make its bind succeed without proving
/// anything (RFC 4513 §5.1.2).
fn can_be_asked(credentials: &Credentials) -> bool {
    is_a_name(&credentials.account) && !credentials.password.is_empty()
}

fn is_a_name(account: &str) -> bool {
    !account.is_empty() && can_be_looked_up(account)
}

/// A session of this account ends: no credential of it is valid.
fn ended(account: &str) -> Recheck {
    Recheck::Present {
        subject: Subject {
            account: account.to_owned(),
            labels: Labels::new(),
        },
        credentials: CurrentCredentials::Known(Vec::new()),
    }
}
