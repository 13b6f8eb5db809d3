//! The section `device_login`: logins of devices that a person approves in a browser (RFC 8628).

use std::time::Duration;

use auth::device::DeviceLoginPolicy;

use super::schema::key;
use super::section::Section;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// On if there are refresh tokens, which a device gets, unless the section turns them off.
pub(super) fn read(root: &mut Section<'_>, has_sessions: bool) -> Option<DeviceLoginPolicy> {
    let section = key::mapping("device_login")
        .means(
            "logins that a person approves in a browser (`wharfinger login --web`), below; \
             `enabled: false` turns them off",
        )
        .otherwise("on if refresh tokens are");
    if !has_sessions && !root.context.is_describing() {
        // Asked for, so that it is a known key.
        root.setting(section);
        return None;
    }
    let (is_enabled, policy) = root.always(section, |section| {
        let is_enabled = section.get(
            key::switch("enabled")
                .means("whether devices may ask, and the page is served")
                .default(true),
        );
        (is_enabled, read_policy(section))
    });
    is_enabled.then_some(policy)
}

/// The defaults are those of the crate `auth`.
fn read_policy(section: &mut Section<'_>) -> DeviceLoginPolicy {
    let default = DeviceLoginPolicy::default();
    DeviceLoginPolicy {
        ttl: section.get(
            key::duration("ttl", MINUTE..=60 * MINUTE)
                .means("how long a person has time to approve")
                .default(default.ttl),
        ),
        interval: section.get(
            key::duration("interval", SECOND..=MINUTE)
                .means("how long a device waits between two questions")
                .default(default.interval),
        ),
        max_logins: section.get(
            key::number("max_logins", 1..=100_000)
                .means("how many device logins there may be at once")
                .default(default.max_logins),
        ),
        per_network: section.get(
            key::number("per_network", 1..=100_000)
                .means(
                    "how many of them one client may have begun (an IPv6 client is a /64); clients \
                     behind a proxy that is not trusted have no limit of their own",
                )
                .default(default.per_network),
        ),
    }
}
