//! Access control: which client makes a request, and whether it may.
//!
//! A handler gets to the storage only through a proof, [`Authorized`], which is made here for one
//! repository and one kind of action, after a token or a password was verified. Nothing before that
//! asks the storage whether something exists, so no 401 can tell.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{BasicCredentials, Clock};
use event::EventKind;
use identity::{Credentials, Login, LoginOutcome, NamedAccount, Proof, ROBOT_PREFIX};
use oci::RepositoryName;
use storage::{Error as StorageError, ListPage, PageRequest, UploadId};
use token::{VerifiedToken, VerifyError};

use crate::authorized::{Action, Authorized, Pull, Push, Resources};
use crate::challenge::{AccessChallenge, TokenFault};
use crate::error::RegistryError;
use crate::mount_challenges::MountChallenges;
use crate::principal::Principal;
use crate::pull_permissions::{Caller, PullPermissions, VisibleRepositories};
use crate::request::ApiRequest;
use crate::required_access::RequiredAccess;
use crate::settings::{Authentication, Realm, TokenAuth};

/// Decides what each client may do.
pub(crate) struct AccessControl {
    pub(crate) resources: Resources,
    pub(crate) auth: Authentication,
    pub(crate) read_only: bool,
    pub(crate) delete: bool,
    pub(crate) pull_permissions: Option<Arc<dyn PullPermissions>>,
    /// How long after its expiry a token still authorizes requests of an upload that its account
    /// began.
    pub(crate) upload_grace: Duration,
    pub(crate) mount_challenges: MountChallenges,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Proof that a client may read the list of repositories, and which of its entries.
pub(crate) struct CatalogAccess<'a> {
    resources: &'a Resources,
    account: String,
    filter: VisibleRepositories,
}

/// The bearer token of a request, verified.
enum PresentedToken {
    None,
    Invalid(VerifyError),
    Valid(Arc<VerifiedToken>),
}

impl AccessControl {
    /// Requires any valid credentials. `GET /v2/` needs no more, and no less: Docker and crane
    /// learn from it how to log in.
    pub(crate) async fn authenticate(&self, call: &ApiRequest<'_>) -> Result<(), RegistryError> {
        self.require(call, &[]).await.map(drop)
    }

