//! What a search for an account found.

use common::escape_line;
use identity::is_unambiguous_name;

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
                let mut referrals = found.referrals;
                referrals.retain(|url| may_have_accounts(url));
                if !referrals.is_empty() {
                    let to = names(&referrals);
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

/// Parts of Active Directory to which every search in a whole domain refers. No account is there.
const WITHOUT_ACCOUNTS: [&str; 3] = [
    "/cn=configuration,",
    "/dc=domaindnszones,",
    "/dc=forestdnszones,",
];

fn may_have_accounts(url: &str) -> bool {
    let url = url.to_lowercase();
    !WITHOUT_ACCOUNTS.iter().any(|part| url.contains(part))
}

/// The name of an account as the directory stores it in `attribute`: of several, the one that the
/// client wrote. `None` if no value could be the name of an account.
pub(crate) fn stored_name(
    entry: &DirectoryEntry,
    attribute: &str,
    account: &str,
) -> Option<String> {
    let names = || {
        let names = entry.texts(attribute);
        names.filter(|name| !name.is_empty() && is_unambiguous_name(name))
    };
    let lower = account.to_lowercase();
    let found = names()
        .find(|name| *name == account)
        .or_else(|| names().find(|name| name.to_lowercase() == lower))
        .or_else(|| names().next())?;
    Some(found.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_names_the_one_that_was_written_counts() {
        let entry = DirectoryEntry::of("cn=x", &[("uid", &["", "a\nb", "ann", "Anna"])]);
        let stored = |account| stored_name(&entry, "UID", account);
        assert_eq!(stored("Anna").as_deref(), Some("Anna"));
        assert_eq!(stored("ANNA").as_deref(), Some("Anna"));
        assert_eq!(stored("ann@example.com").as_deref(), Some("ann"));
        assert_eq!(stored("a\nb").as_deref(), Some("ann"));
        assert_eq!(stored_name(&entry, "cn", "ann"), None);
    }
}
