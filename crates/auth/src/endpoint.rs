//! The token endpoint and the revocation endpoint.
//!
//! A token is issued in steps, each of which passes its result to the next: the request is parsed
//! once; a login or a session gives the *account*; the policies *authorize* each scope; the issuer
//! signs.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use common::{ClientAddress, Clock, RequestContext};
use event::Observers;
use http::{Request, request};
use hyper::body::Body;
use identity::{Identity, LoginSource, Proof, SourceAddress};
use policy::AclQuery;
use token::{Access, Scope};

use crate::accounts::{AccountResolver, Grantee, ProvedBy};
use crate::audit::DecisionRecord;
use crate::authorize::AuthorizerChain;
use crate::body::BodyLimits;
use crate::error::TokenRequestError;
use crate::issue::AccessTokenIssuer;
use crate::parameters::Parameters;
use crate::request::{ACCESS_TOKEN_TYPE, Grant, RequestError, TokenRequest};
use crate::response::{self, ErrorResponse, TokenResponse, TokenServerResponse};

/// The handlers of the token endpoint and of the revocation endpoint.
pub(crate) struct TokenEndpoint {
    pub(crate) body: BodyLimits,
    pub(crate) accounts: AccountResolver,
    /// The path of the page on which people approve device logins.
    pub(crate) device_page: String,
    pub(crate) authorizers: AuthorizerChain,
    pub(crate) issuer: AccessTokenIssuer,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Observers,
}

