//! The rules as a policy of the token server.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use auth::{AclAuthorizer, AuthorizeError, Authorizer, Decision, RuleSet};
use common::BoxFuture;
use identity::LoginSource;
use policy::{AclOptions, AclQuery};
use tokio::task::{AbortHandle, spawn_blocking};

use crate::SECTION;
use crate::changes::{ChangeCounter, RuleChanges};
use crate::listed_rule::RuleListError;
use crate::rule_list::{RuleList, compile};

/// The pause after rules could not be loaded.
const PAUSE: Duration = Duration::from_secs(1);

/// The rules of a [`RuleList`], in memory. They are swapped as a whole: if they cannot be loaded,
/// those of the last load stay in force.
///
/// With no rules it has no answer, and the next policy is asked.
pub struct DatabaseRules {
    shared: Arc<SharedRules>,
    _follower: Option<FollowerTask>,
}

/// The task that loads the rules again. It ends when this is dropped.
struct FollowerTask(AbortHandle);

struct SharedRules {
    list: RuleList,
    options: AclOptions,
    loaded: ArcSwapOption<LoadedAcl>,
    /// Held during a load, so that an older one cannot end after a newer one.
    loading: tokio::sync::Mutex<()>,
}

struct LoadedAcl {
    authorizer: AclAuthorizer,
    count: usize,
}

impl DatabaseRules {
    /// The rules of `list`, which are loaded when they are first needed: for a command.
    #[must_use]
    pub fn new(list: RuleList, options: AclOptions) -> Self {
        Self {
            shared: Arc::new(SharedRules {
                list,
                options,
                loaded: ArcSwapOption::empty(),
                loading: tokio::sync::Mutex::default(),
            }),
            _follower: None,
        }
    }

    /// The same for a server: they are loaded now, and again after each change that `changes` counts,
    /// until this is dropped. It must be called in a tokio runtime.
    #[must_use]
    pub fn following(list: RuleList, options: AclOptions, changes: &ChangeCounter) -> Self {
        let rules = Self::new(list, options);
        let follower = follow(Arc::clone(&rules.shared), changes.rules());
        Self {
            _follower: Some(FollowerTask(tokio::spawn(follower).abort_handle())),
            ..rules
        }
    }
}

impl Drop for FollowerTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Authorizer for DatabaseRules {
    fn name(&self) -> &'static str {
        SECTION
    }

    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>> {
        Box::pin(async move {
            // The requests just after a start wait for the first load.
            let loaded = match self.shared.loaded.load_full() {
                Some(loaded) => loaded,
                None => self.shared.load().await.map_err(failed)?,
            };
            loaded.authorizer.decide(query, source).await
        })
    }

    fn rules(&self) -> Option<Arc<dyn RuleSet>> {
        let loaded = self.shared.loaded.load();
        loaded.as_ref().and_then(|loaded| loaded.authorizer.rules())
    }

    fn load(&self) -> BoxFuture<'_, Result<(), AuthorizeError>> {
        Box::pin(async {
            self.shared.load().await.map_err(failed)?;
            Ok(())
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, AuthorizeError>> {
        Box::pin(async {
            let loaded = self.shared.load().await.map_err(failed)?;
            Ok(Some(format!("{} rules in the database", loaded.count)))
        })
    }
}

impl SharedRules {
    /// Reads the rules, compiles them, and puts them in the place of those before.
    async fn load(&self) -> Result<Arc<LoadedAcl>, RuleListError> {
        let _loading = self.loading.lock().await;
        let (listed, options) = (self.list.list().await?, self.options);
        // On another thread, because thousands of patterns take a while.
        let compiled = spawn_blocking(move || {
            let acl = compile(&listed, options)?;
            let places = listed.iter().map(|rule| format!("rule#{}", rule.number));
            Ok::<_, RuleListError>(LoadedAcl {
                authorizer: AclAuthorizer::new(SECTION, acl, places.collect()),
                count: listed.len(),
            })
        });
        let loaded = match compiled.await {
            Ok(compiled) => Arc::new(compiled?),
            Err(_) => return Err(database::Error::Closed.into()),
        };
        self.loaded.store(Some(Arc::clone(&loaded)));
        Ok(loaded)
    }
}

/// Loads the rules after each change.
async fn follow(shared: Arc<SharedRules>, mut changes: RuleChanges) {
    let mut is_failing = false;
    loop {
        // Read first: a change during the load is loaded, too.
        let seen = changes.count();
        match shared.load().await {
            Ok(loaded) => {
                is_failing = false;
                tracing::debug!(rules = loaded.count, "rules of the database were loaded");
            }
            Err(error) => {
                if !is_failing {
                    let error = &error as &dyn Error;
                    tracing::error!(
                        error,
                        "rules of the database cannot be loaded: those of the last load stay in force"
                    );
                }
                is_failing = true;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        }
        if !changes.differ_from(seen).await {
            return;
        }
    }
}

fn failed(error: RuleListError) -> AuthorizeError {
    let source = error.into();
    AuthorizeError::Policy {
        policy: SECTION,
        source,
    }
}
