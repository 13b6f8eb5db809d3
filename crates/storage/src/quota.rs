//! Quotas: how much the repositories below a prefix may use, and whether there is room for a change.
//!
//! A repository counts for each prefix above it. Bytes are those of each blob once within the prefix,
//! however many of its repositories have it, and those of each manifest in each repository. Content
//! that was deleted counts until its rows are removed; a tag that was removed counts no more.
//!
//! ```
//! use storage::{Quota, Quotas};
//!
//! let quota = Quota { prefix: "team".parse().unwrap(), max_bytes: Some(1 << 30), max_tags: None, warn_at: Some(80) };
//! let quotas = Quotas::new(vec![quota]).unwrap();
//! assert!(!quotas.of(&"team/app".parse().unwrap()).is_empty());
//! assert!(quotas.of(&"team2".parse().unwrap()).is_empty());
//! ```

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use oci::{RepositoryName, RepositoryNameError};

/// What repositories use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaUsage {
    /// Bytes of blobs and manifests.
    pub bytes: u64,
    /// Tags.
    pub tags: u64,
}

/// The repositories that a quota is for: one with this name, and all whose names begin with these
/// components; or all repositories. So `team` covers `team` and `team/app`, not `team2`. As text, all
/// repositories are `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaPrefix(String);

impl QuotaPrefix {
    /// The prefix of all repositories.
    #[must_use]
    pub fn all() -> Self {
        Self(String::new())
    }

    /// Whether it covers this repository.
    #[must_use]
    pub fn covers(&self, repository: &RepositoryName) -> bool {
        match repository.as_str().strip_prefix(&self.0) {
            Some(rest) => self.0.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// As the rows have it: empty for all repositories.
    pub(crate) fn stored(&self) -> &str {
        &self.0
    }

    /// A prefix from a row.
    pub(crate) fn from_stored(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<RepositoryName> for QuotaPrefix {
    fn from(name: RepositoryName) -> Self {
        Self(name.as_str().to_owned())
    }
}

impl FromStr for QuotaPrefix {
    type Err = RepositoryNameError;

    fn from_str(text: &str) -> Result<Self, RepositoryNameError> {
        match text {
            "" | "*" => Ok(Self::all()),
            name => Ok(name.parse::<RepositoryName>()?.into()),
        }
    }
}

impl fmt::Display for QuotaPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "*" } else { &self.0 })
    }
}

/// The limits of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The prefix.
    pub prefix: QuotaPrefix,
    /// How many bytes may be used, if they are limited.
    pub max_bytes: Option<u64>,
    /// How many tags there may be, if they are limited.
    pub max_tags: Option<u64>,
    /// From which share of a limit a change is reported, in percent. `None`: none is.
    pub warn_at: Option<u8>,
}

impl Quota {
    fn limit(&self, resource: QuotaResource) -> Option<u64> {
        match resource {
            QuotaResource::Bytes => self.max_bytes,
            QuotaResource::Tags => self.max_tags,
        }
    }
}

/// The quotas of a registry. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Quotas(Arc<HashMap<String, Arc<Quota>>>);

/// Two quotas have the same prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are two quotas for {0}: write its limits into one")]
pub struct DuplicateQuota(pub QuotaPrefix);

impl Quotas {
    /// These quotas.
    ///
    /// # Errors
    /// [`DuplicateQuota`].
    pub fn new(quotas: Vec<Quota>) -> Result<Self, DuplicateQuota> {
        let mut by_prefix = HashMap::with_capacity(quotas.len());
        for quota in quotas {
            let prefix = quota.prefix.clone();
            if by_prefix
                .insert(prefix.0.clone(), Arc::new(quota))
                .is_some()
            {
                return Err(DuplicateQuota(prefix));
            }
        }
        Ok(Self(Arc::new(by_prefix)))
    }

    /// Those that cover a repository. It looks up each prefix of the name, so the number of quotas does
    /// not matter.
    #[must_use]
    pub fn of(&self, repository: &RepositoryName) -> RepositoryQuotas {
        if self.0.is_empty() {
            return RepositoryQuotas::default();
        }
        let name = repository.as_str();
        let prefixes = above(name).chain([name]);
        RepositoryQuotas(prefixes.filter_map(|it| self.0.get(it).cloned()).collect())
    }

    /// Those of the prefixes above one, outermost first: what is stored below it counts for them, too.
    pub fn above(&self, prefix: &QuotaPrefix) -> impl Iterator<Item = &Quota> {
        above(&prefix.0).filter_map(move |it| self.0.get(it).map(Arc::as_ref))
    }

    /// Whether there is no quota.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The prefixes, in their order.
    #[must_use]
    pub fn prefixes(&self) -> Vec<QuotaPrefix> {
        let mut prefixes: Vec<_> = self.0.values().map(|quota| quota.prefix.clone()).collect();
        prefixes.sort_unstable();
        prefixes
    }

    /// All quotas, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Quota> {
        self.0.values().map(Arc::as_ref)
    }
}

/// The prefixes above a prefix, as they are stored, outermost first.
fn above(prefix: &str) -> impl Iterator<Item = &str> {
    let all = (!prefix.is_empty()).then_some("");
    let parts = prefix.match_indices('/');
    let parts = parts.map(move |(end, _)| &prefix[..end]);
    all.into_iter().chain(parts)
}

