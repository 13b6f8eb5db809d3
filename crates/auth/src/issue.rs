//! Issues tokens: claims and a signature.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Entropy, EntropyError, rfc3339, unix_seconds};
use identity::Identity;
use token::{Access, Claims, SignError, Signer, jti};

use crate::response::TokenResponse;

/// A token that lives for less than this is of no use: clients assume this long if a response does
/// not say (Distribution, "Token Authentication Specification", `expires_in`).
pub const MIN_EXPIRATION_SECONDS: u64 = 60;

/// How the tokens for one registry are made.
#[derive(Debug)]
pub struct ServiceSettings {
    /// The key, and the header that names it so that this registry finds it.
    pub signer: Arc<Signer>,
    /// How long a token is valid.
    pub expiration: Duration,
}

/// Signs tokens, for each service as its registry needs it.
pub(crate) struct AccessTokenIssuer {
    pub(crate) issuer: String,
    pub(crate) default: ServiceSettings,
    pub(crate) services: HashMap<String, ServiceSettings>,
    pub(crate) not_before_skew: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenIssueError {
    #[error("a token needs a random id")]
    Id(#[from] EntropyError),
    #[error("a token cannot be signed")]
    Sign(#[from] SignError),
}

impl AccessTokenIssuer {
    /// A token that grants `identity` this `access` to `service`, within the bound on its lifetime.
    pub(crate) fn issue(
        &self,
        identity: &Identity,
        service: String,
        access: Vec<Access>,
    ) -> Result<TokenResponse, TokenIssueError> {
        let settings = self.services.get(&service).unwrap_or(&self.default);
        let issued_at = unix_seconds(self.clock.now());
        let expires_in = identity
            .terms
            .token_lifetime
            .limit(settings.expiration)
            .as_secs();
        let scope = granted_scope(&access);
        let claims = Claims {
            issuer: self.issuer.clone(),
            subject: identity.subject.account.clone(),
            audience: service,
            expires_at: issued_at + expires_in,
            not_before: issued_at.saturating_sub(self.not_before_skew.as_secs()),
            issued_at,
            id: jti(self.entropy.as_ref())?,
            access,
            personal_token: identity
                .opaque_token
                .as_deref()
                .unwrap_or_default()
                .to_owned(),
        };
        Ok(TokenResponse {
            token: settings.signer.sign(&claims)?,
            expires_in,
            issued_at: rfc3339(issued_at),
            scope,
            issued_token_type: None,
            token_type: None,
            refresh_token: None,
        })
    }
}

/// What was granted, as the `scope` of a response (RFC 6749 §3.3: joined by spaces).
fn granted_scope(access: &[Access]) -> String {
    let mut scopes = String::new();
    for access in access {
        push_scope(
            &mut scopes,
            &access.resource_type,
            &access.name,
            &access.actions,
        );
    }
    scopes
}

/// Appends a scope to a list that spaces separate.
pub(crate) fn push_scope(scopes: &mut String, resource_type: &str, name: &str, actions: &[String]) {
    if !scopes.is_empty() {
        scopes.push(' ');
    }
    scopes.extend([resource_type, ":", name, ":"]);
    for (index, action) in actions.iter().enumerate() {
        scopes.extend([if index > 0 { "," } else { "" }, action]);
    }
}
