//! This server's own tokens in a chain: whose they are, and what the owner's backend says today.

use std::net::IpAddr;
use std::sync::Arc;

use common::Secret;
use policy::Subject;

use super::{AcceptedLogin, AskedBackend, AuthenticatorChain, BackendAnswer, EarlierLogin};
use crate::{
    BackendError, Identity, LoginSource, OpaqueToken, OpaqueTokenFault, OpaqueTokens,
    PermissionSource, Proof, Recheck, SourceAddress, TOKEN_USER, TokenHolder, TokenOwner, TokenUse,
};

/// Whether the account of a token's owner can be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerStatus {
    /// This backend has the account.
    Present {
        /// The backend's section in the configuration.
        backend: &'static str,
    },
    /// No backend has it.
    Unknown,
    /// This backend cannot say without a password whether it has it.
    Unverifiable {
        /// The backend's section in the configuration.
        backend: &'static str,
    },
}

impl AuthenticatorChain {
    /// The same chain, which recognises these tokens before it asks a backend.
    #[must_use]
    pub fn with_tokens(self, tokens: Arc<dyn OpaqueTokens>) -> Self {
        Self {
            tokens: Some(tokens),
            ..self
        }
    }

    /// Whether `secret` has the form of a token of this server, valid or not.
    pub(crate) fn recognizes_token(&self, secret: &Secret) -> bool {
        self.tokens_like(secret).is_some()
    }

    /// Whether no backend may have `account`, because only a token of this server may be it.
    pub(super) fn is_reserved(&self, account: &str) -> bool {
        let tokens = self.tokens.as_ref();
        tokens.is_some_and(|tokens| tokens.reserves(account))
    }

    /// Whether an account can own tokens, and which backend has it.
    ///
    /// # Errors
    /// Of the first backend that has no answer.
    pub async fn find_owner(&self, account: &str) -> Result<OwnerStatus, BackendError> {
        Ok(match self.find(account).await? {
            Some((backend, Recheck::Present { .. })) => OwnerStatus::Present { backend },
            Some((backend, Recheck::Unknown)) => OwnerStatus::Unverifiable { backend },
            Some((_, Recheck::NoMatch | Recheck::Disabled | Recheck::ByCredential(_))) | None => {
                OwnerStatus::Unknown
            }
        })
    }

    /// The login by a token of this server; `None` if the proof is not such a token.
    ///
    /// # Errors
    /// When the tokens cannot be read, or the owner's backend has no answer.
    pub(crate) async fn authenticate_token(
        &self,
        proof: &Proof,
        address: Option<IpAddr>,
    ) -> Result<Option<Result<AcceptedLogin, OpaqueTokenFault>>, BackendError> {
        let Some(tokens) = self.tokens_like(proof.secret()) else {
            return Ok(None);
        };
        let found = match tokens.find(proof.secret()).await? {
            Ok(token) if !may_name(proof.account(), &token) => Err(OpaqueTokenFault::OtherAccount),
            Ok(token) if !token.is_allowed_from(address) => Err(OpaqueTokenFault::WrongNetwork),
            Ok(token) => self.identify(token).await?,
            Err(fault) => Err(fault),
        };
        Ok(Some(found.map(|identity| AcceptedLogin {
            identity,
            backend: tokens.name(),
            asked_before: Vec::new(),
        })))
    }

    /// The account of a session that a token opened, with its ceiling of today; `None` if a backend
    /// opened the session. The token must be valid for the address that the session is used from, if
    /// it is used.
    ///
    /// # Errors
    /// When the tokens cannot be read, or the owner's backend has no answer.
    pub(crate) async fn recheck_token(
        &self,
        login: &EarlierLogin<'_>,
        used_from: Option<SourceAddress>,
    ) -> Result<Option<Result<Identity, OpaqueTokenFault>>, BackendError> {
        let tokens = self.tokens.as_ref();
        let Some(tokens) = tokens.filter(|tokens| login.backend == Some(tokens.name())) else {
            return Ok(None);
        };
        let Some(fingerprint) = login.credential else {
            return Ok(Some(Err(OpaqueTokenFault::Unknown)));
        };
        Ok(Some(
            match tokens.find_by_fingerprint(fingerprint).await? {
                Ok(token) if token.account() != login.account => {
                    Err(OpaqueTokenFault::OtherAccount)
                }
                Ok(token)
                    if used_from.is_some_and(|from| !token.is_allowed_from(from.of_client())) =>
                {
                    Err(OpaqueTokenFault::WrongNetwork)
                }
                Ok(token) => self.identify(token).await?,
                Err(fault) => Err(fault),
            },
        ))
    }

