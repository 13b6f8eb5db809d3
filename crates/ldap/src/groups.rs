//! Groups that name their members: a search for the groups of an account, and of those groups.

use std::collections::HashSet;

use ldap3::Scope;

use crate::connection::{DirectoryConnection, DirectorySearch};
use crate::entry::DirectoryEntry;
use crate::error::DirectoryError;
use crate::filter::FilterTemplate;
use crate::labels::ValueChange;
use crate::pool::Exchange;

/// The most groups that a search may find.
const MOST_GROUPS: usize = 1000;

/// How many groups one search of the next level asks for.
const AT_ONCE: usize = 50;

/// How many levels of groups in groups are searched.
const MOST_LEVELS: usize = 10;

/// A search whose findings become a label.
#[derive(Clone, Debug)]
pub struct GroupSearch {
    /// The label's name.
    pub label: String,
    /// Where the groups are.
    pub base: String,
    /// What finds the groups of an account.
    pub filter: FilterTemplate,
    /// The attribute of a group whose values become the label's, such as `cn`. `dn` stands for its
    /// distinguished name.
    pub attribute: String,
    /// Whether the groups of each group are searched, too.
    pub nested: bool,
    /// What is made of each value.
    pub change: ValueChange,
}

/// The search for the groups of one account.
pub(crate) struct GroupLookup<'a> {
    pub(crate) search: &'a GroupSearch,
    pub(crate) account: &'a str,
    /// The account's distinguished name.
    pub(crate) name: &'a str,
}

impl Exchange for GroupLookup<'_> {
    /// The values of the attribute.
    type Outcome = Vec<String>;

    async fn run(
        &self,
        connection: &mut DirectoryConnection,
    ) -> Result<Vec<String>, DirectoryError> {
        let mut found = FoundGroups::default();
        let filter = self.search.filter.expand(self.account, self.name);
        let mut level = self.level(connection, &filter, &mut found).await?;
        let mut levels = 1;
        while self.search.nested && !level.is_empty() && levels < MOST_LEVELS {
            let mut next = Vec::new();
            for groups in level.chunks(AT_ONCE) {
                let expand = |name: &String| self.search.filter.expand(self.account, name);
                let filters: String = groups.iter().map(expand).collect();
                let filter = format!("(|{filters})");
                next.extend(self.level(connection, &filter, &mut found).await?);
            }
            level = next;
            levels += 1;
        }
        Ok(found.values)
    }
}

impl GroupLookup<'_> {
    /// The names of the groups that were not found before. Groups may contain each other.
    async fn level(
        &self,
        connection: &mut DirectoryConnection,
        filter: &str,
        found: &mut FoundGroups,
    ) -> Result<Vec<String>, DirectoryError> {
        let attributes = [self.search.attribute.clone()];
        let search = DirectorySearch {
            base: &self.search.base,
            scope: Scope::Subtree,
            filter,
            attributes: &attributes,
            most: MOST_GROUPS,
        };
        let outcome = connection.search(&search).await?;
        if outcome.has_more {
            return Err(DirectoryError::TooManyGroups(MOST_GROUPS));
        }
        let mut new = Vec::new();
        for entry in outcome.entries {
            if found.add(&entry, &self.search.attribute)? {
                new.push(entry.name);
            }
        }
        Ok(new)
    }
}

#[derive(Default)]
struct FoundGroups {
    /// The names of all of them, in lower case.
    names: HashSet<String>,
    values: Vec<String>,
}

impl FoundGroups {
    /// Whether it is a new one.
    fn add(&mut self, entry: &DirectoryEntry, attribute: &str) -> Result<bool, DirectoryError> {
        if !self.names.insert(entry.name.to_lowercase()) {
            return Ok(false);
        }
        if self.names.len() > MOST_GROUPS {
            return Err(DirectoryError::TooManyGroups(MOST_GROUPS));
        }
        if attribute.eq_ignore_ascii_case("dn") {
            self.values.push(entry.name.clone());
        } else {
            self.values
                .extend(entry.texts(attribute).map(str::to_owned));
        }
        Ok(true)
    }
}
