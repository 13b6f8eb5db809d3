//! From a grant to the account that it stands for: a login or a session.

use std::sync::Arc;
use std::time::SystemTime;

use common::{Clock, Secret};
use identity::{
    AcceptedLogin, EarlierLogin, Identity, Login, LoginOutcome, LoginTerms, Proof,
    SessionAllowance, SessionStatus, SourceAddress, TokenUse,
};
use policy::Subject;

use crate::audit::DecisionRecord;
use crate::device::{ApprovedDeviceLogin, DeviceLogins};
use crate::error::TokenRequestError;
use crate::response::ErrorResponse;
use crate::sessions::{NewSession, Session, Sessions};

/// Resolves grants to accounts.
pub(crate) struct AccountResolver {
    pub(crate) login: Arc<Login>,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) device_logins: Option<Arc<DeviceLogins>>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The account of a request.
pub(crate) struct Grantee {
    pub(crate) identity: Identity,
    pub(crate) proved_by: ProvedBy,
}

/// What proved an account.
pub(crate) enum ProvedBy {
    /// A login that this backend accepted.
    Login { backend: &'static str },
    /// A refresh token.
    RefreshToken(Secret),
    /// A device code that a person has approved. It is not used up yet.
    DeviceCode(Box<ApprovedDeviceLogin>),
}

impl AccountResolver {
    /// Whether `secret` has the form of a personal token or a robot's token.
    pub(crate) fn is_opaque_token(&self, secret: &Secret) -> bool {
        self.login.recognizes_token(secret)
    }

    /// The account that `proof`, which came from `address`, proves.
    pub(crate) async fn log_in(
        &self,
        proof: &Proof,
        address: SourceAddress,
        record: &mut DecisionRecord<'_>,
    ) -> Result<Grantee, TokenRequestError> {
        record.account = proof.account().to_owned();
        let is_opaque_token = self.login.recognizes_token(proof.secret());
        record.grant = match proof {
            _ if is_opaque_token => "personal_token",
            Proof::Password(credentials) if credentials.account.is_empty() => "anonymous",
            Proof::Password(_) => "password",
            Proof::BearerToken(_) => "bearer_token",
            Proof::FederatedToken(_) => "federated_token",
        };
        // A client that offers a secret must not go on as anonymous. docker_auth, which has no
        // refresh tokens, lets it.
        let has_secret_only = proof.account().is_empty() && !proof.secret().is_empty();
        let is_password = proof.password().is_some() && !self.login.recognizes(proof);
        if has_secret_only && is_password && self.sessions.is_some() {
            return Err(ErrorResponse::NoUserName.into());
        }
        match self.login.login(proof, address).await? {
            LoginOutcome::Accepted(AcceptedLogin {
                identity,
                backend,
                asked_before,
            }) => {
                record.backend = backend.into();
                record.asked_before = asked_before;
                record.origin.clone_from(&identity.terms.origin);
                Ok(Grantee {
                    identity,
                    proved_by: ProvedBy::Login { backend },
                })
            }
            LoginOutcome::Rejected { backend } => {
                record.backend = backend.unwrap_or_default().into();
                if matches!(proof, Proof::FederatedToken(_)) {
                    return Err(ErrorResponse::SubjectToken.into());
                }
                let was_sent = !(proof.account().is_empty() && proof.secret().is_empty());
                Err(if was_sent {
                    ErrorResponse::Credentials
                } else {
                    ErrorResponse::NoCredentials
                }
                .into())
            }
            LoginOutcome::TokenRejected(fault) => Err(ErrorResponse::OpaqueToken(fault).into()),
            LoginOutcome::TooManyFailures(wait) => Err(ErrorResponse::TooMany(wait).into()),
            LoginOutcome::Busy(wait) => Err(ErrorResponse::Busy(wait).into()),
        }
    }

