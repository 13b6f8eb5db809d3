//! The most that a login can be granted, whatever the rules allow.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ConditionError;
use crate::rule::Rule;
use crate::{AclEntry, AclQuery, Conditions, Field};

/// A bound on what a login's tokens grant: granted = asked ∩ allowed ∩ ceiling.
///
/// A robot's secret, a personal token or a workload's rule carries one, so that it can do less than
/// the account for which it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ScopeCeiling {
    /// The rules alone decide.
    #[default]
    Unlimited,
    /// At most what one of the entries allows.
    Limited(CeilingRules),
}

/// One entry of a ceiling as it is written. Both patterns are in the language of `acl`: a glob, or a
/// regular expression between slashes, with variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CeilingEntry {
    /// On the kind of resource.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// On the resource's name.
    pub name: String,
    /// The actions that it allows. A lone `*` stands for every action.
    pub actions: Vec<String>,
}

/// The entries of a ceiling, compiled. Unlike the rules of an [`Acl`](crate::Acl), their order does
/// not count: an action is allowed if one of the entries that match allows it.
#[derive(Clone, Debug)]
pub struct CeilingRules(Arc<CompiledEntries>);

/// Entries, and the rule of each.
#[derive(Debug)]
struct CompiledEntries {
    entries: Vec<CeilingEntry>,
    rules: Vec<Rule>,
}

/// An entry that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ceiling[{entry}]: {field}")]
pub struct CeilingEntryError {
    /// Which entry, counted from 0.
    pub entry: usize,
    /// Which of its patterns.
    pub field: Field,
    /// What is wrong with that, and what to write instead.
    #[source]
    pub problem: ConditionError,
}

/// A stored ceiling that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredCeilingError {
    /// It is not a JSON array of entries.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// An entry is refused.
    #[error(transparent)]
    Entry(#[from] CeilingEntryError),
}

impl ScopeCeiling {
    /// What is left of the actions that the rules `granted` of `query`.
    #[must_use]
    pub fn limit(&self, query: &AclQuery<'_>, granted: Vec<String>) -> Vec<String> {
        match self {
            Self::Unlimited => granted,
            Self::Limited(rules) => rules.allowed(query, &granted),
        }
    }

    /// Its entries; `None` if there is no limit.
    #[must_use]
    pub fn entries(&self) -> Option<&[CeilingEntry]> {
        match self {
            Self::Unlimited => None,
            Self::Limited(rules) => Some(&rules.0.entries),
        }
    }

    /// Its entries as a JSON array, to be stored; `None` if there is no limit.
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        let entries = self.entries()?;
        Some(serde_json::json!(entries).to_string())
    }

    /// The ceiling that [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// When the text is no such array, or one of its patterns is invalid.
    pub fn from_json(stored: Option<&str>) -> Result<Self, StoredCeilingError> {
        let Some(entries) = stored else {
            return Ok(Self::Unlimited);
        };
        let rules = CeilingRules::compile(serde_json::from_str(entries)?);
        Ok(Self::Limited(rules.map_err(|mut errors| errors.remove(0))?))
    }
}

impl CeilingRules {
    /// Compiles `entries`. A label's value stands for itself in them, as with `acl_quote_labels`.
    ///
    /// # Errors
    /// All that is wrong with any of them, in their order.
    pub fn compile(entries: Vec<CeilingEntry>) -> Result<Self, Vec<CeilingEntryError>> {
        let (mut rules, mut errors) = (Vec::with_capacity(entries.len()), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            match Rule::compile(rule(entry)) {
                Ok(compiled) => rules.push(compiled),
                Err(found) => {
                    errors.extend(found.into_iter().map(|(field, problem)| CeilingEntryError {
                        entry: index,
                        field,
                        problem,
                    }));
                }
            }
        }
        match errors.is_empty() {
            true => Ok(Self(Arc::new(CompiledEntries { entries, rules }))),
            false => Err(errors),
        }
    }

    /// Which of `actions` are allowed for the resource of `query`, in the same order.
    #[must_use]
    pub fn allowed(&self, query: &AclQuery<'_>, actions: &[String]) -> Vec<String> {
        let matching: Vec<&Rule> = self.matching(query).map(|(_, rule)| rule).collect();
        let allows = |action: &&String| {
            let action = std::slice::from_ref(*action);
            matching.iter().any(|rule| !rule.grant(action).is_empty())
        };
        actions.iter().filter(allows).cloned().collect()
    }

    /// The entries whose patterns match the resource of `query`.
    pub fn matching_entries(&self, query: &AclQuery<'_>) -> impl Iterator<Item = &CeilingEntry> {
        self.matching(query).map(|(entry, _)| entry)
    }

    fn matching(&self, query: &AclQuery<'_>) -> impl Iterator<Item = (&CeilingEntry, &Rule)> {
        let rules = self.0.entries.iter().zip(&self.0.rules);
        rules.filter(|(_, rule)| rule.matches(query, true))
    }
}

