//! Rules that are kept in a database: read again and again, and swapped as a whole.
//!
//! - A load that fails, or that has a wrong rule in it, changes nothing. The rules that were loaded
//!   before stay in force, and the log says which rule is wrong.
//! - Until the first load has succeeded, and when the rules are older than
//!   [`MaxStale`] allows, requests that need them get 503.
//! - Requests never wait for a load.

mod compile;
mod document;

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use common::{BoxFuture, Clock};
use identity::LoginSource;
use policy::{Acl, AclOptions, AclQuery};
use serde_json::Value;
use tokio::task::{AbortHandle, spawn_blocking};

pub use self::document::{RuleDocumentError, read_rule};

use self::compile::compile;
use super::acl::Rules;
use super::{AuthorizeError, Authorizer, Decision, RuleSet};

/// Where rules are kept: a table, a collection.
pub trait RuleStore: Send + Sync {
    /// The store's section in the configuration.
    fn name(&self) -> &'static str;

    /// All rules, in any order. It ends within a time limit of its own.
    ///
    /// # Errors
    /// When the store cannot be read, or what it has is not rules.
    fn read(&self) -> BoxFuture<'_, Result<Vec<StoredRule>, RuleStoreError>>;

    /// What `read` would find, for `check --connect`. Nothing in the store is changed, so a store whose
    /// `read` adds what is missing has a method of its own.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn probe(&self) -> BoxFuture<'_, Result<ProbedRules, RuleStoreError>> {
        Box::pin(async { self.read().await.map(ProbedRules::Rules) })
    }
}

/// What a store has, found out without changing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbedRules {
    /// The rules.
    Rules(Vec<StoredRule>),
    /// There is no place for them yet. The text says what is missing, and what the server does about it.
    Missing(String),
}

/// A rule in its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRule {
    /// Its place in the order. The lowest is asked first.
    pub seq: i64,
    /// The rule, as JSON: `{"match": {…}, "actions": […], "comment": …}`.
    pub rule: Value,
}

/// Why rules cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RuleStoreError {
    /// The store cannot be reached, or does not answer in time.
    #[error("the rules cannot be read now")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The store answers, and its answer makes no sense.
    #[error("the rules cannot be read")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// Some of the rules are wrong. The text has the `seq` of each.
    #[error("{}", compile::list(.0))]
    Rules(Vec<String>),
}

/// How rules from a store are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRulesSettings {
    /// How their patterns are read.
    pub options: AclOptions,
    /// The time between two loads.
    pub refresh: Duration,
    /// How old the rules may be.
    pub max_stale: MaxStale,
}

/// How long rules decide that cannot be refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    /// Until new ones can be loaded.
    Unlimited,
    /// So long; then requests get 503.
    Limited(Duration),
}

/// The rules of a [`RuleStore`], which [`start`](Self::start) keeps up to date until this is
/// dropped.
pub struct StoredRules {
    shared: Arc<Shared>,
    refresher: Mutex<Option<AbortHandle>>,
}

struct Shared {
    store: Box<dyn RuleStore>,
    settings: StoredRulesSettings,
    clock: Arc<dyn Clock>,
    loaded: ArcSwapOption<LoadedRules>,
    /// Held during a load, so that an older one cannot end after a newer one.
    loading: tokio::sync::Mutex<()>,
}

struct LoadedRules {
    /// What was read, to see whether anything changed.
    stored: Arc<[StoredRule]>,
    rules: Arc<Rules>,
    at: SystemTime,
}

/// Why there are no rules to decide with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NoRules {
    #[error("its rules have not been loaded yet")]
    NotLoaded,
    #[error("its rules were last loaded {} seconds ago, and max_stale is {} seconds", age.as_secs(), max.as_secs())]
    Stale { age: Duration, max: Duration },
}

/// The longest pause after a load that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How many rules a store may have.
pub const MAX_STORED_RULES: usize = 100_000;

