//! Who is there, and what they may do here.
//!
//! The door holds the storage and lets nobody at it but through a proof: [`Authorized`], which it
//! makes for one repository and one kind of action after it has seen a token, a password, or the
//! word that everybody may come in. Nothing before that asks the storage anything, so no refusal
//! can tell what exists.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use common::{BasicCredentials, Clock};
use identity::{Credentials, Login, LoginOutcome, Proof};
use oci::RepositoryName;
use storage::Storage;
use token::VerifiedToken;

use crate::challenge::{Challenge, Fault, Needed};
use crate::error::RegistryError;
use crate::request::ApiRequest;
use crate::settings::{Authentication, Realm, TokenAuth};
use crate::visibility::{Caller, CatalogFilter, Visibility};

/// A kind of thing to do with a repository. (Distribution has it so: what changes something needs
/// `pull`, too.)
pub trait Action: sealed::Sealed {
    /// What a token must grant.
    const NEEDED: &'static [&'static str];
    /// Whether it changes anything.
    const CHANGES: bool;
    /// Whether it takes away what somebody may rely on.
    const DELETES: bool;
}

/// Reading.
pub enum Pull {}
/// Uploading blobs and manifests.
pub enum Push {}
/// Ending an upload: who may begin one may end it.
pub enum Cancel {}
/// Deleting manifests, tags and blobs.
pub enum Delete {}

impl Action for Pull {
    const NEEDED: &'static [&'static str] = &["pull"];
    const CHANGES: bool = false;
    const DELETES: bool = false;
}

impl Action for Push {
    const NEEDED: &'static [&'static str] = &["pull", "push"];
    const CHANGES: bool = true;
    const DELETES: bool = false;
}

impl Action for Cancel {
    const NEEDED: &'static [&'static str] = &["push"];
    const CHANGES: bool = true;
    const DELETES: bool = false;
}

impl Action for Delete {
    const NEEDED: &'static [&'static str] = &["delete"];
    const CHANGES: bool = true;
    const DELETES: bool = true;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Pull {}
    impl Sealed for super::Push {}
    impl Sealed for super::Cancel {}
    impl Sealed for super::Delete {}
}

/// Proof that somebody may do `A` with one repository, and the way to it. Only the door makes one.
pub struct Authorized<'a, A> {
    storage: &'a Storage,
    repository: RepositoryName,
    principal: Principal,
    /// Whether they may push to the repository, whatever they do now.
    pushes: bool,
    action: PhantomData<A>,
}

impl<A> Authorized<'_, A> {
    /// The storage.
    pub(crate) fn storage(&self) -> &Storage {
        self.storage
    }

    /// The repository that the proof is for.
    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// Who it is; empty for anonymous.
    pub(crate) fn account(&self) -> &str {
        self.principal.account()
    }

    /// Whether they may push here, so that what they ask for must stay until they have pushed what
    /// refers to it.
    pub(crate) fn pushes(&self) -> bool {
        self.pushes
    }

    /// Whether they may pull from `other`.
    pub(crate) fn may_pull_from(&self, other: &RepositoryName) -> bool {
        self.principal.may(other.as_str(), "pull")
    }

    /// The repositories that they may pull from; none where that is all.
    pub(crate) fn pulls_from(&self) -> Option<Vec<RepositoryName>> {
        let Principal::Token(token) = &self.principal else {
            return None;
        };
        let named = token
            .access()
            .iter()
            .filter_map(|access| access.name.parse().ok());
        Some(named.filter(|name| self.may_pull_from(name)).collect())
    }
}

impl<A> fmt::Debug for Authorized<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("repository", &self.repository)
            .finish_non_exhaustive()
    }
}

/// Proof that somebody may see a list of repositories.
pub(crate) struct CatalogAccess<'a> {
    storage: &'a Storage,
    account: String,
    /// What of the list they see; none is all of it.
    sight: Option<CatalogFilter>,
}

impl CatalogAccess<'_> {
    pub(crate) fn storage(&self) -> &Storage {
        self.storage
    }

    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    pub(crate) fn sight(&self) -> Option<&CatalogFilter> {
        self.sight.as_ref()
    }
}

/// Who came in.
enum Principal {
    /// Somebody, where everybody may do everything.
    Anyone,
    /// An account that proved itself, which may do everything.
    Account(String),
    /// Whoever bears this token.
    Token(Arc<VerifiedToken>),
}

impl Principal {
    fn account(&self) -> &str {
        match self {
            Self::Anyone => "",
            Self::Account(account) => account,
            Self::Token(token) => token.subject(),
        }
    }

    fn may(&self, repository: &str, action: &str) -> bool {
        match self {
            Self::Anyone | Self::Account(_) => true,
            Self::Token(token) => token.grants("repository", repository, action),
        }
    }
}

/// The way in.
pub(crate) struct AccessControl {
    pub(crate) storage: Storage,
    pub(crate) auth: Authentication,
    pub(crate) read_only: bool,
    pub(crate) delete: bool,
    pub(crate) visibility: Option<Arc<dyn Visibility>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl AccessControl {
    /// Lets in whoever proves to be somebody: `GET /v2/` needs no more, and no less, for Docker and
    /// crane learn here how to log in.
    pub(crate) async fn authenticate(&self, call: &ApiRequest<'_>) -> Result<(), RegistryError> {
        let principal = self.principal(call, None, None).await?;
        call.context.set_account(principal.account());
        Ok(())
    }

    /// Lets somebody do `A` with `repository`.
    pub(crate) async fn authorize<A: Action>(
        &self,
        call: &ApiRequest<'_>,
        repository: RepositoryName,
    ) -> Result<Authorized<'_, A>, RegistryError> {
        self.authorize_with(call, repository, None).await
    }

