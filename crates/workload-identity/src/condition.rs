//! Conditions on claims.

use std::fmt;

use policy::TextPattern;
use serde_json::{Map, Value};

use crate::ClaimPath;

/// How much of a claim's value is shown, in characters.
const SHOWN: usize = 200;

/// A claim must have a value that one of the patterns matches.
#[derive(Clone, Debug)]
pub struct ClaimCondition {
    /// The claim.
    pub claim: ClaimPath,
    /// The patterns, at least one.
    pub patterns: Vec<TextPattern>,
}

/// A condition that does not hold, and what was found instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMismatch {
    /// The claim.
    pub claim: String,
    /// The patterns.
    pub patterns: Vec<String>,
    /// The claim's values; none if it is absent.
    pub found: Vec<String>,
}

impl ClaimCondition {
    /// Whether it holds.
    ///
    /// # Errors
    /// With the values of the claim, when none matches.
    pub fn check(&self, claims: &Map<String, Value>) -> Result<(), ClaimMismatch> {
        let found = self.claim.values(claims);
        let matches = |value: &String| self.patterns.iter().any(|pattern| pattern.matches(value));
        if found.iter().any(matches) {
            return Ok(());
        }
        Err(ClaimMismatch {
            claim: self.claim.to_string(),
            patterns: self.patterns.iter().map(ToString::to_string).collect(),
            found,
        })
    }
}

impl fmt::Display for ClaimMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = match &*self.found {
            [] => "absent".to_owned(),
            values => listed(values, ", "),
        };
        let patterns = listed(&self.patterns, " or ");
        write!(
            f,
            "{} is {found}, which does not match {patterns}",
            self.claim
        )
    }
}

fn listed(texts: &[String], separator: &str) -> String {
    let shown = texts.iter().map(|text| shown(text));
    shown.collect::<Vec<_>>().join(separator)
}

/// A value in quotes, without control characters, and cut off.
pub(crate) fn shown(value: &str) -> String {
    let mut cut: String = value.chars().take(SHOWN).collect();
    if cut.len() < value.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}
