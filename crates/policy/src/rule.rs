//! One rule, compiled.

use crate::captures::{Capture, CaptureReference, find};
use crate::condition::Condition;
use crate::entry::{AclEntry, Conditions};
use crate::error::ConditionError;
use crate::mismatch::Mismatch;
use crate::pattern::Pattern;
use crate::variables::Bindings;
use crate::{AclQuery, Attribute, Field};

/// A rule whose patterns are well-formed.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The cheapest first. All must hold, so only an explanation shows the order.
    conditions: Vec<Condition>,
    captures: Vec<Capture>,
    actions: Actions,
    /// Whether it is written for the API: its type is exactly [`API_TYPE`].
    is_for_api: bool,
    pub(crate) comment: Option<String>,
}

/// What a rule grants.
#[derive(Clone, Debug)]
enum Actions {
    /// Exactly what was asked for.
    All,
    Listed(Vec<String>),
}

impl Rule {
    /// Compiles `entry`; all that is wrong with it, if anything is.
    pub(crate) fn compile(entry: AclEntry) -> Result<Self, Vec<(Field, ConditionError)>> {
        let captures = captures(&entry.conditions);
        let is_for_api = entry.conditions.is_for_api();
        let (mut conditions, mut errors) = (Vec::new(), Vec::new());
        for condition in Condition::compile(entry.conditions, &captures) {
            match condition {
                Ok(condition) => conditions.push(condition),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        conditions.sort_by_key(Condition::cost);
        Ok(Self {
            conditions,
            captures,
            actions: Actions::new(entry.actions),
            is_for_api,
            comment: entry.comment,
        })
    }

    /// Whether it decides every query.
    pub(crate) fn has_no_conditions(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether it decides `query`.
    pub(crate) fn matches(&self, query: &AclQuery<'_>, quote_labels: bool) -> bool {
        !self.disregards(query)
            && self
                .first_mismatch(&self.bindings(query, quote_labels))
                .is_none()
    }

    /// Whether `query` is about the API, and the rule is not written for that.
    pub(crate) fn disregards(&self, query: &AclQuery<'_>) -> bool {
        query.is_about_api() && !self.is_for_api
    }

    /// Its condition on `attribute` as it is written; empty without one.
    pub(crate) fn written(&self, attribute: Attribute) -> &str {
        let field = Field::Text(attribute);
        let mut conditions = self.conditions.iter();
        let condition = conditions.find(|condition| condition.field() == field);
        condition.map_or("", Condition::written)
    }

    /// The pattern that `attribute` has to match, if there is one.
    pub(crate) fn pattern_on(&self, attribute: Attribute) -> Option<&Pattern> {
        self.conditions
            .iter()
            .find_map(|condition| match condition {
                Condition::Text(found, pattern) if *found == attribute => Some(pattern),
                Condition::Text(..) | Condition::Ip { .. } | Condition::Label(..) => None,
            })
    }

    /// The first condition that does not hold, and why; `None` if all hold.
    pub(crate) fn first_mismatch(&self, bindings: &Bindings<'_>) -> Option<(&Condition, Mismatch)> {
        self.conditions
            .iter()
            .find_map(|condition| Some((condition, condition.check(bindings).err()?)))
    }

    /// What its variables stand for in `query`.
    pub(crate) fn bindings<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        quote_labels: bool,
    ) -> Bindings<'a> {
        Bindings::new(query, &self.captures, quote_labels)
    }

    /// Which of the actions asked for it grants.
    pub(crate) fn grant(&self, asked: &[String]) -> Vec<String> {
        match &self.actions {
            Actions::All => asked.to_vec(),
            Actions::Listed(listed) => {
                let mut granted: Vec<String> = asked
                    .iter()
                    .filter(|action| listed.contains(action))
                    .cloned()
                    .collect();
                granted.sort_unstable();
                granted.dedup();
                granted
            }
        }
    }
}

impl Actions {
    fn new(listed: Vec<String>) -> Self {
        // Beside others, `*` is an action like any other.
        if listed == ["*"] {
            Self::All
        } else {
            Self::Listed(listed)
        }
    }
}

/// The captures that a rule's patterns name; its labels' patterns are not looked at.
fn captures(conditions: &Conditions) -> Vec<Capture> {
    let patterns = Attribute::ALL
        .into_iter()
        .filter_map(|attribute| conditions.on(attribute));
    let found = patterns.flat_map(|pattern| find(pattern, conditions));
    found
        .filter_map(|found| {
            if let CaptureReference::Capture(capture) = found {
                Some(capture)
            } else {
                None
            }
        })
        .collect()
}
