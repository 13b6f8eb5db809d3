//! Plans: for each tag, whether it stays, and why.

use std::collections::HashSet;
use std::time::Duration;

use oci::{Digest, RepositoryName};
use retention::{
    KeepReason, RankedRules, ReferrerTag, RemovalReason, RetentionRules, RetentionTerms,
    TagDecision, TagState,
};
use tag_rules::ImmutabilityRules;

use crate::{Error, ListPage, PageRequest, Storage, TombstoneTerms};

/// Tags that are read at once.
const PAGE: u32 = 1000;
/// Manifests that are looked at to decide about a tag that belongs to one, and tags of each. If there
/// are more, the tag stays.
const RELATED: usize = 64;
const RELATED_TAGS: u32 = 1000;

/// What retention goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// What is kept.
    pub rules: RetentionRules,
    /// Which tags are immutable. They stay.
    pub immutable: ImmutabilityRules,
    /// How long a tag stays after its manifest was pushed, or asked for by a client that may push: the
    /// grace time of collection.
    pub lease: Duration,
    /// What tombstones of removed tags say.
    pub tombstones: TombstoneTerms,
}

/// The plan for the tags of a repository, page by page.
#[derive(Debug)]
pub struct RepositoryPlan<'a> {
    storage: &'a Storage,
    policy: &'a RetentionPolicy,
    repository: RepositoryName,
    ranked: RankedRules<'a>,
    after: Option<String>,
    is_complete: bool,
    /// Whether the manifest that was looked at last loses its last tag. Tags of one manifest follow
    /// each other.
    last_related: Option<(Digest, bool)>,
}

/// Some tags of a repository, each with what is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanPage {
    /// The repository.
    pub repository: RepositoryName,
    /// Its tags, sorted by their bytes.
    pub tags: Vec<PlannedTag>,
}

/// What is planned for a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTag {
    /// The tag, and what was known of it.
    pub state: TagState,
    /// Whether it stays, and why.
    pub decision: TagDecision,
}

/// A tag that is to go.
#[derive(Clone, Copy, Debug)]
pub struct PlannedRemoval<'a> {
    /// The repository.
    pub repository: &'a RepositoryName,
    /// The tag.
    pub state: &'a TagState,
    /// Why it goes.
    pub reason: &'a RemovalReason,
}

impl Storage {
    /// The plan for a repository: what is kept of it and what goes, now. Nothing is changed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn plan_retention<'a>(
        &'a self,
        policy: &'a RetentionPolicy,
        repository: &RepositoryName,
    ) -> Result<RepositoryPlan<'a>, Error> {
        let recording = self.shared.metadata.pull_times.recording().await?;
        let terms = RetentionTerms {
            now: recording.now,
            lease: policy.lease,
            pulls_recorded_since: recording.since,
        };
        let mut ranking = policy.rules.ranking(repository, terms);
        let mut after = None;
        while !ranking.is_complete() {
            let page = self.tag_states(repository, after).await?;
            page.entries.iter().for_each(|state| ranking.add(state));
            after = page.entries.last().map(|state| state.tag.to_string());
            if !page.more {
                break;
            }
        }
        Ok(RepositoryPlan {
            storage: self,
            policy,
            repository: repository.clone(),
            ranked: ranking.finish(),
            after: None,
            is_complete: false,
            last_related: None,
        })
    }

    async fn tag_states(
        &self,
        repository: &RepositoryName,
        after: Option<String>,
    ) -> Result<ListPage<TagState>, Error> {
        let page = PageRequest { after, limit: PAGE };
        let store = &self.shared.metadata.retention;
        store.tag_states(repository, page).await
    }
}

