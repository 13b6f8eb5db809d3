//! What is stored with a change of manifests and tags.

use storage::{ChangeAuthor, ChangeSet, ManifestChange, NewOutboxRecord};
use tag_rules::ImmutabilityRules;

/// What is stored with a change of manifests and tags, and the rules that the change must keep to.
#[derive(Clone, Debug, Default)]
pub struct ChangeDetails {
    /// Records for other systems.
    pub outbox: Vec<NewOutboxRecord>,
    /// Who is written into the history of tags. `None`: the change is not written there.
    pub author: Option<ChangeAuthor>,
    /// The tags that may not move or go.
    pub immutable: ImmutabilityRules,
}

impl ChangeDetails {
    pub(crate) fn with(self, change: ManifestChange) -> ChangeSet {
        let Self {
            outbox,
            author,
            immutable,
        } = self;
        ChangeSet {
            outbox,
            author,
            immutable,
            ..change.into()
        }
    }
}
