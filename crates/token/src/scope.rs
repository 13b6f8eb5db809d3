//! What a client asks for.

use std::fmt;
use std::str::FromStr;

use crate::Access;

/// One resource and the actions asked for on it: `type[(class)]:name:action[,action]*`.
///
/// Read as `docker_auth` reads it, for the clients in the field were tried against that: the type
/// is the first run of `[a-z0-9]` anywhere in the first part, a class is dropped, a name may hold
/// one `:` (a host with a port), and actions are sorted but not checked. Unlike there an action that
/// is repeated counts once: a request of a few kilobytes must not become a token of thousands of
/// actions. (Distribution, "Token Scope Documentation", resource scope grammar.)
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The kind of resource: `repository`, `registry`, …; never empty.
    pub resource_type: String,
    /// The resource's name, as it was asked for.
    pub name: String,
    /// The actions asked for, sorted as bytes, each once.
    pub actions: Vec<String>,
}

impl Scope {
    /// This scope with `actions` granted of it.
    #[must_use]
    pub fn granted(self, actions: Vec<String>) -> Access {
        Access {
            resource_type: self.resource_type,
            name: self.name,
            actions,
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (first, name, actions) = match parts[..] {
            [first, name, actions] => (first, name.to_owned(), actions),
            [first, host, rest, actions] => (first, format!("{host}:{rest}"), actions),
            _ => {
                return Err(ScopeError::Parts {
                    scope: text.to_owned(),
                    parts: parts.len(),
                });
            }
        };
        let resource_type = resource_type(first).ok_or_else(|| ScopeError::Type {
            scope: text.to_owned(),
        })?;
        let mut actions: Vec<String> = actions.split(',').map(str::to_owned).collect();
        actions.sort();
        actions.dedup();
        Ok(Self {
            resource_type: resource_type.to_owned(),
            name,
            actions,
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.resource_type,
            self.name,
            self.actions.join(",")
        )
    }
}

/// A scope that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Too few or too many parts.
    #[error(
        "scope {scope:?} must have three parts, type:name:actions (four when the name has a port), and has {parts}"
    )]
    Parts {
        /// The scope as it came.
        scope: String,
        /// How many parts it has.
        parts: usize,
    },
    /// Nothing in the first part can be a resource type.
    #[error(
        "scope {scope:?} has no resource type: one is written in lower-case letters and digits"
    )]
    Type {
        /// The scope as it came.
        scope: String,
    },
}

/// The first run of `[a-z0-9]` in `first`.
fn resource_type(first: &str) -> Option<&str> {
    first
        .split(|c: char| !matches!(c, 'a'..='z' | '0'..='9'))
        .find(|run| !run.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> Result<(String, String, Vec<String>), ScopeError> {
        text.parse::<Scope>()
            .map(|s| (s.resource_type, s.name, s.actions))
    }

    #[test]
    fn reads_what_clients_send() {
        let row = |t: &str, n: &str, a: &[&str]| {
            Ok((
                t.to_owned(),
                n.to_owned(),
                a.iter().map(ToString::to_string).collect(),
            ))
        };
        assert_eq!(
            parts("repository:app:push,pull"),
            row("repository", "app", &["pull", "push"])
        );
        assert_eq!(
            parts("repository(plugin):app:pull"),
            row("repository", "app", &["pull"])
        );
        assert_eq!(
            parts("registry:catalog:*"),
            row("registry", "catalog", &["*"])
        );
        assert_eq!(
            parts("repository:host.example:5000/foo:pull"),
            row("repository", "host.example:5000/foo", &["pull"])
        );
        assert_eq!(parts("Repository:app:"), row("epository", "app", &[""]));
        assert_eq!(parts("my-type::pull"), row("my", "", &["pull"]));
        assert_eq!(parts("(plugin):a:pull,pull"), row("plugin", "a", &["pull"]));
    }

    #[test]
    fn refuses_what_is_no_scope() {
        for (text, count) in [
            ("", 1),
            ("repository", 1),
            ("repository:app", 2),
            ("a:b:c:d:e", 5),
        ] {
            assert_eq!(
                parts(text),
                Err(ScopeError::Parts {
                    scope: text.to_owned(),
                    parts: count
                })
            );
        }
        for text in [":app:pull", "REPO:app:pull", "é:app:pull"] {
            assert_eq!(
                parts(text),
                Err(ScopeError::Type {
                    scope: text.to_owned()
                })
            );
        }
    }

    proptest! {
        #[test]
        fn parse_and_print_agree(text in "[a-z0-9]{1,8}:[^: ]{0,20}(:[^: ]{0,9})?:[a-z*]{0,4}(,[a-z*]{0,4}){0,3}") {
            let scope: Scope = text.parse().unwrap();
            let printed = scope.to_string();
            prop_assert!(scope.actions.is_sorted_by(|a, b| a < b));
            prop_assert!(printed.len() <= text.len());
            prop_assert_eq!(printed.parse::<Scope>(), Ok(scope));
        }
    }
}
