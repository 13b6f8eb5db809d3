//! The token server as it is configured: all that a request needs. Only the sessions and the
//! counters of failed logins outlive a reload; they are passed in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Entropy};
use event::Observers;
use http::HeaderValue;
use identity::{AuthenticatorChain, Login};

use crate::accounts::AccountResolver;
use crate::authorize::{Authorizer, AuthorizerChain, Explainer};
use crate::body::BodyLimits;
use crate::device::{DeviceLogins, PAGE};
use crate::endpoint::TokenEndpoint;
use crate::issue::{AccessTokenIssuer, ServiceSettings};
use crate::published_keys::{PublishedKey, PublishedKeys};
use crate::sessions::Sessions;

/// What a [`TokenServer`] is made of.
pub struct TokenServerSettings {
    /// The `iss` of every token and the realm of Basic challenges.
    pub issuer: String,
    /// How tokens are made for services that `services` does not name.
    pub default: ServiceSettings,
    /// How tokens for one service among several are made, by its name.
    pub services: HashMap<String, ServiceSettings>,
    /// How long before now a token begins to be valid, for registries whose clock is behind.
    pub not_before_skew: Duration,
    /// The public keys that are published, each under each of its ids.
    pub keys: Vec<PublishedKey>,
    /// What stands before every path.
    pub path_prefix: String,
    /// The value of `Strict-Transport-Security`.
    pub hsts: Option<HeaderValue>,
    /// Which accounts there are.
    pub login: Arc<Login>,
    /// What the accounts may do: the policies, the first to be asked first.
    pub authorizers: Vec<Box<dyn Authorizer>>,
    /// The refresh tokens; `None` turns them off.
    pub sessions: Option<Sessions>,
    /// Logins of devices that a person approves; `None` turns them off. They need sessions.
    pub device_logins: Option<Arc<DeviceLogins>>,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for token ids.
    pub entropy: Arc<dyn Entropy>,
    /// What gets an event of each decision.
    pub observers: Observers,
}

/// A token server. [`respond`](Self::respond) is in `routes.rs`.
pub struct TokenServer {
    pub(crate) path_prefix: String,
    pub(crate) hsts: Option<HeaderValue>,
    pub(crate) keys: PublishedKeys,
    pub(crate) endpoint: TokenEndpoint,
}

impl TokenServer {
    /// A server of these settings.
    #[must_use]
    pub fn new(settings: TokenServerSettings) -> Self {
        let clock = &settings.clock;
        Self {
            hsts: settings.hsts,
            keys: PublishedKeys {
                keys: settings.keys,
                clock: Arc::clone(clock),
            },
            endpoint: TokenEndpoint {
                body: BodyLimits {
                    bytes: settings.body_limit,
                    timeout: settings.body_timeout,
                },
                accounts: AccountResolver {
                    login: settings.login,
                    sessions: settings.sessions,
                    device_logins: settings.device_logins,
                    clock: Arc::clone(clock),
                },
                authorizers: AuthorizerChain::new(settings.authorizers),
                device_page: format!("{}{PAGE}", settings.path_prefix),
                issuer: AccessTokenIssuer {
                    issuer: settings.issuer,
                    default: settings.default,
                    services: settings.services,
                    not_before_skew: settings.not_before_skew,
                    clock: Arc::clone(clock),
                    entropy: settings.entropy,
                },
                clock: Arc::clone(clock),
                observers: settings.observers,
            },
            path_prefix: settings.path_prefix,
        }
    }

    /// The backends that know this server's accounts.
    #[must_use]
    pub fn accounts(&self) -> &AuthenticatorChain {
        self.endpoint.accounts.login.chain()
    }

    /// Explains what accounts are granted by this server's policies.
    #[must_use]
    pub fn explainer(&self) -> Explainer<'_> {
        self.endpoint.authorizers.explainer()
    }
}
