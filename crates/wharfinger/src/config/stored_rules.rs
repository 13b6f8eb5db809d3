//! The keys of every section whose rules are in a database.

use std::time::Duration;

use auth::{MaxStale, StoredRulesSettings};
use policy::AclOptions;

use super::schema::key;
use super::section::Section;

const SECOND: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How often the rules are loaded, and how old they may be. Their patterns are read as those of
/// `acl`.
pub(super) fn read_refresh(section: &mut Section<'_>, options: AclOptions) -> StoredRulesSettings {
    let refresh = section.get(
        key::duration("cache_ttl", SECOND..=LONGEST)
            .docker_auth()
            .means("the time between two loads of the rules")
            .default(60 * SECOND),
    );
    let max_stale = section.find(
        key::duration("max_stale", SECOND..=LONGEST)
            .means(
                "how old the rules may be when they cannot be loaded; then requests that need \
                 them get 503",
            )
            .otherwise("off"),
    );
    if let Some(max) = max_stale
        && max <= refresh
        && let Some(setting) = section.present("max_stale")
    {
        setting.error("must be longer than cache_ttl, or the rules are too old before each load");
    }
    StoredRulesSettings {
        options,
        refresh,
        max_stale: max_stale.map_or(MaxStale::Unlimited, MaxStale::Limited),
    }
}
