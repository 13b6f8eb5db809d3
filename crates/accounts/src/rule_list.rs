//! The operations on rules: what commands call, and the API.

use std::sync::Arc;
use std::time::SystemTime;

use common::{Clock, unix_seconds};
use database::{
    AdministrativeChange, Administrator, Database, DatabaseConnection, ObjectVersion, Precondition,
    log_change, params,
};
use policy::{Acl, AclEntry, AclOptions, WarningKind};
use serde_json::{Value, json};

use crate::listed_rule::{ListedRule, MAX_RULES, RuleListError, RulePlace};
use crate::rule_document::{MAX_RULE, rule_document};
use crate::rule_rows::{existing, listed, put, read_all, require};

/// Rules in a [`Database`], in an order. Each change is logged in its own transaction, with the one
/// who made it, and is on the disk when the operation returns. Clones share the database.
#[derive(Clone)]
pub struct RuleList {
    database: Database,
    clock: Arc<dyn Clock>,
}

/// What is valid in a rule but probably not intended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleDoubt {
    /// The number of the rule.
    pub number: i64,
    /// What it is, and what to write instead.
    pub text: String,
}

impl RuleList {
    /// The rules in `database`.
    #[must_use]
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// All rules, in the order in which they are asked.
    ///
    /// # Errors
    /// When the database fails, or holds a rule that cannot be read.
    pub async fn list(&self) -> Result<Vec<ListedRule>, RuleListError> {
        self.database.read(read_all).await
    }

    /// The rule with this number.
    ///
    /// # Errors
    /// When there is no such rule, it cannot be read, or the database fails.
    pub async fn find(&self, number: i64) -> Result<ListedRule, RuleListError> {
        let read = self
            .database
            .read(move |connection: &DatabaseConnection| listed(&existing(connection, number)?));
        read.await
    }

    /// The version of a list with these rules in this order.
    #[must_use]
    pub fn version_of(rules: &[ListedRule]) -> ObjectVersion {
        ObjectVersion::of_list(rules.iter().map(|rule| &rule.version))
    }

    /// Adds a rule. `precondition` is about the list.
    ///
    /// # Errors
    /// When the rule cannot be used, there are too many, the place names an unknown rule, the list
    /// is not what `precondition` demands, or the database fails.
    pub async fn add(
        &self,
        by: &Administrator,
        entry: AclEntry,
        place: RulePlace,
        precondition: Precondition,
    ) -> Result<ListedRule, RuleListError> {
        Acl::compile(vec![entry.clone()], AclOptions::default()).map_err(RuleListError::Invalid)?;
        let document = rule_document(&entry);
        let text = document.to_string();
        if text.len() > MAX_RULE {
            return Err(RuleListError::TooLong(text.len()));
        }
        let (by, at) = (by.clone(), self.clock.now());
        let write = self.database.write(move |connection: &DatabaseConnection| {
            require(connection, &precondition, None)?;
            let sql = "SELECT count(*) FROM rules";
            let count: usize = connection.query_one(sql, params![], |row| row.get(0))?;
            if count >= MAX_RULES {
                return Err(RuleListError::TooMany);
            }
            // Last, which changes no other row.
            let number = connection.query_one(
                "INSERT INTO rules (position, rule, created_at)
                 VALUES ((SELECT coalesce(max(position), 0) + 1 FROM rules), ?1, ?2)
                 RETURNING number",
                params![text, unix_seconds(at)],
                |row| row.get(0),
            )?;
            if place != RulePlace::Last {
                put(connection, number, place)?;
            }
            let details = json!({ "rule": document, "place": place.to_string() });
            log(connection, &by, at, "rule.add", number, &details)?;
            listed(&existing(connection, number)?)
        });
        write.await
    }

    /// Moves a rule. `precondition` is about the list, or about the rule.
    ///
    /// # Errors
    /// When there is no such rule, the place names an unknown one, neither the list nor the rule is
    /// what `precondition` demands, or the database fails.
    pub async fn move_to(
        &self,
        by: &Administrator,
        number: i64,
        place: RulePlace,
        precondition: Precondition,
    ) -> Result<ListedRule, RuleListError> {
        let (by, at) = (by.clone(), self.clock.now());
        let write = self.database.write(move |connection: &DatabaseConnection| {
            let stored = existing(connection, number)?;
            require(connection, &precondition, Some(&stored))?;
            let rule = listed(&stored)?;
            put(connection, number, place)?;
            let details = json!({ "place": place.to_string() });
            log(connection, &by, at, "rule.move", number, &details)?;
            Ok(rule)
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
    ) -> Result<(), RuleListError> {
        let (by, at) = (by.clone(), self.clock.now());
        let write = self.database.write(move |connection: &DatabaseConnection| {
            let stored = existing(connection, number)?;
            require(connection, &precondition, Some(&stored))?;
            let rule = stored.document();
            connection.execute("DELETE FROM rules WHERE number = ?1", params![number])?;
            let details = json!({ "rule": rule });
            log(connection, &by, at, "rule.remove", number, &details)
        });
        write.await
    }
}

impl RuleDoubt {
    /// What is probably not intended in `rules`, each with its number.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn all(rules: &[ListedRule], options: AclOptions) -> Result<Vec<Self>, RuleListError> {
        let doubt = |warning: &policy::Warning| {
            let kind = match &warning.kind {
                WarningKind::Unreachable(by) => format!(
                    "no request reaches it: rule {} has no conditions, and the first rule that \
                     matches decides",
                    rules[*by].number
                ),
                kind => kind.to_string(),
            };
            Self {
                number: rules[warning.rule].number,
                text: match &warning.field {
                    Some(field) => format!("{field}: {kind}"),
                    None => kind,
                },
            }
        };
        Ok(compile(rules, options)?.warnings().map(doubt).collect())
    }
}

/// The compiled rules.
pub(crate) fn compile(rules: &[ListedRule], options: AclOptions) -> Result<Acl, RuleListError> {
    let entries = rules.iter().map(|rule| rule.entry.clone()).collect();
    Acl::compile(entries, options).map_err(RuleListError::Invalid)
}

fn log(
    connection: &DatabaseConnection,
    by: &Administrator,
    at: SystemTime,
    action: &'static str,
    number: i64,
    details: &Value,
) -> Result<(), RuleListError> {
    let change = AdministrativeChange {
        action,
        object: &format!("rule {number}"),
        details,
    };
    Ok(log_change(connection, by, at, change)?)
}
