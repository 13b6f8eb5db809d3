//! One line a decision: who asked for what, what they got, and why.
//!
//! The line is a `tracing` event of the target [`TARGET`], so whoever runs the server chooses its
//! form and place. It never holds a secret: passwords and tokens are not among its fields.

use std::fmt::{self, Write};
use std::time::Duration;

use token::Scope;

use crate::authorize::{DecidedBy, Decision};
use crate::response::ErrorResponse;

/// The target of decision lines.
pub const TARGET: &str = "wharfinger::decision";

/// What is known of a request by the time it is answered.
#[derive(Debug, Default)]
pub(crate) struct DecisionRecord {
    pub(crate) account: String,
    pub(crate) service: String,
    pub(crate) client_id: String,
    pub(crate) address: String,
    /// How the client proved who it is: `anonymous`, `password`, `refresh_token`.
    pub(crate) grant: &'static str,
    /// Which session's refresh token was used or made.
    pub(crate) session: String,
    pub(crate) decisions: Vec<(Scope, Decision)>,
}

impl DecisionRecord {
    /// Writes the line; `origins` names each rule's place in the configuration.
    pub(crate) fn write(
        &self,
        request_id: &str,
        took: Duration,
        origins: &[String],
        refusal: Option<&ErrorResponse>,
    ) {
        let status = refusal.map_or(200, |refusal| refusal.status().as_u16());
        let refused = refusal.map(ToString::to_string);
        tracing::info!(
            target: TARGET,
            request_id,
            status,
            account = self.account,
            grant = self.grant,
            service = self.service,
            // As strings, not `%`: a name is a stranger's choice, and a string is quoted and
            // escaped in every format.
            asked = List(&self.decisions, |f, asked, _| write!(f, "{asked}")).to_string(),
            granted = List(&self.decisions, granted).to_string(),
            rule = List(&self.decisions, |f, _, decision| rule(f, decision.by, origins)).to_string(),
            address = self.address,
            client_id = self.client_id,
            session = (!self.session.is_empty()).then_some(self.session.as_str()),
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            refused,
        );
    }
}

/// Decisions with a space between, of each what the function writes.
struct List<'a, F>(&'a [(Scope, Decision)], F)
where
    F: Fn(&mut fmt::Formatter<'_>, &Scope, &Decision) -> fmt::Result;

impl<F> fmt::Display for List<'_, F>
where
    F: Fn(&mut fmt::Formatter<'_>, &Scope, &Decision) -> fmt::Result,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (scope, decision)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char(' ')?;
            }
            (self.1)(f, scope, decision)?;
        }
        Ok(())
    }
}

fn granted(f: &mut fmt::Formatter<'_>, scope: &Scope, decision: &Decision) -> fmt::Result {
    write!(
        f,
        "{}:{}:{}",
        scope.resource_type,
        scope.name,
        decision.granted.join(",")
    )
}

fn rule(f: &mut fmt::Formatter<'_>, by: DecidedBy, origins: &[String]) -> fmt::Result {
    match by {
        DecidedBy::Rule(index) => match origins.get(index) {
            Some(origin) => f.write_str(origin),
            None => write!(f, "acl[{index}]"),
        },
        DecidedBy::ExtAuthz => f.write_str("ext_authz"),
        DecidedBy::Default => f.write_str("none"),
    }
}
