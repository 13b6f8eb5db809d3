//! What every account may do with the API: see what is its own, and revoke it.
//!
//! No rule needs to say so, and none can take it away. It comes before all policies. A ceiling bounds
//! it, as it bounds everything.

use policy::AclQuery;

use super::{DecidedBy, Decision};

/// The name of the scopes for what is one's own.
pub const OWN_NAME: &str = "own";

/// What is allowed without a rule. `create` needs one.
const ACTIONS: [&str; 2] = ["read", "revoke"];

/// What explanations say of it.
pub(super) const COMMENT: &str = "every account may see what is its own, and revoke it";

/// What of `query` is granted to every account. `None` if nothing is, and then the policies alone
/// decide.
pub(super) fn own_rights(query: &AclQuery<'_>) -> Option<Decision> {
    let is_own = query.is_about_api() && query.name == OWN_NAME && !query.account.is_empty();
    let granted = query.granting(&ACTIONS.map(str::to_owned));
    (is_own && !granted.is_empty()).then_some(Decision {
        granted,
        by: DecidedBy {
            policy: Some("built-in"),
            rule: None,
        },
    })
}

/// The actions that are asked for and that `own` does not grant. Policies decide them.
pub(super) fn other_actions(query: &AclQuery<'_>, own: &Decision) -> Vec<String> {
    let asked = query.actions.iter();
    let others = asked.filter(|action| !own.granted.contains(action));
    others.cloned().collect()
}

/// Both lists, sorted as all lists of actions are.
pub(super) fn joined(one: Vec<String>, other: Vec<String>) -> Vec<String> {
    let mut all = [one, other].concat();
    all.sort_unstable();
    all
}
