//! Immutable tags and the history of tags, as a running server has them.

use std::sync::Arc;
use std::time::Duration;

use audit::Pseudonyms;
use common::Clock;
use database::Database;
use immutable_tags::{ImmutableTagList, StoredImmutableTags};
use registry::{HistoryNames, ImmutableTagSource, TagSettings};
use storage::Storage;
use tag_rules::ImmutabilityRules;

use super::collection::IsReadOnly;
use crate::config::TagsConfig;

/// How often old changes are removed from the history.
const EVERY: Duration = Duration::from_secs(3600);
/// How many are removed in one transaction.
const AT_ONCE: u32 = 1000;

/// The rules of the configuration, and those of the database.
struct AllImmutableTags {
    configured: ImmutabilityRules,
    stored: StoredImmutableTags,
}

/// Accounts as the audit table would record them.
struct RecordedNames(Option<Arc<Pseudonyms>>);

/// The rules of `database`, which are loaded again after each change.
pub(super) async fn stored_rules(
    database: &Database,
    clock: &Arc<dyn Clock>,
) -> StoredImmutableTags {
    let list = ImmutableTagList::new(database.clone(), Arc::clone(clock));
    StoredImmutableTags::start(list, database.clone()).await
}

/// All rules that make tags immutable.
pub(super) fn all_immutable(
    config: &TagsConfig,
    stored: &StoredImmutableTags,
) -> Arc<dyn ImmutableTagSource> {
    Arc::new(AllImmutableTags {
        configured: config.immutable.clone(),
        stored: stored.clone(),
    })
}

/// What counts for the tags of a registry: the rules of its configuration and of its database, and how
/// `names` records accounts.
pub(super) fn tag_settings(
    config: &TagsConfig,
    stored: &StoredImmutableTags,
    names: Option<Arc<Pseudonyms>>,
) -> TagSettings {
    let history = config.history.map(|_| {
        let names: Arc<dyn HistoryNames> = Arc::new(RecordedNames(names));
        names
    });
    TagSettings {
        immutable: all_immutable(config, stored),
        history,
    }
}

/// Removes changes that are older than `keep` from the history, again and again.
pub(super) async fn forget(storage: Storage, keep: Option<Duration>, is_read_only: IsReadOnly) {
    // Without a history, what was recorded before goes in time, too.
    let keep = keep.unwrap_or(TagsConfig::KEEP);
    loop {
        tokio::time::sleep(EVERY).await;
        while !is_read_only() {
            match storage
                .tag_history()
                .forget_tag_changes(keep, AT_ONCE)
                .await
            {
                Ok(forgotten) if forgotten == u64::from(AT_ONCE) => {}
                // The registry is being moved.
                Ok(_) | Err(storage::Error::ReadOnly) => break,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        error,
                        "old changes of tags cannot be removed from their history"
                    );
                    break;
                }
            }
        }
    }
}

impl ImmutableTagSource for AllImmutableTags {
    fn current(&self) -> Option<ImmutabilityRules> {
        Some(self.configured.and(&self.stored.current()?))
    }
}

impl HistoryNames for RecordedNames {
    fn recorded(&self, account: &str) -> String {
        match &self.0 {
            Some(names) => names.account(account).into_owned(),
            None => account.to_owned(),
        }
    }
}
