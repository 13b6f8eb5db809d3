//! Rules as a configuration has them.

use std::collections::BTreeMap;

use crate::Attribute;
use crate::query::API_TYPE;

/// One rule as it stands in a configuration: text, not yet compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclEntry {
    /// What has to hold for the rule to decide: all of it.
    pub conditions: Conditions,
    /// What the rule grants, if it was asked for: a lone `*` is everything, nothing denies.
    pub actions: Vec<String>,
    /// A note for people.
    pub comment: Option<String>,
}

/// Patterns, as text: a regular expression between slashes (`/^dev-/`), otherwise a glob (`dev-*`).
/// An absent one takes anything; the empty one takes the empty text and no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// On the account's name; the anonymous account's is empty.
    pub account: Option<String>,
    /// On the kind of resource (`type`).
    pub resource_type: Option<String>,
    /// On the resource's name.
    pub name: Option<String>,
    /// On the service that the token is for.
    pub service: Option<String>,
    /// On the client's address: an address, or a network in CIDR notation.
    pub ip: Option<String>,
    /// On the account's labels: of each label named, one value at least.
    pub labels: BTreeMap<String, String>,
}

impl Conditions {
    /// Whether they are written for the API: the type is exactly [`API_TYPE`].
    #[must_use]
    pub fn is_for_api(&self) -> bool {
        self.resource_type.as_deref() == Some(API_TYPE)
    }

    /// The pattern that `attribute` has to match.
    pub(crate) fn on(&self, attribute: Attribute) -> Option<&str> {
        match attribute {
            Attribute::Account => self.account.as_deref(),
            Attribute::ResourceType => self.resource_type.as_deref(),
            Attribute::Name => self.name.as_deref(),
            Attribute::Service => self.service.as_deref(),
        }
    }
}

/// How rules are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AclOptions {
    /// Whether a label's value stands for itself if a pattern names the label
    /// (`acl_quote_labels`), as the account's name does; by default, and for `docker_auth`, it is a
    /// pattern of its own.
    pub quote_labels: bool,
}
