//! The public keys that verify the tokens.

use std::sync::Arc;
use std::time::SystemTime;

use common::Clock;
use token::{Jwk, JwkSet};

/// A public key in the JWKS.
#[derive(Debug)]
pub struct PublishedKey {
    /// The key under one of its ids.
    pub jwk: Jwk,
    /// Until when it is published, `None` for always. By then an old key's last token has expired.
    pub not_after: Option<SystemTime>,
}

/// The published keys, each until its `not_after`.
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