    /// Requires that the client may do `A` with `repository`.
    pub(crate) async fn authorize<A: Action>(
        &self,
        call: &ApiRequest<'_>,
        repository: RepositoryName,
    ) -> Result<Authorized<'_, A>, RegistryError> {
        let required = RequiredAccess::repository(repository.as_str(), A::NEEDED);
        let principal = self.require(call, &[required]).await?;
        self.permit(repository, principal)
    }

    /// As [`authorize`](Self::authorize), for a push that would rather mount a blob of `from`. The
    /// challenge, if there is one, asks for both at once.
    ///
    /// A token that only lacks the second is refused once if the rules of this server's own token
    /// server would grant that: some clients do not ask for it ahead, and would send a blob that is
    /// here already.
    pub(crate) async fn authorize_mount(
        &self,
        call: &ApiRequest<'_>,
        repository: RepositoryName,
        from: Option<&RepositoryName>,
    ) -> Result<Authorized<'_, Push>, RegistryError> {
        let Some(from) = from else {
            return self.authorize(call, repository).await;
        };
        let required = [
            RequiredAccess::repository(repository.as_str(), Push::NEEDED),
            RequiredAccess::repository(from.as_str(), Pull::NEEDED),
        ];
        let principal = self
            .require_with_challenge(call, &required[..1], &required)
            .await?;
        if let (Authentication::Token(auth), Principal::Token(token)) = (&self.auth, &principal)
            && !required[1].granted_by(token)
            && self.rules_grant_pull(call, token, from).await?
            && self
                .mount_challenges
                .is_first(token.subject(), &repository, from, self.clock.now())
                .await
        {
            let fault = Some(TokenFault::InsufficientScope);
            let reason = Some("the mount needs pull access to its source".to_owned());
            return Err(challenge(call, auth, &required, fault)
                .because(reason)
                .into());
        }
        self.permit(repository, principal)
    }

    /// As [`authorize`](Self::authorize), for an upload that was begun. A token that has ended
    /// meanwhile still counts for a while if it belongs to the account that began the upload: a
    /// large layer may take longer than a token lives.
    pub(crate) async fn authorize_upload<A: Action>(
        &self,
        call: &ApiRequest<'_>,
        repository: RepositoryName,
        id: UploadId,
    ) -> Result<Authorized<'_, A>, RegistryError> {
        let required = RequiredAccess::repository(repository.as_str(), A::NEEDED);
        let error = match self.require(call, std::slice::from_ref(&required)).await {
            Ok(principal) => return self.permit(repository, principal),
            Err(error) => error,
        };
        let Some(token) = self.recently_expired(call).await else {
            return Err(error);
        };
        let storage = &self.resources.storage;
        let is_owner = !token.subject().is_empty()
            && required.granted_by(&token)
            && match storage.upload_client(&repository, id).await {
                Ok(client) => client == token.subject(),
                Err(StorageError::UploadUnknown) => false,
                Err(error) => return Err(error.into()),
            };
        if !is_owner {
            return Err(error);
        }
        note_client(call, &token);
        self.permit(repository, Principal::Token(token))
    }

    /// Requires that the client may read the list of repositories: all of it with Docker's scope
    /// for that, else what the rules of this server's own token server let it pull.
    pub(crate) async fn authorize_catalog(
        &self,
        call: &ApiRequest<'_>,
    ) -> Result<CatalogAccess<'_>, RegistryError> {
        let required = RequiredAccess::catalog();
        if let (Authentication::Token(auth), Some(permissions)) =
            (&self.auth, &self.pull_permissions)
            && let PresentedToken::Valid(token) = self.presented(call, auth).await
            && !required.granted_by(&token)
        {
            note_client(call, &token);
            let filter = self
                .filter(call, permissions.as_ref(), named(&token), "pull")
                .await?;
            return Ok(CatalogAccess {
                resources: &self.resources,
                account: token.subject().to_owned(),
                filter,
            });
        }
        let principal = self.require(call, &[required]).await?;
        Ok(CatalogAccess {
            resources: &self.resources,
            account: principal.account().to_owned(),
            filter: VisibleRepositories::Everything,
        })
    }

    /// Checks the settings of the registry (read-only, deletion) and makes the proof.
    fn permit<A: Action>(
        &self,
        repository: RepositoryName,
        principal: Principal,
    ) -> Result<Authorized<'_, A>, RegistryError> {
        if A::CHANGES && self.read_only {
            return Err(RegistryError::ReadOnly);
        }
        if A::DELETES && !self.delete {
            return Err(RegistryError::DeleteDisabled);
        }
        let may_push = !self.read_only && principal.may(&repository, "push");
        Ok(Authorized::new(
            &self.resources,
            repository,
            principal,
            may_push,
        ))
    }

    /// The principal, if it has `required`.
    async fn require(
        &self,
        call: &ApiRequest<'_>,
        required: &[RequiredAccess<'_>],
    ) -> Result<Principal, RegistryError> {
        self.require_with_challenge(call, required, required).await
    }

    /// The principal, if it has `required`. The challenge of a refusal asks for `wanted`.
    async fn require_with_challenge(
        &self,
        call: &ApiRequest<'_>,
        required: &[RequiredAccess<'_>],
        wanted: &[RequiredAccess<'_>],
    ) -> Result<Principal, RegistryError> {
        let principal = match &self.auth {
            Authentication::Open => Principal::Anyone,
            Authentication::Htpasswd { realm, login } => match basic(call) {
                Some(credentials) => log_in(call, login, &credentials, realm).await?,
                None => return Err(AccessChallenge::basic(realm).into()),
            },
            Authentication::Token(auth) => {
                let (fault, reason) = match self.presented(call, auth).await {
                    PresentedToken::Valid(token)
                        if required.iter().all(|access| access.granted_by(&token)) =>
                    {
                        note_client(call, &token);
                        return Ok(Principal::Token(token));
                    }
                    PresentedToken::Valid(token) => {
                        note_client(call, &token);
                        self.deny_hopeless_request(call, &token, required).await?;
                        let reason = "the token does not grant enough".to_owned();
                        (Some(TokenFault::InsufficientScope), Some(reason))
                    }
                    PresentedToken::Invalid(error) => {
                        (Some(TokenFault::InvalidToken), Some(error.to_string()))
                    }
                    PresentedToken::None => (None, None),
                };
                return Err(challenge(call, auth, wanted, fault).because(reason).into());
            }
        };
        call.context.set_account(principal.account());
        Ok(principal)
    }

    async fn presented(&self, call: &ApiRequest<'_>, auth: &TokenAuth) -> PresentedToken {
        let Some(token) = call.bearer_token() else {
            return PresentedToken::None;
        };
        match auth.verifier.verify(token, self.clock.now()).await {
            Ok(token) => PresentedToken::Valid(token),
            Err(error) => PresentedToken::Invalid(error),
        }
    }

    /// The request's token, if it is valid except that it expired within `upload_grace`.
    async fn recently_expired(&self, call: &ApiRequest<'_>) -> Option<Arc<VerifiedToken>> {
        let (Authentication::Token(auth), false) = (&self.auth, self.upload_grace.is_zero()) else {
            return None;
        };
        let (text, now) = (call.bearer_token()?, self.clock.now());
        let Err(VerifyError::Expired { at }) = auth.verifier.verify(text, now).await else {
            return None;
        };
        let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at))?;
        if now > end.checked_add(self.upload_grace)? {
            return None;
        }
        auth.verifier.verify_at(text, end).ok()
    }

    /// Answers 403 if no rule of this server lets the token's account pull, or if a personal token's
    /// ceiling is in the way: another token would not help.
    ///
    /// Clients print the text of a 403; on a 401 they ask for another token or another login, which
    /// would not help. Rules know nothing of what exists, so this cannot tell either. An anonymous
    /// client gets a 401, because a login may help.
    async fn deny_hopeless_request(
        &self,
        call: &ApiRequest<'_>,
        token: &VerifiedToken,
        required: &[RequiredAccess<'_>],
    ) -> Result<(), RegistryError> {
        let ([access], Some(permissions), false) =
            (required, &self.pull_permissions, token.subject().is_empty())
        else {
            return Ok(());
        };
        let Some((repository, action)) = access.repository_action() else {
            return Ok(());
        };
        let has_ceiling = !token.personal_token().is_empty();
        if action != "pull" && !has_ceiling {
            return Ok(());
        }
        let permissions = permissions.as_ref();
        let filter = self.filter(call, permissions, named(token), action).await?;
        if filter.allows(repository) {
            return Ok(());
        }
        // A robot has no rights but those of its token.
        let is_over_ceiling = has_ceiling
            && (token.subject().starts_with(ROBOT_PREFIX) || {
                let account = NamedAccount::from(token.subject());
                let filter = self.filter(call, permissions, account, action).await?;
                filter.allows(repository)
            });
        let account = token.subject().to_owned();
        let (repository, scope) = (repository.to_owned(), access.scope());
        if !is_over_ceiling {
            return match action {
                "pull" => Err(RegistryError::Denied {
                    account,
                    repository,
                    scope,
                }),
                _ => Ok(()),
            };
        }
        if call.is_head() {
            // The response has no text, and clients have words of their own for a challenge.
            return Ok(());
        }
        Err(RegistryError::OverCeiling {
            account,
            personal_token: token.personal_token().to_owned(),
            action,
            repository,
            scope,
        })
    }

    async fn rules_grant_pull(
        &self,
        call: &ApiRequest<'_>,
        token: &VerifiedToken,
        repository: &RepositoryName,
    ) -> Result<bool, RegistryError> {
        let Some(permissions) = &self.pull_permissions else {
            return Ok(false);
        };
        let filter = self
            .filter(call, permissions.as_ref(), named(token), "pull")
            .await?;
        Ok(filter.allows(repository.as_str()))
    }

    async fn filter(
        &self,
        call: &ApiRequest<'_>,
        permissions: &dyn PullPermissions,
        named: NamedAccount<'_>,
        action: &'static str,
    ) -> Result<VisibleRepositories, RegistryError> {
        let caller = Caller {
            account: named.account,
            personal_token: named.personal_token,
            action,
            address: call.context.client.clone()?.ip,
        };
        permissions
            .filter(caller)
            .await
            .map_err(RegistryError::Authentication)
    }
}

impl CatalogAccess<'_> {
    /// A page of all repositories, not yet filtered.
    pub(crate) async fn repositories(
        &self,
        page: PageRequest<String>,
    ) -> Result<ListPage<String>, StorageError> {
        self.resources.storage.manifests().repositories(page).await
    }

    /// The client's account; empty for an anonymous client.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// The repositories that the client may see.
    pub(crate) fn filter(&self) -> &VisibleRepositories {
        &self.filter
    }
}