/// The quotas that cover one repository, outermost first. By default, there are no quotas.
#[derive(Clone, Debug, Default)]
pub struct RepositoryQuotas(Vec<Arc<Quota>>);

impl RepositoryQuotas {
    /// Whether the repository has no quota.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The quotas, outermost first.
    pub fn iter(&self) -> impl Iterator<Item = &Quota> {
        self.0.iter().map(Arc::as_ref)
    }

    /// Their prefixes, outermost first.
    #[must_use]
    pub fn prefixes(&self) -> Vec<QuotaPrefix> {
        self.iter().map(|quota| quota.prefix.clone()).collect()
    }

    /// The prefixes that limit a resource, outermost first.
    pub(crate) fn prefixes_of(&self, resource: QuotaResource) -> Vec<QuotaPrefix> {
        let limited = self.iter().filter(|it| it.limit(resource).is_some());
        limited.map(|quota| quota.prefix.clone()).collect()
    }

    /// For how many bytes there is room, if each prefix uses what `changes` say.
    pub(crate) fn room(&self, changes: &[UsageChange]) -> QuotaRoom {
        let left = self.iter().filter_map(|quota| {
            let change = changes.iter().find(|it| it.prefix == quota.prefix)?;
            let limit = quota.max_bytes?;
            Some(QuotaRoom::Bytes(limit.saturating_sub(change.used.bytes)))
        });
        left.min().unwrap_or(QuotaRoom::Unlimited)
    }

    /// Whether a change may add what it adds: `changes` are those of the prefixes, in any order.
    ///
    /// # Errors
    /// [`QuotaExceeded`] for the outermost prefix that does not have room.
    pub(crate) fn check(
        &self,
        changes: &[UsageChange],
    ) -> Result<Vec<QuotaWarning>, QuotaExceeded> {
        let mut warnings = Vec::new();
        for quota in self.iter() {
            let Some(change) = changes.iter().find(|it| it.prefix == quota.prefix) else {
                continue;
            };
            for resource in [QuotaResource::Bytes, QuotaResource::Tags] {
                let Some(limit) = quota.limit(resource) else {
                    continue;
                };
                let (used, added) = (change.used.of(resource), change.added.of(resource));
                if added == 0 {
                    continue;
                }
                let total = used.saturating_add(added);
                if total > limit {
                    return Err(QuotaExceeded {
                        prefix: quota.prefix.clone(),
                        resource,
                        used,
                        limit,
                        requested: added,
                        is_partial: false,
                    });
                }
                let is_near = |used: u64| {
                    let share = u128::from(quota.warn_at.unwrap_or(u8::MAX));
                    u128::from(used) * 100 >= u128::from(limit) * share
                };
                if quota.warn_at.is_some() && is_near(total) && !is_near(used) {
                    warnings.push(QuotaWarning {
                        prefix: quota.prefix.clone(),
                        resource,
                        used: total,
                        limit,
                    });
                }
            }
        }
        Ok(warnings)
    }
}

/// What a change does to the usage of a prefix.
#[derive(Clone, Debug)]
pub(crate) struct UsageChange {
    pub(crate) prefix: QuotaPrefix,
    /// What was used before it.
    pub(crate) used: QuotaUsage,
    /// What it adds.
    pub(crate) added: QuotaUsage,
}

impl QuotaUsage {
    /// How much of one resource.
    #[must_use]
    pub fn of(&self, resource: QuotaResource) -> u64 {
        match resource {
            QuotaResource::Bytes => self.bytes,
            QuotaResource::Tags => self.tags,
        }
    }
}

/// What a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaResource {
    /// Bytes of blobs and manifests.
    Bytes,
    /// Tags.
    Tags,
}

impl fmt::Display for QuotaResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Tags => "tags",
        })
    }
}

/// A change would use more than a prefix may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaExceeded {
    /// The prefix.
    pub prefix: QuotaPrefix,
    /// What it would use too much of.
    pub resource: QuotaResource,
    /// How much it uses.
    pub used: u64,
    /// How much it may use.
    pub limit: u64,
    /// How much the change would add.
    pub requested: u64,
    /// Whether that is what has come so far, of a blob whose size is not known.
    pub is_partial: bool,
}

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            prefix,
            resource,
            used,
            limit,
            requested,
            is_partial,
        } = self;
        write!(f, "the quota of {prefix} does not have room for ")?;
        if *is_partial {
            f.write_str("a blob that needs at least ")?;
        }
        let more = match (resource, requested) {
            (QuotaResource::Bytes, 1) => "byte",
            (QuotaResource::Bytes, _) => "bytes",
            (QuotaResource::Tags, 1) => "tag",
            (QuotaResource::Tags, _) => "tags",
        };
        write!(f, "{requested} more {more}: {used} of {limit} are used")
    }
}

impl std::error::Error for QuotaExceeded {}

/// A change has brought a prefix near its limit: it uses its [`Quota::warn_at`] since then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaWarning {
    /// The prefix.
    pub prefix: QuotaPrefix,
    /// What it is short of.
    pub resource: QuotaResource,
    /// How much it uses now.
    pub used: u64,
    /// How much it may use.
    pub limit: u64,
}

/// For how many bytes a repository has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaRoom {
    /// For so many.
    Bytes(u64),
    /// For any number: no quota limits them, or they are there already.
    Unlimited,
}

#[cfg(test)]
mod tests;