impl PartialEq for CeilingRules {
    /// What is compiled follows from the entries.
    fn eq(&self, other: &Self) -> bool {
        self.0.entries == other.0.entries
    }
}

impl Eq for CeilingRules {}

fn rule(entry: &CeilingEntry) -> AclEntry {
    AclEntry {
        conditions: Conditions {
            resource_type: Some(entry.resource_type.clone()),
            name: Some(entry.name.clone()),
            ..Conditions::default()
        },
        actions: entry.actions.clone(),
        comment: None,
    }
}

#[cfg(test)]
mod tests {
    use token::Scope;

    use super::*;
    use crate::{Labels, Subject};

    fn entry(resource_type: &str, name: &str, actions: &[&str]) -> CeilingEntry {
        CeilingEntry {
            resource_type: resource_type.into(),
            name: name.into(),
            actions: actions.iter().map(|&action| action.into()).collect(),
        }
    }

    fn limited(entries: Vec<CeilingEntry>) -> ScopeCeiling {
        ScopeCeiling::Limited(CeilingRules::compile(entries).unwrap())
    }

    fn left(ceiling: &ScopeCeiling, scope: &str, granted: &[&str]) -> Vec<String> {
        let labels = [("team", &["red.blue"][..])];
        let subject = Subject {
            account: "ann".into(),
            labels: Labels::from_iter(labels.map(|(name, values)| {
                let values = values.iter().map(ToString::to_string).collect();
                (name.to_owned(), values)
            })),
        };
        let scope: Scope = scope.parse().unwrap();
        let query = AclQuery::new(&subject, &scope, "registry", None);
        let granted = granted.iter().map(ToString::to_string).collect();
        ceiling.limit(&query, granted)
    }

    #[test]
    fn only_what_the_ceiling_holds_is_left() {
        let ceiling = limited(vec![
            entry("repository", "app", &["pull"]),
            entry("repository", "tool", &["*"]),
            entry("repository", "app", &["delete"]),
        ]);
        for (scope, granted, expected) in [
            (
                "repository:app:pull,push",
                &["pull", "push"][..],
                &["pull"][..],
            ),
            (
                "repository:app:delete,pull",
                &["delete", "pull"],
                &["delete", "pull"],
            ),
            ("repository:app:delete,pull", &["pull"], &["pull"]),
            ("repository:app:*", &["*"], &[]),
            (
                "repository:tool:pull,push",
                &["pull", "push"],
                &["pull", "push"],
            ),
            ("repository:tool:*", &["*"], &["*"]),
            ("repository:tool:pull", &[], &[]),
            ("repository:other:pull", &["pull"], &[]),
            ("registry:app:pull", &["pull"], &[]),
        ] {
            assert_eq!(left(&ScopeCeiling::Unlimited, scope, granted), granted);
            assert_eq!(left(&ceiling, scope, granted), expected, "{scope}");
        }
        let nothing = limited(Vec::new());
        assert_eq!(
            left(&nothing, "repository:app:pull", &["pull"]),
            [""; 0],
            "no entry allows nothing"
        );
    }

    #[test]
    fn patterns_are_those_of_the_rules() {
        let ceiling = limited(vec![
            entry("repository", "team/*", &["pull"]),
            entry("repository", "/^ci-[0-9]+$/", &["push"]),
            entry("repository", "${account}/*", &["delete"]),
            entry("repository", "${labels:team}/x", &["pull"]),
        ]);
        for (scope, granted, expected) in [
            ("repository:team/app:pull", "pull", true),
            ("repository:team/app/sub:pull", "pull", false),
            ("repository:ci-7:push", "push", true),
            ("repository:ci-x:push", "push", false),
            ("repository:ann/app:delete", "delete", true),
            ("repository:bob/app:delete", "delete", false),
            ("repository:red.blue/x:pull", "pull", true),
            ("repository:redxblue/x:pull", "pull", false),
        ] {
            let left = left(&ceiling, scope, &[granted]);
            assert_eq!(!left.is_empty(), expected, "{scope}");
        }
    }

    #[test]
    fn the_api_s_type_must_be_named() {
        let wide = limited(vec![entry("*", "*", &["*"]), entry("/.*/", "/.*/", &["*"])]);
        assert!(left(&wide, "wharfinger:users:read", &["read"]).is_empty());
        let narrow = limited(vec![entry("wharfinger", "users", &["read"])]);
        assert_eq!(left(&narrow, "wharfinger:users:read", &["read"]), ["read"]);
        assert!(left(&narrow, "wharfinger:users:write", &["write"]).is_empty());
        assert!(left(&narrow, "wharfinger:rules:read", &["read"]).is_empty());
    }

    #[test]
    fn a_malformed_pattern_is_named() {
        let errors = CeilingRules::compile(vec![
            entry("repository", "app", &["pull"]),
            entry("[", "/(/", &["pull"]),
        ]);
        let errors: Vec<_> = errors
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, ["ceiling[1]: type", "ceiling[1]: name"]);
    }
}
