//! What is done on one connection for a login.

use common::Secret;
use ldap3::Scope;

use crate::connection::{
    BindOutcome, DirectoryConnection, DirectorySearch, MOST_BYTES, SearchOutcome,
};
use crate::entry::DirectoryEntry;
use crate::error::DirectoryError;
use crate::groups::{GroupLookup, GroupSearch};
use crate::pool::Exchange;
use crate::refusal::BindRefusal;

/// How often more values of an entry are asked for. Active Directory sends 1,500 at a time.
const MOST_RANGES: usize = 32;

/// An attribute that no entry has: an empty list would stand for all (RFC 4511 §4.5.1.8).
const NO_ATTRIBUTES: &str = "1.1";

/// A search for the entry of an account.
pub(crate) struct EntryLookup<'a> {
    pub(crate) base: &'a str,
    pub(crate) filter: String,
    pub(crate) attributes: &'a [String],
}

impl Exchange for EntryLookup<'_> {
    type Outcome = SearchOutcome;

    async fn run(
        &self,
        connection: &mut DirectoryConnection,
    ) -> Result<SearchOutcome, DirectoryError> {
        let none = [NO_ATTRIBUTES.to_owned()];
        let search = DirectorySearch {
            base: self.base,
            scope: Scope::Subtree,
            filter: &self.filter,
            attributes: if self.attributes.is_empty() {
                &none
            } else {
                self.attributes
            },
            // The second one tells that the name is ambiguous.
            most: 2,
        };
        let mut found = connection.search(&search).await?;
        // Of several entries none counts.
        if let [entry] = found.entries.as_mut_slice() {
            complete(entry, connection).await?;
        }
        Ok(found)
    }
}

/// Asks for the values of attributes that the server did not send whole.
async fn complete(
    entry: &mut DirectoryEntry,
    connection: &mut DirectoryConnection,
) -> Result<(), DirectoryError> {
    for _ in 0..MOST_RANGES {
        let Some(range) = entry.missing_range() else {
            return Ok(());
        };
        let attributes = [range];
        let search = DirectorySearch {
            base: &entry.name,
            scope: Scope::Base,
            filter: "(objectClass=*)",
            attributes: &attributes,
            most: 1,
        };
        let found = connection.search(&search).await?.entries.pop();
        let [range] = attributes;
        if !found.is_some_and(|found| entry.add_range(&range, found)) {
            return Err(DirectoryError::NoRange(range));
        }
        if entry.size() > MOST_BYTES {
            return Err(DirectoryError::TooMuch(MOST_BYTES));
        }
    }
    Err(DirectoryError::TooManyRanges(MOST_RANGES))
}

/// A bind as the entry that was found.
pub(crate) struct AccountBind<'a> {
    pub(crate) name: &'a str,
    pub(crate) password: &'a Secret,
}

impl Exchange for AccountBind<'_> {
    type Outcome = BindOutcome;

    async fn run(
        &self,
        connection: &mut DirectoryConnection,
    ) -> Result<BindOutcome, DirectoryError> {
        connection.bind_account(self.name, self.password).await
    }
}

/// A bind under the name that a template makes of the account, and a search as that account
/// (`initial_bind_as_user`).
pub(crate) struct AccountSession<'a> {
    pub(crate) name: &'a str,
    pub(crate) password: &'a Secret,
    pub(crate) lookup: EntryLookup<'a>,
    pub(crate) groups: Option<&'a GroupSearch>,
    /// What the client wrote.
    pub(crate) account: &'a str,
}

/// What came of such a session.
pub(crate) enum SessionOutcome {
    Refused(BindRefusal),
    Bound {
        found: SearchOutcome,
        groups: Vec<String>,
    },
}

impl Exchange for AccountSession<'_> {
    type Outcome = SessionOutcome;

    async fn run(
        &self,
        connection: &mut DirectoryConnection,
    ) -> Result<SessionOutcome, DirectoryError> {
        let bound = connection.bind_account(self.name, self.password).await?;
        if let BindOutcome::Refused(refusal) = bound {
            return Ok(SessionOutcome::Refused(refusal));
        }
        let found = self.lookup.run(connection).await?;
        let mut groups = Vec::new();
        if let [entry] = found.entries.as_slice()
            && !entry.name.is_empty()
        {
            // The filter may have found the entry of another account.
            let is_bound = entry.name.eq_ignore_ascii_case(self.name);
            if !is_bound
                && let BindOutcome::Refused(refusal) =
                    connection.bind_account(&entry.name, self.password).await?
            {
                return Ok(SessionOutcome::Refused(refusal));
            }
            if let Some(search) = self.groups {
                let lookup = GroupLookup {
                    search,
                    account: self.account,
                    name: &entry.name,
                };
                groups = lookup.run(connection).await?;
            }
        }
        Ok(SessionOutcome::Bound { found, groups })
    }
}
