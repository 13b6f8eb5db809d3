//! What counts for tags: which are immutable, and what their history records.

use std::sync::Arc;

use tag_rules::ImmutabilityRules;

/// What counts for tags.
#[derive(Clone)]
pub struct TagSettings {
    /// The rules that make tags immutable.
    pub immutable: Arc<dyn ImmutableTagSource>,
    /// How an account is written into the history of tags. `None`: nothing is written there.
    pub history: Option<Arc<dyn HistoryNames>>,
}

/// Where the rules come from that make tags immutable. They may change while the registry serves.
pub trait ImmutableTagSource: Send + Sync {
    /// The rules as they are now, as one set. `None` if they are not known yet; then tags cannot be
    /// changed.
    fn current(&self) -> Option<ImmutabilityRules>;
}

/// How accounts are written into the history of tags.
pub trait HistoryNames: Send + Sync {
    /// What is written: the name, a hash of it, or nothing.
    fn recorded(&self, account: &str) -> String;
}

impl ImmutableTagSource for ImmutabilityRules {
    fn current(&self) -> Option<ImmutabilityRules> {
        Some(self.clone())
    }
}

impl Default for TagSettings {
    /// No tag is immutable, and there is no history.
    fn default() -> Self {
        Self {
            immutable: Arc::new(ImmutabilityRules::default()),
            history: None,
        }
    }
}
