//! What a token grants.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, Serialize};

use crate::json::null_or;

/// One entry of a token's `access` claim: these actions on this resource.
///
/// (Distribution, "Token Authentication Implementation", private claims.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Access {
    /// The kind of resource: `repository`, `registry`, …
    #[serde(rename = "type", default, deserialize_with = "null_or")]
    pub resource_type: String,
    /// The resource's name: a repository's, or `catalog`.
    #[serde(default, deserialize_with = "null_or")]
    pub name: String,
    /// What may be done with it; a lone `*` is every action.
    #[serde(default, deserialize_with = "actions")]
    pub actions: Vec<String>,
}

/// Go writes a list without anything as `null`.
fn actions<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let actions: Vec<Option<String>> = null_or(from)?;
    Ok(actions.into_iter().flatten().collect())
}

impl Access {
    /// Whether an action is there more than once.
    pub(crate) fn repeats_actions(&self) -> bool {
        let sorted = self.actions.is_sorted_by(|one, next| one < next);
        let unique = || self.actions.iter().collect::<HashSet<_>>().len();
        !sorted && unique() < self.actions.len()
    }

    /// The same with each action once, where it came first.
    pub(crate) fn deduplicated(mut self) -> Self {
        if self.repeats_actions() {
            let mut seen = HashSet::new();
            self.actions.retain(|action| seen.insert(action.clone()));
            self.actions.shrink_to_fit();
        }
        self
    }
}
