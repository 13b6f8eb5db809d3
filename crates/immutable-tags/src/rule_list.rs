//! The operations on rules: what commands call, and the API.

use std::sync::Arc;
use std::time::SystemTime;

use common::{Clock, unix_seconds};
use database::{
    AdministrativeChange, Administrator, Database, DatabaseConnection, ObjectVersion, Precondition,
    log_change, params,
};
use serde_json::{Value, json};
use tag_rules::TagPattern;

use crate::rule::{
    ImmutableTagError, ListedImmutableTagRule, MAX_EXCEPTIONS, MAX_TAG_RULES, NewImmutableTagRule,
};
use crate::rule_rows::{existing, listed, read_all, require};

/// Rules in a [`Database`]. Each change is logged in its own transaction, with the one who made it, and
/// is on the disk when the operation returns. Clones share the database.
#[derive(Clone)]
pub struct ImmutableTagList {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl ImmutableTagList {
    /// The rules in `database`.
    #[must_use]
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// All rules, by number.
    ///
    /// # Errors
    /// When the database fails, or holds a rule that cannot be read.
    pub async fn list(&self) -> Result<Vec<ListedImmutableTagRule>, ImmutableTagError> {
        self.database.read(read_all).await
    }

    /// The rule with this number.
    ///
    /// # Errors
    /// When there is no such rule, it cannot be read, or the database fails.
    pub async fn find(&self, number: i64) -> Result<ListedImmutableTagRule, ImmutableTagError> {
        let read = self
            .database
            .read(move |connection: &DatabaseConnection| listed(&existing(connection, number)?));
        read.await
    }

    /// The version of a list with these rules.
    #[must_use]
    pub fn version_of(rules: &[ListedImmutableTagRule]) -> ObjectVersion {
        ObjectVersion::of_list(rules.iter().map(|rule| &rule.version))
    }

    /// Adds a rule. `precondition` is about the list.
    ///
    /// # Errors
    /// When the rule has too many exceptions, there are too many rules, the list is not what
    /// `precondition` demands, or the database fails.
    pub async fn add(
        &self,
        by: &Administrator,
        rule: NewImmutableTagRule,
        precondition: Precondition,
    ) -> Result<ListedImmutableTagRule, ImmutableTagError> {
        if rule.except.len() > MAX_EXCEPTIONS {
            return Err(ImmutableTagError::TooManyExceptions(rule.except.len()));
        }
        let (by, at) = (by.clone(), self.clock.now());
        let write = self.database.write(move |connection: &DatabaseConnection| {
            require(connection, &precondition, None)?;
            let sql = "SELECT count(*) FROM immutable_tag_rules";
            let count: usize = connection.query_one(sql, params![], |row| row.get(0))?;
            if count >= MAX_TAG_RULES {
                return Err(ImmutableTagError::TooMany);
            }
            let (repository, tag) = (rule.repository.as_str(), rule.tag.as_str());
            let exceptions: Vec<&str> = rule.except.iter().map(TagPattern::as_str).collect();
            let number = connection.query_one(
                "INSERT INTO immutable_tag_rules (repository, tag, exceptions, created_at)
                 VALUES (?1, ?2, ?3, ?4) RETURNING number",
                params![
                    repository,
                    tag,
                    json!(exceptions).to_string(),
                    unix_seconds(at)
                ],
                |row| row.get(0),
            )?;
            let details = document(&rule);
            log(connection, &by, at, "immutable_tags.add", number, &details)?;
            listed(&existing(connection, number)?)
        });
        write.await
    }

    /// Removes a rule, even one that cannot be read. `precondition` is about the list, or about the
    /// rule.
    ///
    /// # Errors
    /// When there is no such rule, neither the list nor the rule is what `precondition` demands, or
    /// the database fails.
    pub async fn remove(
        &self,
        by: &Administrator,
        number: i64,
        precondition: Precondition,
    ) -> Result<(), ImmutableTagError> {
        let (by, at) = (by.clone(), self.clock.now());
        let write = self.database.write(move |connection: &DatabaseConnection| {
            let stored = existing(connection, number)?;
            require(connection, &precondition, Some(&stored))?;
            let sql = "DELETE FROM immutable_tag_rules WHERE number = ?1";
            connection.execute(sql, params![number])?;
            let details = stored.document();
            log(
                connection,
                &by,
                at,
                "immutable_tags.remove",
                number,
                &details,
            )
        });
        write.await
    }
}

/// A rule as the log has it.
fn document(rule: &NewImmutableTagRule) -> Value {
    let except: Vec<&str> = rule.except.iter().map(TagPattern::as_str).collect();
    json!({"repository": rule.repository.as_str(), "tag": rule.tag.as_str(), "except": except})
}

fn log(
    connection: &DatabaseConnection,
    by: &Administrator,
    at: SystemTime,
    action: &'static str,
    number: i64,
    details: &Value,
) -> Result<(), ImmutableTagError> {
    let change = AdministrativeChange {
        action,
        object: &format!("immutable tags {number}"),
        details,
    };
    Ok(log_change(connection, by, at, change)?)
}
