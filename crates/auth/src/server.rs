//! The token server as it is configured: everything that one request needs, and nothing that
//! outlives a reload but the sessions and the counters of failed logins, which come in shared.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Clock, Entropy};
use http::HeaderValue;
use identity::Login;
use token::{Jwk, JwkSet, Signer};

use crate::authorize::Authorizer;
use crate::sessions::Sessions;

/// What a [`TokenServer`] is made of.
pub struct TokenServerSettings {
    /// The `iss` of every token and the realm of Basic challenges.
    pub issuer: String,
    /// How tokens are made where no service says otherwise.
    pub default: ServiceSettings,
    /// How tokens for one service among several are made, by its name.
    pub services: HashMap<String, ServiceSettings>,
    /// How far before now a token begins to be valid: for registries whose clock is behind.
    pub not_before_skew: Duration,
    /// The public keys that are published, under each of their ids.
    pub keys: Vec<PublishedKey>,
    /// What stands before every path.
    pub path_prefix: String,
    /// The value of `Strict-Transport-Security`.
    pub hsts: Option<HeaderValue>,
    /// Who may come in.
    pub login: Login,
    /// What they may do.
    pub authorizers: Vec<Authorizer>,
    /// Each rule's place in the configuration, for the log.
    pub rule_origins: Vec<String>,
    /// The refresh tokens; none where they are off.
    pub sessions: Option<Sessions>,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for token ids.
    pub entropy: Arc<dyn Entropy>,
}

/// A public key in the JWKS.
#[derive(Debug)]
pub struct PublishedKey {
    /// The key under one of its ids.
    pub jwk: Jwk,
    /// Until when it is published; none for always. An old key's last token has expired by then.
    pub not_after: Option<SystemTime>,
}

/// How the tokens for one registry are made.
#[derive(Debug)]
pub struct ServiceSettings {
    /// The key, and the header that names it so that this registry finds it.
    pub signer: Arc<Signer>,
    /// For how long a token is valid.
    pub expiration: Duration,
}

/// A token server, ready to answer.
pub struct TokenServer {
    pub(crate) settings: TokenServerSettings,
}

impl TokenServer {
    /// A server of these settings.
    #[must_use]
    pub fn new(settings: TokenServerSettings) -> Self {
        Self { settings }
    }

    pub(crate) fn service(&self, name: &str) -> &ServiceSettings {
        self.settings
            .services
            .get(name)
            .unwrap_or(&self.settings.default)
    }

    /// The keys that are published now.
    pub(crate) fn jwks(&self) -> JwkSet {
        let now = self.settings.clock.now();
        let published = |key: &&PublishedKey| key.not_after.is_none_or(|end| now <= end);
        self.settings
            .keys
            .iter()
            .filter(published)
            .map(|key| key.jwk.clone())
            .collect()
    }
}
