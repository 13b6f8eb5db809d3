//! A token is issued: a request comes in parsed, and each step hands its result to the next.
//!
//! *Who are you* (identity or a session) → *what may you do* (policy, scope by scope) → the claims
//! → the signature. No step looks back.

use std::time::SystemTime;

use common::{ClientAddress, Secret, rfc3339, unix_seconds};
use identity::process::RETRY_AFTER as BUSY_RETRY_AFTER;
use identity::{CredentialFingerprint, Credentials, Identity, LoginOutcome, SessionStatus};
use policy::{AclQuery, Subject};
use token::{Access, Claims, Scope};

use crate::audit::DecisionRecord;
use crate::authorize::{self, AuthorizeError, Decision};
use crate::request::{Proof, TokenRequest};
use crate::response::{ErrorResponse, TokenResponse};
use crate::server::TokenServer;
use crate::sessions::{NewSession, Session};

/// A token with less to live is useless to its bearer: clients take a missing life for this long
/// (Distribution, "Token Authentication Specification", `expires_in`).
pub const MIN_EXPIRATION_SECONDS: u64 = 60;

/// Somebody who proved who they are.
struct Identified {
    subject: Subject,
    /// The credential's fingerprint, where the backend can tell when it changes.
    credential: Option<CredentialFingerprint>,
    /// The refresh token that proved it.
    refresh_token: Option<Secret>,
}

/// Why there is no token.
pub(crate) enum IssueError {
    /// The client is told what to do.
    Rejected(ErrorResponse),
    /// Something of ours failed: the client is told the request's id, and the log has the rest.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl From<ErrorResponse> for IssueError {
    fn from(refusal: ErrorResponse) -> Self {
        Self::Rejected(refusal)
    }
}

impl From<AuthorizeError> for IssueError {
    fn from(error: AuthorizeError) -> Self {
        match error {
            AuthorizeError::Busy => Self::Rejected(ErrorResponse::Busy(BUSY_RETRY_AFTER)),
            AuthorizeError::ExtAuthz(_) => Self::Internal(error.into()),
        }
    }
}

impl TokenServer {
    pub(crate) async fn issue(
        &self,
        request: TokenRequest,
        address: ClientAddress,
        record: &mut DecisionRecord,
    ) -> Result<TokenResponse, IssueError> {
        let TokenRequest {
            proof,
            service,
            scopes,
            offline,
            client_id,
        } = request;
        record.service.clone_from(&service);
        record.client_id.clone_from(&client_id);
        let identified = match proof {
            Proof::Password(credentials) => self.log_in(&credentials, address, record).await?,
            Proof::RefreshToken { token, account } => {
                self.refresh(token, &account, &service, record).await?
            }
        };
        let Identified {
            subject,
            credential,
            refresh_token,
        } = identified;
        record.account.clone_from(&subject.account);
        let access = self
            .authorize(&subject, &service, scopes, address, record)
            .await?;
        let refresh_token = match refresh_token {
            // It is reused, not rotated: the client may keep what it has.
            Some(token) => Some(token.expose().to_owned()),
            None if offline => {
                self.open_session(&subject, credential, &service, &client_id, record)
                    .await
            }
            None => None,
        };
        self.sign(&subject, service, access, refresh_token)
    }

    async fn log_in(
        &self,
        credentials: &Credentials,
        address: ClientAddress,
        record: &mut DecisionRecord,
    ) -> Result<Identified, IssueError> {
        record.account.clone_from(&credentials.account);
        // A client that offers a secret must not go on as anonymous. docker_auth, which has no
        // refresh tokens, lets it.
        let has_secret_only = credentials.account.is_empty() && !credentials.password.is_empty();
        if has_secret_only && self.settings.sessions.is_some() {
            return Err(ErrorResponse::NoUserName.into());
        }
        record.grant = if credentials.account.is_empty() {
            "anonymous"
        } else {
            "password"
        };
        let login = &self.settings.login;
        match login.login(credentials, address.attributable).await {
            Ok(LoginOutcome::Accepted(Identity {
                subject,
                credential,
            })) => Ok(Identified {
                subject,
                credential,
                refresh_token: None,
            }),
            Ok(LoginOutcome::Rejected) => Err(ErrorResponse::Credentials.into()),
            Ok(LoginOutcome::TooManyFailures(wait)) => Err(ErrorResponse::TooMany(wait).into()),
            Ok(LoginOutcome::Busy(wait)) => Err(ErrorResponse::Busy(wait).into()),
            Err(error) => Err(IssueError::Internal(error.into())),
        }
    }