    /// As [`authorize`](Self::authorize). Who has to bring a token is told to bring one that lets them pull
    /// from `also`, too.
    pub(crate) async fn authorize_with<A: Action>(
        &self,
        call: &ApiRequest<'_>,
        repository: RepositoryName,
        also: Option<&RepositoryName>,
    ) -> Result<Authorized<'_, A>, RegistryError> {
        let needed = Needed::repository(repository.as_str(), A::NEEDED);
        let also = also.map(|also| Needed::repository(also.as_str(), Pull::NEEDED));
        let principal = self.principal(call, Some(needed), also).await?;
        call.context.set_account(principal.account());
        if A::CHANGES && self.read_only {
            return Err(RegistryError::Maintenance);
        }
        if A::DELETES && !self.delete {
            return Err(RegistryError::DeletesOff);
        }
        self.storage.ensure_adopted(&repository).await?;
        let pushes = !self.read_only && principal.may(repository.as_str(), "push");
        Ok(Authorized {
            storage: &self.storage,
            repository,
            principal,
            pushes,
            action: PhantomData,
        })
    }

    /// Lets somebody see the list of repositories: all of it with Docker's scope for that; else,
    /// where it is known what an account may see, that.
    pub(crate) async fn authorize_catalog(
        &self,
        call: &ApiRequest<'_>,
    ) -> Result<CatalogAccess<'_>, RegistryError> {
        let needed = Needed::catalog();
        if let (Authentication::Token(auth), Some(visibility)) = (&self.auth, &self.visibility)
            && let Presented::Token(token) = self.presented(call, auth).await
            && !needed.granted_by(&token)
        {
            let account = token.subject().to_owned();
            call.context.set_account(&account);
            let caller = Caller {
                account: &account,
                address: call.context.client.clone()?.ip,
            };
            let sight = visibility
                .filter(caller)
                .await
                .map_err(RegistryError::Internal)?;
            return Ok(CatalogAccess {
                storage: &self.storage,
                account,
                sight: Some(sight),
            });
        }
        let principal = self.principal(call, Some(needed), None).await?;
        call.context.set_account(principal.account());
        Ok(CatalogAccess {
            storage: &self.storage,
            account: principal.account().to_owned(),
            sight: None,
        })
    }

    /// Who it is, if they may have what is `needed`.
    async fn principal(
        &self,
        call: &ApiRequest<'_>,
        needed: Option<Needed<'_>>,
        also: Option<Needed<'_>>,
    ) -> Result<Principal, RegistryError> {
        match &self.auth {
            Authentication::Open => Ok(Principal::Anyone),
            Authentication::Htpasswd { realm, login } => match basic(call) {
                Some(credentials) => log_in(call, login, &credentials, realm).await,
                None => Err(Challenge::basic(realm).into()),
            },
            Authentication::Token(auth) => {
                let fault = match self.presented(call, auth).await {
                    Presented::Token(token)
                        if needed
                            .as_ref()
                            .is_none_or(|needed| needed.granted_by(&token)) =>
                    {
                        return Ok(Principal::Token(token));
                    }
                    Presented::Token(_) => Some(Fault::InsufficientScope),
                    Presented::Invalid => Some(Fault::InvalidToken),
                    Presented::Nothing => None,
                };
                let realm = match &auth.realm {
                    Realm::Url(url) => url.clone(),
                    Realm::Path(path) => call.context.origin.url(path),
                };
                let scope: Vec<Needed<'_>> = needed.into_iter().chain(also).collect();
                Err(Challenge::bearer(&realm, &auth.service, &scope, fault).into())
            }
        }
    }

    async fn presented(&self, call: &ApiRequest<'_>, auth: &TokenAuth) -> Presented {
        let Some(token) = call.bearer_token() else {
            return Presented::Nothing;
        };
        match auth.verifier.verify(token, self.clock.now()).await {
            Ok(token) => Presented::Token(token),
            Err(error) => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "a token is not believed"
                );
                Presented::Invalid
            }
        }
    }
}

/// What a caller brought, where tokens are asked for.
enum Presented {
    Nothing,
    Invalid,
    Token(Arc<VerifiedToken>),
}

/// The name and password of a Basic header; `None` if there is none that can be read.
fn basic(call: &ApiRequest<'_>) -> Option<Credentials> {
    let BasicCredentials { user, password } = call.basic_credentials()?;
    (!user.is_empty()).then_some(Credentials {
        account: user,
        password,
    })
}

async fn log_in(
    call: &ApiRequest<'_>,
    login: &Login,
    credentials: &Credentials,
    realm: &str,
) -> Result<Principal, RegistryError> {
    call.context.client.clone()?;
    let proof = Proof::Password(credentials.clone());
    match login.login(&proof, call.context).await {
        Ok(LoginOutcome::Accepted(accepted)) => {
            Ok(Principal::Account(accepted.identity.subject.account))
        }
        Ok(LoginOutcome::Rejected { .. }) => Err(Challenge::basic(realm).into()),
        Ok(LoginOutcome::TooManyFailures(wait) | LoginOutcome::Busy(wait)) => {
            Err(RegistryError::TooManyLogins(wait))
        }
        Err(error) => Err(RegistryError::Internal(error.into())),
    }
}
