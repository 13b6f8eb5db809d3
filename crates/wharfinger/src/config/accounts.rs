//! The section `accounts`: accounts and rules in the database, which commands manage.

use policy::AclOptions;

use super::schema::key;
use super::section::Section;

/// The accounts and rules in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountsConfig {
    /// How the patterns of the rules are read.
    pub(crate) options: AclOptions,
}

/// On where a token server has a database, unless the section turns it off.
pub(super) fn read(
    root: &mut Section<'_>,
    has_database: bool,
    options: AclOptions,
) -> Option<AccountsConfig> {
    let key = key::mapping("accounts")
        .means(
            "accounts and rules in the database, which `wharfinger user` and `wharfinger rule` \
             manage; the rules are asked after `acl`",
        )
        .otherwise("on with a database");
    if !has_database && !root.context.is_describing() {
        // Asked for, so that it is a known key.
        root.setting(key);
        return None;
    }
    let is_enabled = root.always(key, |section| {
        section.get(
            key::switch("enabled")
                .means("whether they are asked. The commands work only if they are")
                .default(true),
        )
    });
    is_enabled.then_some(AccountsConfig { options })
}
