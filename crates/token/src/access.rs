//! What a token grants.

use serde::{Deserialize, Serialize};

/// One entry of a token's `access` claim: these actions on this resource.
///
/// (Distribution, "Token Authentication Implementation", private claims.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Access {
    /// The kind of resource: `repository`, `registry`, …
    #[serde(rename = "type")]
    pub resource_type: String,
    /// The resource's name: a repository's, or `catalog`.
    pub name: String,
    /// What may be done with it; a lone `*` is every action.
    pub actions: Vec<String>,
}
