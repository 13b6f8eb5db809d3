//! How often something has changed that a server keeps in memory.

use crate::{DatabaseConnection, Error, params};

/// How many changes there were of each kind. Triggers count them, so that no operation can forget
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    /// Of accounts.
    pub accounts: u64,
    /// Of rules.
    pub rules: u64,
    /// Of rules that make tags immutable.
    pub immutable_tags: u64,
    /// Of robots, personal tokens and their secrets.
    pub personal_tokens: u64,
}

impl ChangeCounts {
    /// The counts as they are now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(connection: &DatabaseConnection) -> Result<Self, Error> {
        let sql = "SELECT subject, count FROM change_counters";
        let rows = connection.query(sql, params![], |row| {
            Ok((row.get::<String>("subject")?, row.get("count")?))
        })?;
        let mut counts = Self::default();
        for (subject, count) in rows {
            match subject.as_str() {
                "accounts" => counts.accounts = count,
                "rules" => counts.rules = count,
                "immutable_tags" => counts.immutable_tags = count,
                "personal_tokens" => counts.personal_tokens = count,
                _ => {}
            }
        }
        Ok(counts)
    }
}