/// The account of a token, below the ceiling of the personal token for which it was issued.
fn named(token: &VerifiedToken) -> NamedAccount<'_> {
    NamedAccount {
        account: token.subject(),
        personal_token: token.personal_token(),
    }
}

/// Notes whose token the request has.
fn note_client(call: &ApiRequest<'_>, token: &VerifiedToken) {
    call.context.set_account(token.subject());
    call.context.set_personal_token(token.personal_token());
}

fn challenge(
    call: &ApiRequest<'_>,
    auth: &TokenAuth,
    required: &[RequiredAccess<'_>],
    fault: Option<TokenFault>,
) -> AccessChallenge {
    let realm = match &auth.realm {
        Realm::Url(url) => url.clone(),
        Realm::Path(path) => call.context.origin.url(path),
    };
    AccessChallenge::bearer(&realm, &auth.service, required, fault)
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
        Ok(LoginOutcome::Rejected { .. } | LoginOutcome::TokenRejected(_)) => {
            call.context.set_account(&credentials.account);
            let reason = "incorrect username or password";
            call.observe(EventKind::LoginRefused { reason });
            Err(AccessChallenge::basic(realm)
                .because(Some(reason.to_owned()))
                .into())
        }
        Ok(LoginOutcome::TooManyFailures(wait)) => Err(RegistryError::TooManyFailedLogins(wait)),
        Ok(LoginOutcome::Busy(wait)) => Err(RegistryError::Busy(wait)),
        Err(error) => Err(RegistryError::Authentication(error.into())),
    }
}
