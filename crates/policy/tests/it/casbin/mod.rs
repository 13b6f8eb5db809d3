//! Casbin policies, seen from outside.

mod fuzz;
mod properties;
mod recorded;
mod refusals;
mod warnings;

use policy::casbin::Enforcer;

/// A model of these definitions, in their order: `r`, `p`, `g` (none if empty), `e`, `m`.
pub(crate) fn model(
    request: &str,
    policy: &str,
    roles: &str,
    effect: &str,
    matcher: &str,
) -> String {
    let roles = if roles.is_empty() {
        String::new()
    } else {
        format!("[role_definition]\ng = {roles}\n")
    };
    format!(
        "[request_definition]\nr = {request}\n[policy_definition]\np = {policy}\n{roles}\
         [policy_effect]\ne = {effect}\n[matchers]\nm = {matcher}\n"
    )
}

/// That a line allows.
pub(crate) const ALLOW: &str = "some(where (p.eft == allow))";

/// What is wrong with both files, a line each.
pub(crate) fn refused(model: &str, policy: &str, values: usize) -> String {
    let errors = Enforcer::compile(model, policy, values).unwrap_err();
    let lines = errors
        .iter()
        .map(|error| format!("{error}: {}\n", error.problem));
    lines.collect()
}
