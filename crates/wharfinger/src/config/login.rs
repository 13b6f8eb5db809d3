//! The section `login`: how passwords are guarded.

use std::num::NonZeroUsize;
use std::time::Duration;

use identity::LoginSettings;

use super::section::Section;

/// A remembered password is a changed password's, too, until it is forgotten.
const LONGEST_MEMORY: Duration = Duration::from_secs(3600);

const MOST_PARALLEL: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// What each key says; what none says is `identity`'s default.
pub(super) fn read(login: &mut Section<'_>) -> Option<LoginSettings> {
    let default = LoginSettings::default();
    Some(LoginSettings {
        parallel: login
            .count("parallel", MOST_PARALLEL)
            .unwrap_or(default.parallel),
        remember: login
            .duration_within("remember", Duration::ZERO, LONGEST_MEMORY)
            .unwrap_or(default.remember),
        per_address: login
            .parse("per_address", str::parse)
            .unwrap_or(default.per_address),
        per_account: login
            .parse("per_account", str::parse)
            .unwrap_or(default.per_account),
    })
}
