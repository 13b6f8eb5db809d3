//! The account that a decision is about.

use std::collections::BTreeMap;

/// What a backend knows of an account besides its name: each label has any number of values.
pub type Labels = BTreeMap<String, Vec<String>>;

/// An authenticated account; the empty name is the anonymous one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The account's name.
    pub account: String,
    /// Its labels, which rules may match.
    pub labels: Labels,
}