    /// The account of a refresh token. The session must be valid, its account must still exist,
    /// and it must be `account` if the request names one.
    pub(crate) async fn redeem(
        &self,
        token: Secret,
        account: &str,
        service: &str,
        address: SourceAddress,
        record: &mut DecisionRecord<'_>,
    ) -> Result<Grantee, TokenRequestError> {
        record.grant = "refresh_token";
        record.account = account.to_owned();
        let rejected = || TokenRequestError::from(ErrorResponse::RefreshToken);
        let sessions = self.sessions.as_ref().ok_or_else(rejected)?;
        let now = self.clock.now();
        let session = match sessions.redeem(&token, service, now).await? {
            Ok(session) => session,
            Err(reason) => {
                record.reason = reason.to_string();
                return Err(rejected());
            }
        };
        record.session.clone_from(&session.id);
        if !account.is_empty() && account != session.account {
            "the refresh token belongs to another account".clone_into(&mut record.reason);
            return Err(rejected());
        }
        record.account.clone_from(&session.account);
        let login = EarlierLogin::from(&session);
        let identity = match self.login.recheck_token(&login, address).await? {
            Some(Ok(identity)) => {
                sessions.confirm(&session, &identity.subject, now).await;
                identity
            }
            Some(Err(fault)) => return Err(ErrorResponse::OpaqueToken(fault).into()),
            None => {
                let Some((subject, terms)) = self.recheck(sessions, &session, now).await else {
                    "the account or its password was removed".clone_into(&mut record.reason);
                    return Err(rejected());
                };
                Identity {
                    credential: session.credential,
                    ceiling: session.ceiling,
                    terms,
                    ..Identity::new(subject)
                }
            }
        };
        Ok(Grantee {
            identity,
            proved_by: ProvedBy::RefreshToken(token),
        })
    }

    /// The session's account as it is today, and the bounds of its tokens. `None` if it is gone, has
    /// another password, or was not confirmed for too long.
    async fn recheck(
        &self,
        sessions: &Sessions,
        session: &Session,
        now: SystemTime,
    ) -> Option<(Subject, LoginTerms)> {
        let subject = match self.login.recheck(&EarlierLogin::from(session)).await {
            Ok(SessionStatus::Valid(subject)) => {
                sessions.confirm(session, &subject, now).await;
                Some(subject)
            }
            Ok(SessionStatus::Unchanged { token_lifetime }) => {
                let terms = LoginTerms {
                    token_lifetime,
                    ..LoginTerms::default()
                };
                let subject = Subject {
                    account: session.account.clone(),
                    labels: session.labels.clone(),
                };
                return Some((subject, terms));
            }
            Ok(SessionStatus::Ended) => None,
            Ok(SessionStatus::Unknown) => sessions.recently_confirmed(session, now),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                let account = &session.account;
                tracing::warn!(
                    error,
                    account,
                    "cannot check whether an account still exists"
                );
                sessions.recently_confirmed(session, now)
            }
        };
        subject.map(|subject| (subject, LoginTerms::default()))
    }

    /// Notes what the token which proved `identity` was used for, if a token did.
    pub(crate) fn note_token_use(
        &self,
        identity: &Identity,
        address: SourceAddress,
        repository: Option<&str>,
    ) {
        if identity.opaque_token.is_some() {
            let token_use = TokenUse {
                time: self.clock.now(),
                address: address.of_client(),
                repository: repository.map(str::to_owned),
            };
            self.login.note_token_use(identity, token_use);
        }
    }

    /// The refresh token of a new session, for a login that `backend` accepted. If it
    /// cannot be made, the login goes on without one, and the client keeps its password.
    pub(crate) async fn open_session(
        &self,
        identity: &Identity,
        backend: &str,
        service: &str,
        client_id: &str,
        record: &mut DecisionRecord<'_>,
    ) -> Option<String> {
        let sessions = self.sessions.as_ref()?;
        let SessionAllowance::Allowed(lifetime) = identity.terms.session else {
            return None;
        };
        if identity.subject.account.is_empty() {
            return None;
        }
        let new = NewSession {
            subject: &identity.subject,
            credential: identity.credential,
            backend,
            ceiling: &identity.ceiling,
            lifetime,
            service,
            client_id,
            address: &record.address(),
        };
        match sessions.open(new, self.clock.now()).await {
            Ok(opened) => {
                record.session = opened.id;
                record.has_new_session = true;
                Some(opened.token.expose().to_owned())
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "cannot make a refresh token");
                None
            }
        }
    }
}