impl StoredRules {
    /// The rules of `store`. None are loaded yet.
    #[must_use]
    pub fn new(
        store: impl RuleStore + 'static,
        settings: StoredRulesSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                store: Box::new(store),
                settings,
                clock,
                loaded: ArcSwapOption::empty(),
                loading: tokio::sync::Mutex::default(),
            }),
            refresher: Mutex::default(),
        }
    }

    /// Loads the rules now, and again after each `refresh`. A load that fails is repeated sooner.
    pub fn start(&self) {
        let shared = Arc::clone(&self.shared);
        let refresher = tokio::spawn(async move {
            let mut failures = 0;
            loop {
                let pause = match shared.load().await {
                    Ok(()) => {
                        failures = 0;
                        shared.settings.refresh
                    }
                    Err(error) => {
                        failures += 1;
                        shared.log_failure(&error);
                        pause(failures).min(shared.settings.refresh)
                    }
                };
                tokio::time::sleep(pause).await;
            }
        });
        if let Some(before) = self.slot().replace(refresher.abort_handle()) {
            before.abort();
        }
    }

    /// How long ago the rules were last read from their store, for a metric. `None` if they never
    /// were.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let loaded = self.shared.loaded.load();
        loaded.as_ref().map(|loaded| self.shared.age(loaded))
    }

    /// How many rules there are. `None` if they were never read.
    #[must_use]
    pub fn count(&self) -> Option<usize> {
        let loaded = self.shared.loaded.load();
        loaded.as_ref().map(|loaded| loaded.stored.len())
    }

    /// Whether there are rules that may decide: they were loaded, and are not too old.
    #[must_use]
    pub fn can_decide(&self) -> bool {
        self.shared.current().is_ok()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        self.refresher
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StoredRules {
    fn drop(&mut self) {
        if let Some(refresher) = self.slot().take() {
            refresher.abort();
        }
    }
}

impl Authorizer for StoredRules {
    fn name(&self) -> &'static str {
        self.shared.store.name()
    }

    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>> {
        let decision = match self.shared.current() {
            Ok(rules) => Ok(rules.decide(query)),
            Err(error) => Err(AuthorizeError::Unavailable {
                policy: self.name(),
                source: error.into(),
            }),
        };
        Box::pin(std::future::ready(decision))
    }

    fn rules(&self) -> Option<Arc<dyn RuleSet>> {
        let rules = self.shared.current().ok()?;
        Some(rules as Arc<dyn RuleSet>)
    }

    fn load(&self) -> BoxFuture<'_, Result<(), AuthorizeError>> {
        Box::pin(async {
            let policy = self.name();
            self.shared
                .load()
                .await
                .map_err(|error| failed(policy, error))
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, AuthorizeError>> {
        Box::pin(async {
            let probed = self.shared.probe().await;
            probed.map(Some).map_err(|error| failed(self.name(), error))
        })
    }
}

fn failed(policy: &'static str, error: RuleStoreError) -> AuthorizeError {
    match error {
        RuleStoreError::Unavailable(_) => AuthorizeError::Unavailable {
            policy,
            source: error.into(),
        },
        RuleStoreError::Broken(_) | RuleStoreError::Rules(_) => AuthorizeError::Policy {
            policy,
            source: error.into(),
        },
    }
}

/// The rules in the order in which they are asked, if there are not too many.
fn in_order(mut stored: Vec<StoredRule>) -> Result<Vec<StoredRule>, RuleStoreError> {
    if stored.len() > MAX_STORED_RULES {
        let found = stored.len();
        return Err(RuleStoreError::Broken(
            format!("{found} rules: at most {MAX_STORED_RULES} are supported").into(),
        ));
    }
    stored.sort_by_key(|rule| rule.seq);
    Ok(stored)
}

impl Shared {
    /// The rules that decide now.
    fn current(&self) -> Result<Arc<Rules>, NoRules> {
        let loaded = self.loaded.load();
        let loaded = loaded.as_ref().ok_or(NoRules::NotLoaded)?;
        if let MaxStale::Limited(max) = self.settings.max_stale {
            let age = self.age(loaded);
            if age > max {
                return Err(NoRules::Stale { age, max });
            }
        }
        Ok(Arc::clone(&loaded.rules))
    }

    fn age(&self, loaded: &LoadedRules) -> Duration {
        let now = self.clock.now();
        now.duration_since(loaded.at).unwrap_or_default()
    }

    /// Reads the rules, compiles them, and puts them in the place of those before.
    async fn load(&self) -> Result<(), RuleStoreError> {
        let _loading = self.loading.lock().await;
        let at = self.clock.now();
        let stored = in_order(self.store.read().await?)?;
        let before = self.loaded.load_full();
        let unchanged = before.filter(|before| *before.stored == *stored);
        if let Some(before) = unchanged {
            self.loaded.store(Some(Arc::new(LoadedRules {
                stored: Arc::clone(&before.stored),
                rules: Arc::clone(&before.rules),
                at,
            })));
            return Ok(());
        }
        let loaded = Arc::new(self.compile(stored.into(), at).await?);
        self.loaded.store(Some(Arc::clone(&loaded)));
        self.log_change(&loaded.stored, &loaded.rules.acl);
        Ok(())
    }

    /// What the rules are, which decide nothing after this.
    async fn probe(&self) -> Result<String, RuleStoreError> {
        let stored = match self.store.probe().await? {
            ProbedRules::Rules(stored) => in_order(stored)?,
            ProbedRules::Missing(what) => return Ok(what),
        };
        let count = stored.len();
        self.compile(stored.into(), self.clock.now()).await?;
        Ok(format!("{count} rules"))
    }

    /// Compiles rules on another thread, because thousands of patterns take a while.
    async fn compile(
        &self,
        stored: Arc<[StoredRule]>,
        at: SystemTime,
    ) -> Result<LoadedRules, RuleStoreError> {
        let (rules, options) = (Arc::clone(&stored), self.settings.options);
        let compiled = spawn_blocking(move || compile(&rules, options));
        let acl = match compiled.await {
            Ok(acl) => acl.map_err(RuleStoreError::Rules)?,
            Err(error) => return Err(RuleStoreError::Broken(error.into())),
        };
        let policy = self.store.name();
        let place = |rule: &StoredRule| format!("{policy} seq {}", rule.seq).into();
        let places = stored.iter().map(place).collect();
        let rules = Arc::new(Rules {
            name: policy,
            acl,
            places,
        });
        Ok(LoadedRules { stored, rules, at })
    }

    /// Logs that there are other rules now, and what is probably not intended in them.
    fn log_change(&self, stored: &[StoredRule], acl: &Acl) {
        let policy = self.store.name();
        if stored.is_empty() {
            tracing::warn!(policy, "there are no rules: this policy grants nothing");
            return;
        }
        tracing::info!(policy, rules = stored.len(), "rules were loaded");
        for (seq, doubt) in compile::doubts(stored, acl) {
            tracing::warn!(policy, seq, doubt, "a rule is probably not what is meant");
        }
    }

    fn log_failure(&self, error: &RuleStoreError) {
        let policy = self.store.name();
        let error = error as &dyn Error;
        let loaded = self.loaded.load();
        match loaded.as_ref() {
            Some(loaded) => {
                let age_seconds = self.age(loaded).as_secs();
                tracing::error!(
                    policy,
                    age_seconds,
                    error,
                    "rules cannot be loaded: those of the last load stay in force"
                );
            }
            None => tracing::error!(
                policy,
                error,
                "rules cannot be loaded: requests that need them get 503"
            ),
        }
    }
}

/// The pause after so many failed loads in a row.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(5);
    Duration::from_secs(1 << doublings).min(LONGEST_PAUSE)
}
