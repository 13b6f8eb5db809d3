//! The API that a configuration makes.

use std::sync::Arc;

use api::{Api, ApiSettings, ApiStores};
use identity::{Rate, RequestLimiter};
use token::{JwkSet, Verifier};

use super::managed_accounts::ManagedAccounts;
use super::persistent_state::PersistentState;
use crate::config::{ApiConfig, Config, TokenConfig};
use crate::failure::Failure;

/// The API of `config`, which takes the tokens that `token` makes.
pub(super) fn api(
    config: &Config,
    section: &ApiConfig,
    token: &TokenConfig,
    persistent: &PersistentState,
    managed: &ManagedAccounts,
    limiter: Arc<RequestLimiter>,
) -> Api {
    Api::new(ApiSettings {
        path_prefix: config.server.path_prefix.clone(),
        service: section.service.clone(),
        verifier: own_tokens(token, &section.service),
        limiter,
        hsts: config.server.hsts.clone(),
        body_timeout: config.server.limits.request_timeout,
        stores: ApiStores {
            accounts: managed.accounts().clone(),
        },
        clock: Arc::clone(&persistent.clock),
    })
}

/// Verifies the tokens that `token` makes for `service`.
pub(super) fn own_tokens(token: &TokenConfig, service: &str) -> Verifier {
    let keys: JwkSet = token
        .keys
        .iter()
        .map(|key| key.key.public().jwk())
        .collect();
    Verifier::new(service, [token.issuer.clone()]).trusting_keys(&keys)
}

/// Counts requests. It goes on counting after a reload that does not change its rate.
pub(super) fn limiter(
    rate: Rate,
    persistent: &PersistentState,
    before: Option<&Arc<RequestLimiter>>,
) -> Result<Arc<RequestLimiter>, Failure> {
    match before.filter(|limiter| limiter.has_rate(rate)) {
        Some(limiter) => Ok(Arc::clone(limiter)),
        None => {
            let clock = Arc::clone(&persistent.clock);
            let limiter = RequestLimiter::new(rate, clock, persistent.entropy.as_ref());
            limiter.map(Arc::new).map_err(Failure::from)
        }
    }
}
