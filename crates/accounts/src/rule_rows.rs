//! The rows of the rules. Each function runs in a read or a write of its caller.

use std::time::{Duration, UNIX_EPOCH};

use auth::read_rule;
use database::{DatabaseConnection, DatabaseRow, Error, ObjectVersion, Precondition, params};
use serde_json::Value;

use crate::listed_rule::{ListedRule, RuleListError, RulePlace};

pub(crate) fn read_all(connection: &DatabaseConnection) -> Result<Vec<ListedRule>, RuleListError> {
    rows(connection)?.iter().map(listed).collect()
}

fn rows(connection: &DatabaseConnection) -> Result<Vec<RuleRow>, RuleListError> {
    let sql = "SELECT number, rule, created_at FROM rules ORDER BY position, number";
    Ok(connection.query(sql, params![], stored)?)
}

/// Requires that the precondition is true of the rule, or else of the list.
pub(crate) fn require(
    connection: &DatabaseConnection,
    precondition: &Precondition,
    rule: Option<&RuleRow>,
) -> Result<(), RuleListError> {
    let version = rule.map(RuleRow::version);
    precondition.require_in_list(version.as_ref(), || {
        Ok(rows(connection)?.iter().map(RuleRow::version).collect())
    })
}

pub(crate) fn existing(
    connection: &DatabaseConnection,
    number: i64,
) -> Result<RuleRow, RuleListError> {
    let sql = "SELECT number, rule, created_at FROM rules WHERE number = ?1";
    let row = connection.query_optional(sql, params![number], stored)?;
    row.ok_or(RuleListError::Unknown(number))
}

/// A row of the table.
pub(crate) struct RuleRow {
    number: i64,
    rule: String,
    created_at: u64,
}

impl RuleRow {
    /// The rule's JSON, or its text if it is not JSON.
    pub(crate) fn document(&self) -> Value {
        let text = &self.rule;
        serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
    }

    fn version(&self) -> ObjectVersion {
        let (number, created_at) = (self.number.to_string(), self.created_at.to_string());
        ObjectVersion::of(&[&number, &self.rule, &created_at])
    }
}

fn stored(row: &DatabaseRow<'_>) -> Result<RuleRow, Error> {
    Ok(RuleRow {
        number: row.get("number")?,
        rule: row.get("rule")?,
        created_at: row.get("created_at")?,
    })
}

pub(crate) fn listed(row: &RuleRow) -> Result<ListedRule, RuleListError> {
    let number = row.number;
    let entry = read_rule(&row.document());
    let entry = entry.map_err(|source| RuleListError::Unreadable { number, source })?;
    Ok(ListedRule {
        number,
        entry,
        created_at: UNIX_EPOCH + Duration::from_secs(row.created_at),
        version: row.version(),
    })
}

/// Puts an existing rule to `place`, and numbers the positions of all rules from 1.
pub(crate) fn put(
    connection: &DatabaseConnection,
    number: i64,
    place: RulePlace,
) -> Result<(), RuleListError> {
    let sql = "SELECT number FROM rules ORDER BY position, number";
    let mut order: Vec<i64> = connection.query(sql, params![], |row| row.get(0))?;
    let index_of = |order: &[i64], wanted| {
        let index = order.iter().position(|number| *number == wanted);
        index.ok_or(RuleListError::Unknown(wanted))
    };
    // Beside itself, it stays where it is.
    if matches!(place, RulePlace::Before(other) | RulePlace::After(other) if other == number) {
        return Ok(());
    }
    order.remove(index_of(&order, number)?);
    let index = match place {
        RulePlace::First => 0,
        RulePlace::Last => order.len(),
        RulePlace::Before(other) => index_of(&order, other)?,
        RulePlace::After(other) => index_of(&order, other)? + 1,
    };
    order.insert(index, number);
    let sql = "UPDATE rules SET position = ?2 WHERE number = ?1 AND position <> ?2";
    for (number, position) in order.into_iter().zip(1_i64..) {
        connection.execute(sql, params![number, position])?;
    }
    Ok(())
}
