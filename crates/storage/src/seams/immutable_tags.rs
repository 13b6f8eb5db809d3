//! The rules of one repository, as every store of metadata applies them.

use oci::{Digest, RepositoryName, Tag};
use tag_rules::{ImmutabilityRule, ImmutabilityRules};

use crate::{Error, ImmutableTag};

/// The tags of one repository that may not move or go.
pub(crate) struct ImmutableTags<'a> {
    repository: &'a RepositoryName,
    rules: Vec<&'a ImmutabilityRule>,
}

impl<'a> ImmutableTags<'a> {
    pub(crate) fn new(rules: &'a ImmutabilityRules, repository: &'a RepositoryName) -> Self {
        Self {
            repository,
            rules: rules.of(repository).collect(),
        }
    }

    /// Whether no tag of the repository is immutable.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules of the repository.
    pub(crate) fn rules(&self) -> &[&'a ImmutabilityRule] {
        &self.rules
    }

    /// Whether this tag is immutable.
    pub(crate) fn covers(&self, tag: &Tag) -> bool {
        self.rules.iter().any(|rule| rule.covers(tag))
    }

    /// Fails if a tag is immutable, which points at `digest` and would move or go.
    pub(crate) fn check(&self, tag: &Tag, digest: Digest) -> Result<(), Error> {
        match self.rules.iter().find(|rule| rule.covers(tag)) {
            Some(rule) => Err(Error::TagImmutable(Box::new(ImmutableTag {
                repository: self.repository.clone(),
                tag: tag.clone(),
                digest,
                rule: rule.origin.clone(),
            }))),
            None => Ok(()),
        }
    }
}
