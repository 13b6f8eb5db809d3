//! What a rule can put a condition on.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::AclQuery;

/// A part of a rule, by the key it has in a configuration: a condition or the actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// One of the four that hold text.
    Text(Attribute),
    /// `ip`.
    Ip,
    /// A label's name under `labels`.
    Label(String),
    /// `actions`, which stands beside the conditions.
    Actions,
}

/// What every query has one of, and variables stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `account`
    Account,
    /// `type`
    ResourceType,
    /// `name`
    Name,
    /// `service`
    Service,
}

impl Attribute {
    pub(crate) const ALL: [Self; 4] =
        [Self::Account, Self::ResourceType, Self::Name, Self::Service];

    /// Its key in a configuration and its name in a variable.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::ResourceType => "type",
            Self::Name => "name",
            Self::Service => "service",
        }
    }

    /// Its value in `query`.
    pub(crate) fn of<'a>(self, query: &AclQuery<'a>) -> &'a str {
        match self {
            Self::Account => query.account,
            Self::ResourceType => query.resource_type,
            Self::Name => query.name,
            Self::Service => query.service,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(attribute) => f.write_str(attribute.key()),
            Self::Ip => f.write_str("ip"),
            Self::Label(name) => write!(f, "labels.{name}"),
            Self::Actions => f.write_str("actions"),
        }
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