    pub(super) async fn look_up_robot(
        &self,
        account: &str,
    ) -> Result<Option<Identity>, BackendError> {
        let Some(tokens) = &self.tokens else {
            return Ok(None);
        };
        match tokens.find_robot(account).await? {
            Some(robot) => Ok(self.identify(robot).await?.ok()),
            None => Ok(None),
        }
    }

    /// The account that the token of this id proves; `None` if it proves no longer, or another one.
    pub(super) async fn look_up_token(
        &self,
        account: &str,
        id: &str,
    ) -> Result<Option<Identity>, BackendError> {
        let Some(tokens) = &self.tokens else {
            return Ok(None);
        };
        match tokens.find_by_id(id).await? {
            Ok(token) if token.account() == account => Ok(self.identify(token).await?.ok()),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    pub(super) async fn explain_token(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Option<AskedBackend> {
        let name = self.tokens_like(proof.secret())?.name();
        let answer = match self
            .authenticate_token(proof, source.address.of_client())
            .await
        {
            Ok(found) => match found? {
                Ok(accepted) => BackendAnswer::Accepted(accepted.identity),
                Err(fault) => BackendAnswer::TokenRejected(fault),
            },
            Err(error) => BackendAnswer::Failed(error.into()),
        };
        Some(AskedBackend { name, answer })
    }

    /// Notes that the token which proved `identity` was used.
    pub(crate) fn note_token_use(&self, identity: &Identity, token_use: TokenUse) {
        if let (Some(tokens), Some(_), Some(fingerprint)) =
            (&self.tokens, &identity.opaque_token, &identity.credential)
        {
            tokens.note_use(fingerprint, token_use);
        }
    }

    /// The account for which a token stands, as it is today.
    ///
    /// # Errors
    /// When the owner's backend has no answer.
    pub async fn identify(
        &self,
        token: OpaqueToken,
    ) -> Result<Result<Identity, OpaqueTokenFault>, BackendError> {
        let (subject, permissions) = match token.holder {
            TokenHolder::Person(owner) => match self.owner(&owner).await? {
                Ok(subject) => (subject, PermissionSource::Account),
                Err(fault) => return Ok(Err(fault)),
            },
            TokenHolder::Robot { account, owner } => {
                let robot = Subject {
                    account,
                    ..Subject::default()
                };
                match owner {
                    None => (robot, PermissionSource::Ceiling),
                    Some(owner) => match self.owner(&owner).await? {
                        Ok(subject) => (robot, PermissionSource::Owner(Box::new(subject))),
                        Err(fault) => return Ok(Err(fault)),
                    },
                }
            }
        };
        Ok(Ok(Identity {
            credential: Some(token.fingerprint),
            ceiling: token.ceiling,
            permissions,
            opaque_token: Some(token.id.into()),
            ..Identity::new(subject)
        }))
    }

    /// The owner with the labels of today. An account of that name in another backend is another
    /// person.
    async fn owner(
        &self,
        owner: &TokenOwner,
    ) -> Result<Result<Subject, OpaqueTokenFault>, BackendError> {
        Ok(match self.find_token_owner(&owner.account).await? {
            Some((backend, Recheck::Present { subject, .. })) if backend == owner.backend => {
                Ok(subject)
            }
            Some((backend, Recheck::Unknown)) if backend == owner.backend => {
                Err(OpaqueTokenFault::OwnerUnverifiable)
            }
            Some(_) | None => Err(OpaqueTokenFault::OwnerGone),
        })
    }

    fn tokens_like(&self, secret: &Secret) -> Option<&dyn OpaqueTokens> {
        let tokens = self.tokens.as_deref()?;
        tokens.recognizes(secret).then_some(tokens)
    }
}

/// Whether a request with `token` may give this user name: none, the one that stands for a token, or
/// the token's own account.
fn may_name(user: &str, token: &OpaqueToken) -> bool {
    user.is_empty() || user == TOKEN_USER || user == token.account()
}