impl TokenEndpoint {
    /// Responds with a token or an error, and tells the observers.
    pub(crate) async fn token<B>(
        &self,
        context: &RequestContext,
        request: Request<B>,
    ) -> TokenServerResponse
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let began = self.clock.now();
        let (head, body) = request.into_parts();
        let mut record = DecisionRecord::new(context, &head.headers);
        let (response, error) = match self.issue(context, &head, body, &mut record).await {
            Ok(token) => (token.into_http(), None),
            Err(error) => {
                let error = self.error_response(error, context);
                (error.to_http(&self.issuer.issuer), Some(error))
            }
        };
        let now = self.clock.now();
        let took = now.duration_since(began).unwrap_or_default();
        // A device that waits asks every few seconds, and nothing is decided.
        if !error.as_ref().is_some_and(ErrorResponse::is_undecided) {
            record.tell(now, took, error.as_ref(), &self.observers);
        }
        context.set_account(&record.account);
        response
    }

    /// Revokes a refresh token (RFC 7009). The token itself is the proof that the client may.
    ///
    /// An unknown token is no error (§2.2), so the response does not tell which tokens exist.
    pub(crate) async fn revoke<B>(
        &self,
        context: &RequestContext,
        request: Request<B>,
    ) -> TokenServerResponse
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        match self.revoke_token(context, &head, body).await {
            Ok(()) => response::empty(),
            Err(error) => self
                .error_response(error, context)
                .to_http(&self.issuer.issuer),
        }
    }

    async fn issue<B>(
        &self,
        context: &RequestContext,
        head: &request::Parts,
        body: B,
        record: &mut DecisionRecord<'_>,
    ) -> Result<TokenResponse, TokenRequestError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let client = context.client.clone().map_err(ErrorResponse::from)?;
        let body = self.body.read(body).await.map_err(ErrorResponse::from)?;
        let query = head.uri.query().unwrap_or_default();
        let TokenRequest {
            grant,
            mut service,
            scopes,
            offline,
            client_id,
        } = TokenRequest::parse(&head.method, &head.headers, query, &body, &|secret| {
            self.accounts.is_opaque_token(secret)
        })
        .map_err(ErrorResponse::from)?;
        record.service.clone_from(&service);
        record.client_id.clone_from(&client_id);
        let is_exchange = matches!(grant, Grant::TokenExchange(_));
        let address = SourceAddress::from(context);
        let Grantee {
            identity,
            proved_by,
        } = match grant {
            Grant::Login(proof) => self.accounts.log_in(&proof, address, record).await?,
            Grant::TokenExchange(token) => {
                let proof = Proof::FederatedToken(token);
                self.accounts.log_in(&proof, address, record).await?
            }
            Grant::RefreshToken { token, account } => {
                self.accounts
                    .redeem(token, &account, &service, address, record)
                    .await?
            }
            Grant::DeviceCode(code) => {
                self.accounts
                    .redeem_device_code(&code, &client_id, &service, address, record)
                    .await?
            }
        };
        if let ProvedBy::DeviceCode(login) = &proved_by {
            service.clone_from(&login.device.service);
            record.service.clone_from(&service);
        }
        record.account.clone_from(&identity.subject.account);
        record.set_labels(&identity.subject.labels);
        record.opaque_token = identity
            .opaque_token
            .as_deref()
            .unwrap_or_default()
            .to_owned();
        let source = LoginSource::new(address, &identity.subject.account);
        let access = self
            .authorize(&identity, &service, scopes, client, &source, record)
            .await?;
        self.accounts
            .note_token_use(&identity, address, first_repository(&access));
        let refresh_token = match proved_by {
            // A refresh token is reused, not rotated.
            ProvedBy::RefreshToken(token) => Some(token.expose().to_owned()),
            ProvedBy::Login { backend } if offline => {
                self.accounts
                    .open_session(&identity, backend, &service, &client_id, record)
                    .await
            }
            ProvedBy::Login { .. } => None,
            ProvedBy::DeviceCode(login) => Some(
                self.accounts
                    .open_device_session(&identity, &login, record)
                    .await?,
            ),
        };
        let response = self.issuer.issue(&identity, service, access)?;
        Ok(TokenResponse {
            refresh_token,
            issued_token_type: is_exchange.then_some(ACCESS_TOKEN_TYPE),
            token_type: is_exchange.then_some("Bearer"),
            ..response
        })
    }

    /// What the policies and the login's ceiling allow of each scope.
    async fn authorize(
        &self,
        identity: &Identity,
        service: &str,
        scopes: Vec<Scope>,
        client: ClientAddress,
        source: &LoginSource,
        record: &mut DecisionRecord<'_>,
    ) -> Result<Vec<Access>, TokenRequestError> {
        let mut access = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let subject = identity.ruled_subject().unwrap_or(&identity.subject);
            let query = AclQuery::new(subject, &scope, service, client.ip);
            let decision = self.authorizers.grant(identity, &query, source).await?;
            if !decision.granted.is_empty() {
                access.push(scope.clone().granted(decision.granted.clone()));
            }
            record.decisions.push((scope, decision));
        }
        Ok(access)
    }

    async fn revoke_token<B>(
        &self,
        context: &RequestContext,
        head: &request::Parts,
        body: B,
    ) -> Result<(), TokenRequestError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let body = self.body.read(body).await.map_err(ErrorResponse::from)?;
        let query = head.uri.query().unwrap_or_default();
        let parameters = Parameters::of_form(&head.headers, query, &body)
            .map_err(|error| ErrorResponse::from(RequestError::from(error)))?;
        let token = parameters
            .secret("token")
            .map_err(|error| ErrorResponse::from(RequestError::from(error)))?;
        if token.is_empty() {
            return Err(ErrorResponse::from(RequestError::NoToken).into());
        }
        let Some(sessions) = &self.accounts.sessions else {
            return Ok(());
        };
        let now = self.clock.now();
        if let Some(revoked) = sessions.revoke_token(&token, now).await? {
            context.set_account(&revoked.account);
            let record = DecisionRecord::new(context, &head.headers);
            record.tell_of_revocation(now, &revoked, &self.observers);
        }
        Ok(())
    }

    /// What the client gets for `error`. The cause of a failure goes to the log.
    pub(crate) fn error_response(
        &self,
        error: TokenRequestError,
        context: &RequestContext,
    ) -> ErrorResponse {
        match error {
            TokenRequestError::Response(response) => response,
            TokenRequestError::Internal(error) => {
                log_failure(&context.request_id, error.as_ref());
                ErrorResponse::Internal(context.request_id.clone())
            }
            TokenRequestError::Unavailable(error) => {
                log_failure(&context.request_id, error.as_ref());
                ErrorResponse::Unavailable(context.request_id.clone())
            }
        }
    }
}

/// The repository that a client most probably works with: a mount names its source later.
fn first_repository(access: &[Access]) -> Option<&str> {
    let repository = access
        .iter()
        .find(|access| access.resource_type == "repository");
    repository.map(|access| access.name.as_str())
}

fn log_failure(request_id: &str, error: &(dyn Error + Send + Sync + 'static)) {
    let error = error as &dyn Error;
    tracing::error!(request_id, error, "a request failed");
}
