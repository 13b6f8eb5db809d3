//! Key sets of other token servers: fetched before they are needed, kept, and handed out.
//!
//! A token server should publish a new key before it signs with it, so fetching once a minute is
//! soon enough. A token with an unknown key has the sets fetched at once, but not more often than
//! clients should be able to cause. If a set cannot be fetched, the keys that are known stay: their
//! tokens are good until the token server says otherwise.
//!
//! The [`JwksFetcher`] lives as long as the process. Each configuration of the registry has an
//! [`IssuerKeys`], which takes what the fetcher has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use common::BoxFuture;
use registry::{KeyGeneration, KeySource};
use token::{JwkSet, Verifier};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

/// How often the sets are fetched.
const INTERVAL: Duration = Duration::from_secs(60);
/// How soon they are fetched again after a failure.
const RETRY: Duration = Duration::from_secs(5);
/// The least time between two fetches that unknown keys cause.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a token with an unknown key waits for a fetch.
const WAIT: Duration = Duration::from_secs(5);

/// Fetches the key sets of the current configuration, and keeps them.
#[derive(Default)]
pub(super) struct JwksFetcher {
    /// The addresses that the current configuration names.
    urls: Mutex<Vec<String>>,
    fetched: ArcSwap<FetchedSets>,
    /// Wakes the task that fetches.
    wanted: Notify,
    /// Whether a token waits for a fetch.
    waited_for: watch::Sender<bool>,
    /// When an unknown key last caused a fetch.
    last_refresh: Mutex<Option<Instant>>,
}

/// The sets of one moment, by their addresses.
#[derive(Clone, Default)]
struct FetchedSets {
    /// Increases when a set changes.
    number: u64,
    sets: HashMap<String, JwkSet>,
}

/// The keys of the issuers that one configuration names.
pub(super) struct IssuerKeys {
    fetcher: Arc<JwksFetcher>,
    /// Verifiers with the keys of the configuration, and the address of each issuer's key set.
    issuers: Vec<(Verifier, Option<String>)>,
    /// The keys with the number of the sets that they were made of.
    current: ArcSwap<(u64, Arc<KeyGeneration>)>,
}

impl JwksFetcher {
    /// The keys of these issuers, each with the address of its key set if it has one. From now on
    /// these sets are fetched, and no others.
    pub(super) fn keys_of(
        self: &Arc<Self>,
        issuers: Vec<(Verifier, Option<String>)>,
    ) -> Arc<IssuerKeys> {
        let mut urls: Vec<String> = issuers.iter().filter_map(|(_, url)| url.clone()).collect();
        urls.sort();
        urls.dedup();
        *self.urls.lock().unwrap_or_else(PoisonError::into_inner) = urls;
        self.wanted.notify_one();
        let keys = generation(&issuers, &self.fetched.load());
        Arc::new(IssuerKeys {
            fetcher: Arc::clone(self),
            issuers,
            current: ArcSwap::from_pointee(keys),
        })
    }

    /// Fetches for as long as the server runs.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let mut next = INTERVAL;
            let urls = {
                let urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
                urls.clone()
            };
            for url in urls {
                match fetch(&url).await {
                    Ok(keys) => self.keep(url, keys),
                    Err(error) => {
                        tracing::error!(
                            url,
                            error,
                            "cannot fetch the JWKS; using the last known keys"
                        );
                        next = RETRY;
                    }
                }
            }
            self.waited_for.send_replace(false);
            let _ = timeout(next, self.wanted.notified()).await;
        }
    }

    fn keep(&self, url: String, keys: JwkSet) {
        let old = self.fetched.load_full();
        if old.sets.get(&url) == Some(&keys) {
            return;
        }
        tracing::info!(url, keys = keys.keys.len(), "a key set has changed");
        // Only the task that fetches writes.
        let mut new = FetchedSets::clone(&old);
        new.number += 1;
        new.sets.insert(url, keys);
        self.fetched.store(Arc::new(new));
    }

    /// Waits until the sets are fetched again, if a fetch is due.
    async fn refresh(&self) {
        let mut waited_for = self.waited_for.subscribe();
        if self.is_refresh_due() {
            self.waited_for.send_replace(true);
            self.wanted.notify_one();
        }
        // One fetch serves all that wait. If none is coming, this is over at once.
        let _ = timeout(WAIT, waited_for.wait_for(|waited_for| !waited_for)).await;
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a pause between fetches, which only tokio's timer measures"
    )]
    fn is_refresh_due(&self) -> bool {
        let mut last = self
            .last_refresh
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|at| at.elapsed() >= PAUSE);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

impl KeySource for IssuerKeys {
    fn current(&self) -> Arc<KeyGeneration> {
        let fetched = self.fetcher.fetched.load();
        let current = self.current.load();
        if current.0 == fetched.number {
            return Arc::clone(&current.1);
        }
        let keys = generation(&self.issuers, &fetched);
        let newest = Arc::clone(&keys.1);
        self.current.store(Arc::new(keys));
        newest
    }

    fn refresh(&self) -> BoxFuture<'_, Arc<KeyGeneration>> {
        Box::pin(async {
            if self.issuers.iter().any(|(_, url)| url.is_some()) {
                self.fetcher.refresh().await;
            }
            self.current()
        })
    }
}

/// The issuers' keys with those that were fetched for them.
fn generation(
    issuers: &[(Verifier, Option<String>)],
    fetched: &FetchedSets,
) -> (u64, Arc<KeyGeneration>) {
    let with_keys = |(verifier, url): &(Verifier, Option<String>)| {
        let keys = url.as_ref().and_then(|url| fetched.sets.get(url));
        match keys {
            Some(keys) => verifier.clone().trusting_keys(keys),
            None => verifier.clone(),
        }
    };
    let verifiers = issuers.iter().map(with_keys).collect();
    let keys = KeyGeneration::new(fetched.number, verifiers);
    (fetched.number, Arc::new(keys))
}

async fn fetch(url: &str) -> Result<JwkSet, String> {
    let text = crate::fetch::key_set(url)
        .await
        .map_err(|failure| failure.to_string())?;
    let keys = JwkSet::from_json(&text).map_err(|error| error.to_string())?;
    // An empty set would refuse every token, and is an accident.
    if keys.keys.is_empty() {
        Err("the key set has no keys".to_owned())
    } else {
        Ok(keys)
    }
}
