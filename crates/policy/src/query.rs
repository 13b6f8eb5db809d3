//! What is decided, and how.

use std::net::IpAddr;

use serde::Serialize;

use token::Scope;

use crate::{Labels, Subject};

/// The type of the API's resources.
///
/// Rules are written for repositories, and a wide one, `{match: {account: "/.+/"}, actions: ["*"]}`, must not
/// make administrators. So for this type, a rule counts only if its condition on the type is exactly
/// this text. The same holds for the entries of a ceiling.
pub const API_TYPE: &str = "wharfinger";

/// A question: may this account do this?
#[derive(Clone, Copy, Debug)]
pub struct AclQuery<'a> {
    /// The account's name; empty for the anonymous one.
    pub account: &'a str,
    /// The account's labels.
    pub labels: &'a Labels,
    /// The kind of resource: `repository`, `registry`, …
    pub resource_type: &'a str,
    /// The resource's name.
    pub name: &'a str,
    /// The service that the token is for.
    pub service: &'a str,
    /// The client's address, if it is known.
    pub ip: Option<IpAddr>,
    /// The actions asked for, sorted as bytes.
    pub actions: &'a [String],
}

impl<'a> AclQuery<'a> {
    /// May `subject`, at the address `ip`, have `scope` for `service`?
    #[must_use]
    pub fn new(
        subject: &'a Subject,
        scope: &'a Scope,
        service: &'a str,
        ip: Option<IpAddr>,
    ) -> Self {
        let Subject { account, labels } = subject;
        let Scope {
            resource_type,
            name,
            actions,
        } = scope;
        Self {
            account,
            labels,
            resource_type,
            name,
            service,
            ip,
            actions,
        }
    }
}

impl AclQuery<'_> {
    /// Whether it is about the API: its type is [`API_TYPE`].
    #[must_use]
    pub fn is_about_api(&self) -> bool {
        self.resource_type == API_TYPE
    }

    /// Which of the actions asked for are among `granted`, sorted.
    #[must_use]
    pub fn granting(&self, granted: &[String]) -> Vec<String> {
        let asked = self.actions.iter();
        asked
            .filter(|action| granted.contains(action))
            .cloned()
            .collect()
    }
}

/// A rule's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AclDecision {
    /// Which rule decided, counted from 0.
    pub rule: usize,
    /// The actions granted, sorted: some of those asked for, all, or none.
    pub granted: Vec<String>,
}
