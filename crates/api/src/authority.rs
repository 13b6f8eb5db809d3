//! Who makes a request, and whether they may.
//!
//! A request brings an access token of this server, whose `aud` is the API's own service. Its scopes
//! have the type [`API_TYPE`], and the rules that grant repositories grant them, too. Only
//! [`ApiAuthority::authorize`] makes an [`ApiCaller`], so no handler runs without one.
//!
//! (RFC 6750; Distribution, "Token Authentication Specification".)

use std::sync::Arc;

use common::{Clock, RequestContext};
use database::Administrator;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use identity::{NamedAccount, RequestLimiter, RequestSource, SourceAddress};
use policy::API_TYPE;
use token::{VerifiedToken, Verifier};

use crate::problem::ApiProblem;
use crate::scope::{ApiScope, ScopeRequirement};

/// The account that makes a request, proved by its token.
#[derive(Clone, Debug)]
pub struct ApiCaller {
    token: Arc<VerifiedToken>,
    reach: Reach,
}

/// Which objects an operation is allowed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All of them.
    Everything,
    /// Those that belong to the caller.
    Own,
}

impl ApiCaller {
    /// The name of the account.
    #[must_use]
    pub fn account(&self) -> &str {
        self.token.subject()
    }

    /// The account as the backends and the rules know it, below the ceiling of its token.
    pub(crate) fn named(&self) -> NamedAccount<'_> {
        NamedAccount {
            account: self.account(),
            personal_token: self.token.personal_token(),
        }
    }

    /// Who a change is logged for.
    #[must_use]
    pub fn administrator(&self) -> Administrator {
        Administrator::Account(self.account().to_owned())
    }

    /// The scopes of the token, as texts.
    pub(crate) fn scopes(&self) -> Vec<String> {
        let access = self.token.access().iter();
        let access = access.filter(|access| access.resource_type == API_TYPE);
        access
            .map(|access| {
                let actions = access.actions.join(",");
                format!("{API_TYPE}:{}:{actions}", access.name)
            })
            .collect()
    }

    /// Which objects the operation is allowed for.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// When the token was issued, in seconds since the Unix epoch.
    pub(crate) fn token_issued_at(&self) -> u64 {
        self.token.claims().issued_at
    }

    /// The scopes of `needed` that the token grants, each with its reach; the widest first.
    pub(crate) fn granted_by_token(
        &self,
        needed: ScopeRequirement,
    ) -> impl Iterator<Item = (Reach, ApiScope)> + use<> {
        let own = needed.own.map(|own| (Reach::Own, own));
        let both = [Some((Reach::Everything, needed.full)), own];
        let token = Arc::clone(&self.token);
        let is_granted = move |scope: &ApiScope| token.grants(API_TYPE, scope.name, scope.action);
        both.into_iter()
            .flatten()
            .filter(move |(_, scope)| is_granted(scope))
    }

    /// The same caller with another reach.
    pub(crate) fn reaching(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }
}

/// Verifies tokens, and counts requests.
pub(crate) struct ApiAuthority {
    pub(crate) verifier: Verifier,
    pub(crate) service: String,
    /// The path of the token endpoint on this server.
    pub(crate) token_path: String,
    pub(crate) limiter: Arc<RequestLimiter>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl ApiAuthority {
    /// The caller, if the request's token is valid and grants `needed`.
    pub(crate) fn authorize(
        &self,
        context: &RequestContext,
        headers: &HeaderMap,
        needed: ScopeRequirement,
    ) -> Result<ApiCaller, ApiProblem> {
        let Some(text) = bearer_token(headers) else {
            self.admit_without_token(context)?;
            return Err(ApiProblem::no_token(self.challenge(context, needed, None)));
        };
        let token = match self.verifier.verify(text, self.clock.now()) {
            // The anonymous account may not use the API, whatever its rules grant.
            Ok(token) if !token.subject().is_empty() => Arc::new(token),
            Ok(_) | Err(_) => {
                self.admit_without_token(context)?;
                return Err(self.invalid_token(context, needed));
            }
        };
        context.set_account(token.subject());
        context.set_personal_token(token.personal_token());
        self.admit(RequestSource::Account(token.subject()))?;
        let caller = ApiCaller {
            token,
            reach: Reach::Own,
        };
        let widest = caller.granted_by_token(needed).next();
        match widest {
            Some((reach, _)) => Ok(caller.reaching(reach)),
            None => Err(self.insufficient_scope(context, needed)),
        }
    }

    /// The refusal of a caller who lacks a right.
    pub(crate) fn insufficient_scope(
        &self,
        context: &RequestContext,
        needed: ScopeRequirement,
    ) -> ApiProblem {
        let challenge = self.challenge(context, needed, Some("insufficient_scope"));
        ApiProblem::insufficient_scope(needed, challenge)
    }

    /// The refusal of a token that is not valid, or no longer.
    pub(crate) fn invalid_token(
        &self,
        context: &RequestContext,
        needed: ScopeRequirement,
    ) -> ApiProblem {
        ApiProblem::invalid_token(self.challenge(context, needed, Some("invalid_token")))
    }

    /// Counts a request that no account has proved to be its own.
    pub(crate) fn admit_without_token(&self, context: &RequestContext) -> Result<(), ApiProblem> {
        self.admit(RequestSource::Address(SourceAddress::from(context)))
    }

    fn admit(&self, source: RequestSource<'_>) -> Result<(), ApiProblem> {
        let admitted = self.limiter.admit(source);
        admitted.map_err(ApiProblem::too_many_requests)
    }

    /// The challenge of a refusal (RFC 6750 §3).
    fn challenge(
        &self,
        context: &RequestContext,
        needed: ScopeRequirement,
        error: Option<&str>,
    ) -> String {
        let realm = quoted(&context.origin.url(&self.token_path));
        let service = quoted(&self.service);
        let error = error.map(|error| format!(",error=\"{error}\""));
        format!(
            "Bearer realm={realm},service={service},scope=\"{needed}\"{}",
            error.unwrap_or_default()
        )
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 §2.1), if there is one such header.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = lines.next()?.to_str().ok()?;
    let (scheme, rest) = line.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") && lines.next().is_none();
    is_bearer.then(|| rest.trim())
}

/// A quoted-string (RFC 9110 §5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
