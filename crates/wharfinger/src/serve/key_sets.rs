//! Key sets of other people's token servers, fetched before they are needed and again while they
//! are.
//!
//! A token server should publish a new key before it signs with it, so looking once a minute is
//! soon enough; a token whose key is unknown nevertheless has them fetched at once, though not more
//! often than strangers should be able to cause. Keys that cannot be fetched stay what they were:
//! their tokens are good until somebody says otherwise.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use registry::{KeyRefresh, KeySource, TokenVerifier};
use token::{JwkSet, Verifier};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

/// How often a key set is fetched.
const INTERVAL: Duration = Duration::from_secs(60);
/// How soon again, when that failed.
const RETRY: Duration = Duration::from_secs(5);
/// How soon after the last time an unknown key has them fetched again.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a token with an unknown key waits for that.
const WAIT: Duration = Duration::from_secs(5);

/// What was fetched, and who believes in it.
#[derive(Default)]
pub(super) struct KeySets {
    state: Mutex<State>,
    /// Something new is to be fetched.
    wanted: Notify,
    /// Whether a token waits for that.
    waited_for: watch::Sender<bool>,
    /// When a token waited the last time.
    asked: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct State {
    fetched: HashMap<String, JwkSet>,
    trust: Option<FetchedVerifier>,
}

/// The newest registry's trust, and what it is made of: verifiers without the keys that are fetched
/// for them.
struct FetchedVerifier {
    trust: Weak<TokenVerifier>,
    believed: Vec<(Verifier, Option<String>)>,
}

impl KeySets {
    /// The trust of a registry that believes these, each with the key set at its URL if it has one.
    /// From now on that trust is kept fresh, and none before it.
    pub(super) fn token_verifier(
        self: &Arc<Self>,
        believed: Vec<(Verifier, Option<String>)>,
    ) -> Arc<TokenVerifier> {
        let mut state = self.lock();
        let trust = TokenVerifier::new(verifiers(&believed, &state.fetched));
        let is_fetched = believed.iter().any(|(_, url)| url.is_some());
        let trust = Arc::new(if is_fetched {
            trust.with_key_source(Arc::clone(self) as _)
        } else {
            trust
        });
        state.trust = Some(FetchedVerifier {
            trust: Arc::downgrade(&trust),
            believed,
        });
        self.wanted.notify_one();
        trust
    }

    /// Fetches what is wanted, for as long as the server runs.
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        loop {
            let mut next = INTERVAL;
            for url in self.urls() {
                let fetched = tokio::task::spawn_blocking({
                    let url = url.clone();
                    move || fetch(&url)
                });
                match fetched.await {
                    Ok(Ok(keys)) => self.put(url, keys),
                    Ok(Err(error)) => {
                        tracing::error!(
                            url,
                            error,
                            "cannot fetch a key set; the keys that were known stay"
                        );
                        next = RETRY;
                    }
                    Err(_) => return,
                }
            }
            self.waited_for.send_replace(false);
            let _ = timeout(next, self.wanted.notified()).await;
        }
    }

    /// Whether the last look that an unknown key caused is long enough ago; if so, this is the
    /// next.
    #[expect(
        clippy::disallowed_methods,
        reason = "the time between two requests on the runtime's timer"
    )]
    fn is_worth_a_look(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_worth = asked.is_none_or(|at| at.elapsed() >= PAUSE);
        if is_worth {
            *asked = Some(Instant::now());
        }
        is_worth
    }

    fn urls(&self) -> Vec<String> {
        let state = self.lock();
        let mut urls: Vec<String> = state
            .trust
            .iter()
            .flat_map(|trust| &trust.believed)
            .filter_map(|(_, url)| url.clone())
            .collect();
        urls.dedup();
        urls
    }

    fn put(&self, url: String, keys: JwkSet) {
        let mut state = self.lock();
        if state.fetched.get(&url) == Some(&keys) {
            return;
        }
        tracing::info!(url, keys = keys.keys.len(), "a key set has changed");
        state.fetched.insert(url, keys);
        if let Some(fetching) = &state.trust
            && let Some(trust) = fetching.trust.upgrade()
        {
            trust.replace(&verifiers(&fetching.believed, &state.fetched));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeySource for KeySets {
    fn refresh(&self) -> KeyRefresh<'_> {
        Box::pin(async {
            let mut waited_for = self.waited_for.subscribe();
            if self.is_worth_a_look() {
                self.waited_for.send_replace(true);
                self.wanted.notify_one();
            }
            // However many wait, one look serves them all; where there is none to come, this is
            // over at once.
            let _ = timeout(WAIT, waited_for.wait_for(|waited_for| !waited_for)).await;
        })
    }
}

fn verifiers(
    believed: &[(Verifier, Option<String>)],
    fetched: &HashMap<String, JwkSet>,
) -> Vec<Verifier> {
    let with_keys = |(verifier, url): &(Verifier, Option<String>)| match url
        .as_ref()
        .and_then(|url| fetched.get(url))
    {
        Some(keys) => verifier.clone().trusting_keys(keys),
        None => verifier.clone(),
    };
    believed.iter().map(with_keys).collect()
}

fn fetch(url: &str) -> Result<JwkSet, String> {
    let text = crate::fetch::get(url).map_err(|failure| failure.to_string())?;
    let keys = JwkSet::from_json(&text).map_err(|error| error.to_string())?;
    // An empty set would end everybody's work, and is an accident.
    if keys.keys.is_empty() {
        Err("the key set has no keys".to_owned())
    } else {
        Ok(keys)
    }
}
