//! What a request needs a token for, and whether a token grants it.

use serde_json::{Value, json};
use token::VerifiedToken;

/// Access to one resource that a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequiredAccess<'a> {
    resource_type: &'static str,
    name: &'a str,
    actions: &'static [&'static str],
}

impl<'a> RequiredAccess<'a> {
    pub(crate) fn repository(name: &'a str, actions: &'static [&'static str]) -> Self {
        Self {
            resource_type: "repository",
            name,
            actions,
        }
    }

    /// Docker's scope for the list of all repositories.
    pub(crate) fn catalog() -> Self {
        Self {
            resource_type: "registry",
            name: "catalog",
            actions: &["*"],
        }
    }

    /// Whether `token` grants all of it. Every request that needs a token ends here.
    pub(crate) fn granted_by(&self, token: &VerifiedToken) -> bool {
        self.actions
            .iter()
            .all(|action| token.grants(self.resource_type, self.name, action))
    }

    /// The repository, if it is one, and the action that is the reason for the access: a push needs to
    /// pull, too.
    pub(crate) fn repository_action(&self) -> Option<(&'a str, &'static str)> {
        let action = self.actions.last().copied()?;
        (self.resource_type == "repository").then_some((self.name, action))
    }

    /// The access as a scope.
    pub(crate) fn scope(&self) -> String {
        scope(std::slice::from_ref(self))
    }

    /// An entry of a 401's `detail` for each action, as Distribution words it.
    pub(crate) fn details(&self) -> impl Iterator<Item = Value> {
        self.actions
            .iter()
            .map(|action| json!({"Type": self.resource_type, "Name": self.name, "Action": action}))
    }
}

/// Several scopes are joined by spaces (RFC 6749 §3.3).
pub(crate) fn scope(needed: &[RequiredAccess<'_>]) -> String {
    let mut text = String::new();
    for RequiredAccess {
        resource_type,
        name,
        actions,
    } in needed
    {
        if !text.is_empty() {
            text.push(' ');
        }
        text.extend([resource_type, ":", name, ":", &actions.join(",")]);
    }
    text
}
