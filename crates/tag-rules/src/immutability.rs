//! Which tags may not move or go.

use std::fmt;
use std::sync::Arc;

use oci::{RepositoryName, Tag};

use crate::{RepositoryPattern, TagPattern};

/// A rule that makes tags immutable: once they exist, they point at the same manifest for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImmutabilityRule {
    /// Where it is written.
    pub origin: RuleOrigin,
    /// The repositories that it is for.
    pub repository: RepositoryPattern,
    /// The tags that it makes immutable.
    pub tag: TagPattern,
    /// Tags that this rule leaves alone. Another rule may make them immutable.
    pub except: Vec<TagPattern>,
}

/// Where a rule is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RuleOrigin {
    /// In the configuration: file and line.
    Configuration(String),
    /// In the database, under this number.
    Database(i64),
}

/// A set of rules. A tag is immutable if one of them says so; their order decides only which one a
/// refusal names. Clones share the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImmutabilityRules(Vec<Arc<[ImmutabilityRule]>>);

impl ImmutabilityRule {
    /// Whether it is for this repository.
    #[must_use]
    pub fn is_for(&self, repository: &RepositoryName) -> bool {
        self.repository.matches(repository)
    }

    /// Whether it makes this tag immutable, in a repository that it is for.
    #[must_use]
    pub fn covers(&self, tag: &Tag) -> bool {
        self.tag.matches(tag) && !self.except.iter().any(|except| except.matches(tag))
    }
}

impl ImmutabilityRules {
    /// The first rule that makes a tag immutable.
    #[must_use]
    pub fn protecting(&self, repository: &RepositoryName, tag: &Tag) -> Option<&ImmutabilityRule> {
        self.iter()
            .find(|rule| rule.covers(tag) && rule.is_for(repository))
    }

    /// The rules for a repository.
    pub fn of(&self, repository: &RepositoryName) -> impl Iterator<Item = &ImmutabilityRule> {
        self.iter().filter(move |rule| rule.is_for(repository))
    }

    /// All rules.
    pub fn iter(&self) -> impl Iterator<Item = &ImmutabilityRule> {
        self.0.iter().flat_map(|rules| rules.iter())
    }

    /// These rules and then those.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|rules| rules.is_empty())
    }
}

impl FromIterator<ImmutabilityRule> for ImmutabilityRules {
    fn from_iter<I: IntoIterator<Item = ImmutabilityRule>>(rules: I) -> Self {
        Self(vec![rules.into_iter().collect()])
    }
}

impl fmt::Display for RuleOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(place) => f.write_str(place),
            Self::Database(number) => write!(f, "rule {number} of the database"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(number: i64, repository: &str, tag: &str, except: &[&str]) -> ImmutabilityRule {
        ImmutabilityRule {
            origin: RuleOrigin::Database(number),
            repository: repository.parse().unwrap(),
            tag: tag.parse().unwrap(),
            except: except.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn an_exception_counts_for_its_own_rule() {
        let rules: ImmutabilityRules = [
            rule(1, "**", "*", &["latest", "dev-*"]),
            rule(2, "prod/*", "dev-1", &[]),
        ]
        .into_iter()
        .collect();
        let protecting = |repository: &str, tag: &str| {
            let found = rules.protecting(&repository.parse().unwrap(), &tag.parse().unwrap());
            found.map(|rule| rule.origin.to_string())
        };
        assert_eq!(
            protecting("a/b", "v1").as_deref(),
            Some("rule 1 of the database")
        );
        assert_eq!(protecting("a/b", "latest"), None);
        assert_eq!(protecting("a", "dev-1"), None);
        assert_eq!(
            protecting("prod/a", "dev-1").as_deref(),
            Some("rule 2 of the database")
        );
        // An exception matches whole tags.
        assert!(protecting("a", "latest-1").is_some());
    }
}
