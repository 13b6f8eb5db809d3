//! What a search for an account found.

use common::escape_line;

use crate::connection::SearchOutcome;
use crate::entry::DirectoryEntry;
use crate::error::names;

/// What a search for an account found.
pub(crate) enum FoundAccount {
    None,
    One(DirectoryEntry),
    /// More than one entry: it is not known which of them logs in.
    Several,
}

impl FoundAccount {
    /// The entry of `account` among what was found. What is unusual is logged.
    pub(crate) fn of(account: &str, found: SearchOutcome) -> Self {
        let mut entries = found.entries.into_iter();
        let account = escape_line(account);
        match (entries.next(), entries.next()) {
            (None, _) => {
                if !found.referrals.is_empty() {
                    let to = names(&found.referrals);
                    tracing::info!(
                        %account,
                        "ldap_auth: no entry; the directory refers to {to}, and referrals are not followed"
                    );
                }
                Self::None
            }
            (Some(_), Some(_)) => {
                tracing::warn!(%account, "ldap_auth: the filter finds more than one entry, so the login is refused");
                Self::Several
            }
            // A bind with an empty name succeeds without proving anything.
            (Some(entry), None) if entry.name.is_empty() => Self::None,
            (Some(entry), None) => Self::One(entry),
        }
    }
}
