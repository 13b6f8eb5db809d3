//! The section `personal_tokens`: robots and personal tokens.

use std::time::Duration;

use ::personal_tokens::TokenPolicy;
use identity::{Accounts, ROBOT_PREFIX};

use super::diagnostics::Problem;
use super::schema::key;
use super::section::Section;

const MINUTE: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

pub(super) fn read(root: &mut Section<'_>, is_on: bool) -> Option<TokenPolicy> {
    let section = key::mapping("personal_tokens")
        .means("robots and personal tokens; `{}` takes the defaults")
        .otherwise("on if refresh tokens are");
    if is_on || root.context.is_describing() {
        return Some(root.always(section, read_policy));
    }
    // Asked for, so that it is a known key.
    root.setting(section);
    None
}

/// Accounts of the file that only robots may be.
pub(super) fn warn_of_robots_names(root: &Section<'_>, accounts: &Accounts) {
    let Some(users) = root.present("users") else {
        return;
    };
    for (name, _) in accounts.iter() {
        if name.starts_with(ROBOT_PREFIX) {
            users.warn(
                Problem::NoEffect,
                format!("{name} cannot log in: names with {ROBOT_PREFIX} are for robots"),
            );
        }
    }
}

/// The defaults are those of the crate.
fn read_policy(section: &mut Section<'_>) -> TokenPolicy {
    let default = TokenPolicy::default();
    let policy = TokenPolicy {
        ttl: section.get(
            key::duration("ttl", MINUTE..=LONGEST)
                .means("how long a secret is valid if its creator does not say")
                .default(default.ttl),
        ),
        max_ttl: section.get(
            key::duration("max_ttl", MINUTE..=LONGEST)
                .means("the longest that a secret is valid, also of those that exist")
                .default(default.max_ttl),
        ),
        per_owner: section.get(
            key::number("per_owner", 1..=100_000)
                .means(
                    "how many robots and personal tokens a person may own; the system's robots have \
                     no limit",
                )
                .default(default.per_owner),
        ),
    };
    if let Some(ttl) = section
        .present("ttl")
        .filter(|_| policy.ttl > policy.max_ttl)
    {
        let message = "longer than personal_tokens.max_ttl, which bounds it";
        ttl.warn(Problem::NoEffect, message);
    }
    policy
}
