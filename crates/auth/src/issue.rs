//! Tokens are made: claims, a signature, and the keys that verify it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Entropy, EntropyError, rfc3339, unix_seconds};
use policy::Subject;
use token::{Access, Claims, JwkSet, SignError, jti};

use crate::response::TokenResponse;
use crate::server::{PublishedKey, ServiceSettings};

/// A token that lives for less than this is of no use: clients assume this long if a response does
/// not say (Distribution, "Token Authentication Specification", `expires_in`).
pub const MIN_EXPIRATION_SECONDS: u64 = 60;

/// Signs tokens, for each service as its registry needs it.
pub(crate) struct TokenIssuer {
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

impl TokenIssuer {
    /// A token that grants `subject` this `access` to `service`.
    pub(crate) fn issue(
        &self,
        subject: &Subject,
        service: String,
        access: Vec<Access>,
    ) -> Result<TokenResponse, TokenIssueError> {
        let settings = self.services.get(&service).unwrap_or(&self.default);
        let issued_at = unix_seconds(self.clock.now());
        let expires_in = settings.expiration.as_secs();
        let scope = granted_scope(&access);
        let claims = Claims {
            issuer: self.issuer.clone(),
            subject: subject.account.clone(),
            audience: service,
            expires_at: issued_at + expires_in,
            not_before: issued_at.saturating_sub(self.not_before_skew.as_secs()),
            issued_at,
            id: jti(self.entropy.as_ref())?,
            access,
        };
        Ok(TokenResponse {
            token: settings.signer.sign(&claims)?,
            expires_in,
            issued_at: rfc3339(issued_at),
            scope,
            refresh_token: None,
        })
    }
}

/// What was granted, as the `scope` of a response (RFC 6749 §3.3: joined by spaces).
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

/// The public keys, each until its end.
pub(crate) struct PublishedKeys {
    pub(crate) keys: Vec<PublishedKey>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl PublishedKeys {
    /// The keys that are published now.
    pub(crate) fn jwks(&self) -> JwkSet {
        let now = self.clock.now();
        let published = |key: &&PublishedKey| key.not_after.is_none_or(|end| now <= end);
        let keys = self.keys.iter().filter(published);
        keys.map(|key| key.jwk.clone()).collect()
    }
}