    /// Takes a refresh token for what it is worth now: the session must live, and its user must
    /// still be good.
    async fn refresh(
        &self,
        token: Secret,
        account: &str,
        service: &str,
        record: &mut DecisionRecord,
    ) -> Result<Identified, IssueError> {
        record.grant = "refresh_token";
        record.account = account.to_owned();
        let Some(sessions) = &self.settings.sessions else {
            return Err(ErrorResponse::RefreshToken.into());
        };
        let now = self.settings.clock.now();
        let session = match sessions.redeem(&token, service, now).await {
            Ok(Ok(session)) => session,
            Ok(Err(refused)) => {
                tracing::info!(%refused, "a refresh token was refused");
                return Err(ErrorResponse::RefreshToken.into());
            }
            Err(error) => return Err(IssueError::Internal(error.into())),
        };
        record.session.clone_from(&session.id);
        if !account.is_empty() && account != session.account {
            tracing::info!(
                session = session.id,
                "a refresh token came with another account's name"
            );
            return Err(ErrorResponse::RefreshToken.into());
        }
        record.account.clone_from(&session.account);
        match self.recheck(&session, now).await {
            Some(subject) => Ok(Identified {
                subject,
                credential: session.credential,
                refresh_token: Some(token),
            }),
            None => Err(ErrorResponse::RefreshToken.into()),
        }
    }

    /// The session's user as they are today; none where they are gone, changed their password, or
    /// have not been confirmed for too long.
    async fn recheck(&self, session: &Session, now: SystemTime) -> Option<Subject> {
        let sessions = self.settings.sessions.as_ref()?;
        match self
            .settings
            .login
            .recheck(&session.account, session.credential.as_ref())
            .await
        {
            Ok(SessionStatus::Valid(subject)) => {
                sessions.confirm(session, &subject, now).await;
                Some(subject)
            }
            Ok(SessionStatus::Ended) => None,
            Ok(SessionStatus::Unknown) => sessions.recently_confirmed(session, now),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    account = session.account,
                    "cannot check again whether a user is still good"
                );
                sessions.recently_confirmed(session, now)
            }
        }
    }

    async fn authorize(
        &self,
        subject: &Subject,
        service: &str,
        scopes: Vec<Scope>,
        address: ClientAddress,
        record: &mut DecisionRecord,
    ) -> Result<Vec<Access>, IssueError> {
        let mut access = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let query = AclQuery {
                account: &subject.account,
                labels: &subject.labels,
                resource_type: &scope.resource_type,
                name: &scope.name,
                service,
                ip: address.ip,
                actions: &scope.actions,
            };
            let decision: Decision = authorize::decide(&self.settings.authorizers, &query).await?;
            if !decision.granted.is_empty() {
                access.push(scope.clone().granted(decision.granted.clone()));
            }
            record.decisions.push((scope, decision));
        }
        Ok(access)
    }

    /// A new session's refresh token. Where none can be made the login goes on without: the client
    /// keeps its password.
    async fn open_session(
        &self,
        subject: &Subject,
        credential: Option<CredentialFingerprint>,
        service: &str,
        client_id: &str,
        record: &mut DecisionRecord,
    ) -> Option<String> {
        let sessions = self
            .settings
            .sessions
            .as_ref()
            .filter(|_| !subject.account.is_empty())?;
        let new = NewSession {
            subject,
            credential,
            service,
            client_id,
            address: &record.address,
        };
        match sessions.open(new, self.settings.clock.now()).await {
            Ok(opened) => {
                record.session = opened.id;
                Some(opened.token.expose().to_owned())
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot make a refresh token"
                );
                None
            }
        }
    }

    fn sign(
        &self,
        subject: &Subject,
        service: String,
        access: Vec<Access>,
        refresh_token: Option<String>,
    ) -> Result<TokenResponse, IssueError> {
        let internal =
            |error: Box<dyn std::error::Error + Send + Sync>| IssueError::Internal(error);
        let settings = self.service(&service);
        let now = self.settings.clock.now();
        let issued_at = unix_seconds(now);
        let expires_in = settings.expiration.as_secs();
        let scope = granted_scope(&access);
        let claims = Claims {
            issuer: self.settings.issuer.clone(),
            subject: subject.account.clone(),
            audience: service,
            expires_at: issued_at + expires_in,
            not_before: issued_at.saturating_sub(self.settings.not_before_skew.as_secs()),
            issued_at,
            id: token::jti(self.settings.entropy.as_ref())
                .map_err(|error| internal(error.into()))?,
            access,
        };
        let token = settings
            .signer
            .sign(&claims)
            .map_err(|error| internal(error.into()))?;
        let issued_at = rfc3339(issued_at);
        Ok(TokenResponse {
            token,
            expires_in,
            issued_at,
            scope,
            refresh_token,
        })
    }
}

/// What was granted, as the `scope` of an answer (RFC 6749 §3.3: joined by spaces).
fn granted_scope(access: &[Access]) -> String {
    let mut scope = String::new();
    for Access {
        resource_type,
        name,
        actions,
    } in access
    {
        if !scope.is_empty() {
            scope.push(' ');
        }
        scope.extend([resource_type, ":", name, ":", &actions.join(",")]);
    }
    scope
}
