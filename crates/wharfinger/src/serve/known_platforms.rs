//! The platforms of the section `trust` as they were last configured.

use std::sync::{Arc, Mutex, PoisonError};

use workload_identity::TrustedIssuer;

/// Platforms whose keys may have been fetched. A reload goes on with these keys, so that it does not
/// depend on whether a platform can be reached at that moment.
#[derive(Default)]
pub(super) struct KnownPlatforms(Mutex<Vec<Arc<TrustedIssuer>>>);

impl KnownPlatforms {
    /// Gives the keys that are known to the platforms of a new configuration.
    pub(super) fn hand_over(&self, configured: &[Arc<TrustedIssuer>]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for issuer in configured {
            issuer.take_over_keys(&known);
        }
        *known = configured.to_vec();
    }
}
