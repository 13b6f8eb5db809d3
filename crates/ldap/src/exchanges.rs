//! What is done on one connection for a login.

use common::Secret;

use crate::connection::{BindOutcome, DirectoryConnection, SearchOutcome, SubtreeSearch};
use crate::error::DirectoryError;
use crate::groups::{GroupLookup, GroupSearch};
use crate::pool::Exchange;
use crate::refusal::BindRefusal;

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
        let search = SubtreeSearch {
            base: self.base,
            filter: &self.filter,
            attributes: if self.attributes.is_empty() {
                &none
            } else {
                self.attributes
            },
            // The second one tells that the name is ambiguous.
            most: 2,
        };
        connection.search(&search).await
    }
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
