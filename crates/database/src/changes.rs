//! How often something has changed that a server keeps in memory.

use rusqlite::Connection;

use crate::Error;

/// How many changes there were of each kind. Triggers count them, so that no operation can forget
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    /// Of accounts.
    pub accounts: u64,
    /// Of rules.
    pub rules: u64,
    /// Of robots, personal tokens and their secrets.
    pub personal_tokens: u64,
}

impl ChangeCounts {
    /// The counts as they are now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(connection: &Connection) -> Result<Self, Error> {
        let sql = "SELECT subject, count FROM change_counters";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(())?;
        let mut counts = Self::default();
        while let Some(row) = rows.next()? {
            let count = row.get("count")?;
            match row.get_ref("subject")?.as_str().unwrap_or_default() {
                "accounts" => counts.accounts = count,
                "rules" => counts.rules = count,
                "personal_tokens" => counts.personal_tokens = count,
                _ => {}
            }
        }
        Ok(counts)
    }
}