impl RepositoryPlan<'_> {
    /// The next tags. `None` after the last.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn next(&mut self) -> Result<Option<PlanPage>, Error> {
        if self.is_complete {
            return Ok(None);
        }
        let after = self.after.take();
        let page = self.storage.tag_states(&self.repository, after).await?;
        self.after = page.entries.last().map(|state| state.tag.to_string());
        self.is_complete = !page.more;
        let mut tags = Vec::with_capacity(page.entries.len());
        for state in page.entries {
            let decision = self.decide(&state).await?;
            tags.push(PlannedTag { state, decision });
        }
        Ok(Some(PlanPage {
            repository: self.repository.clone(),
            tags,
        }))
    }

    /// The size of the image that loses its last tag with this one, in bytes. `None`: a tag that stays
    /// points at it, or it is counted with another tag that goes. Its blobs may be in other images, too.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn released_size(&mut self, planned: &PlannedTag) -> Result<Option<u64>, Error> {
        if matches!(planned.decision, TagDecision::Keep(_)) {
            return Ok(None);
        }
        let (store, digest) = (
            &self.storage.shared.metadata.retention,
            planned.state.digest,
        );
        let found = store
            .manifest_tags(&self.repository, &digest, RELATED_TAGS)
            .await?;
        let is_first = found.tags.first().map(|state| &state.tag) == Some(&planned.state.tag);
        if !is_first || found.more {
            return Ok(None);
        }
        for state in &found.tags {
            if matches!(self.decide(state).await?, TagDecision::Keep(_)) {
                return Ok(None);
            }
        }
        let sizes = store.image_sizes(&self.repository, vec![digest]).await?;
        Ok(sizes.first().copied())
    }

    async fn decide(&mut self, state: &TagState) -> Result<TagDecision, Error> {
        let immutable = self
            .policy
            .immutable
            .protecting(&self.repository, &state.tag);
        let Some(belongs) = ReferrerTag::of(&state.tag) else {
            return Ok(self.ranked.decide(state, immutable));
        };
        if let Some(reason) = self.ranked.protection(state, immutable) {
            return Ok(TagDecision::Keep(reason));
        }
        let ReferrerTag::Of(subject) = belongs else {
            return Ok(TagDecision::Keep(KeepReason::BelongsTo { subject: None }));
        };
        let goes = match self.last_related {
            Some((last, goes)) if last == subject => goes,
            _ => self.loses_last_tag(subject).await?,
        };
        self.last_related = Some((subject, goes));
        Ok(match goes {
            true => TagDecision::Remove(RemovalReason::BelongsTo { subject }),
            false => TagDecision::Keep(KeepReason::BelongsTo {
                subject: Some(subject),
            }),
        })
    }

    /// Whether a manifest loses its last tag by the plan, or lost it by a plan that is under way. A tag
    /// of it may belong to another manifest, which then decides.
    async fn loses_last_tag(&self, manifest: Digest) -> Result<bool, Error> {
        let (mut seen, mut next) = (HashSet::new(), vec![manifest]);
        let mut goes = false;
        while let Some(digest) = next.pop() {
            if !seen.insert(digest) {
                continue;
            }
            let store = &self.storage.shared.metadata.retention;
            let found = store
                .manifest_tags(&self.repository, &digest, RELATED_TAGS)
                .await?;
            let is_untagged = found.tags.is_empty() && !found.is_held;
            if !found.exists || found.more || is_untagged || seen.len() > RELATED {
                return Ok(false);
            }
            goes |= found.tags.is_empty();
            for state in &found.tags {
                let immutable = self
                    .policy
                    .immutable
                    .protecting(&self.repository, &state.tag);
                match ReferrerTag::of(&state.tag) {
                    None => match self.ranked.decide(state, immutable) {
                        TagDecision::Keep(_) => return Ok(false),
                        TagDecision::Remove(_) => goes = true,
                    },
                    Some(ReferrerTag::Of(other))
                        if self.ranked.protection(state, immutable).is_none() =>
                    {
                        next.push(other);
                    }
                    Some(_) => return Ok(false),
                }
            }
        }
        Ok(goes)
    }
}

impl PlanPage {
    /// The tags that go.
    pub fn removals(&self) -> impl Iterator<Item = PlannedRemoval<'_>> {
        self.tags
            .iter()
            .filter_map(|planned| match &planned.decision {
                TagDecision::Keep(_) => None,
                TagDecision::Remove(reason) => Some(PlannedRemoval {
                    repository: &self.repository,
                    state: &planned.state,
                    reason,
                }),
            })
    }
}
