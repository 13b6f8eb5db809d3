//! The rows of the rules. Each function runs in a read or a write of its caller.

use std::time::{Duration, UNIX_EPOCH};

use database::{DatabaseConnection, DatabaseRow, Error, ObjectVersion, Precondition, params};
use serde_json::{Value, json};
use tag_rules::PatternError;

use crate::rule::{ImmutableTagError, ListedImmutableTagRule, NewImmutableTagRule};

const COLUMNS: &str = "number, repository, tag, exceptions, created_at";

pub(crate) fn read_all(
    connection: &DatabaseConnection,
) -> Result<Vec<ListedImmutableTagRule>, ImmutableTagError> {
    rows(connection)?.iter().map(listed).collect()
}

fn rows(connection: &DatabaseConnection) -> Result<Vec<TagRuleRow>, ImmutableTagError> {
    let sql = format!("SELECT {COLUMNS} FROM immutable_tag_rules ORDER BY number");
    Ok(connection.query(&sql, params![], stored)?)
}

/// Requires that the precondition is true of the rule, or else of the list.
pub(crate) fn require(
    connection: &DatabaseConnection,
    precondition: &Precondition,
    rule: Option<&TagRuleRow>,
) -> Result<(), ImmutableTagError> {
    let version = rule.map(TagRuleRow::version);
    precondition.require_in_list(version.as_ref(), || {
        Ok(rows(connection)?.iter().map(TagRuleRow::version).collect())
    })
}

pub(crate) fn existing(
    connection: &DatabaseConnection,
    number: i64,
) -> Result<TagRuleRow, ImmutableTagError> {
    let sql = format!("SELECT {COLUMNS} FROM immutable_tag_rules WHERE number = ?1");
    let row = connection.query_optional(&sql, params![number], stored)?;
    row.ok_or(ImmutableTagError::Unknown(number))
}

/// A row of the table.
pub(crate) struct TagRuleRow {
    number: i64,
    repository: String,
    tag: String,
    exceptions: String,
    created_at: u64,
}

impl TagRuleRow {
    /// The rule as it is stored.
    pub(crate) fn document(&self) -> Value {
        let exceptions = &self.exceptions;
        let exceptions: Value =
            serde_json::from_str(exceptions).unwrap_or_else(|_| json!(exceptions));
        json!({"repository": self.repository, "tag": self.tag, "except": exceptions})
    }

    fn version(&self) -> ObjectVersion {
        let (number, created_at) = (self.number.to_string(), self.created_at.to_string());
        let Self {
            repository,
            tag,
            exceptions,
            ..
        } = self;
        ObjectVersion::of(&[&number, repository, tag, exceptions, &created_at])
    }

    fn rule(&self) -> Result<NewImmutableTagRule, Option<PatternError>> {
        let exceptions: Vec<String> = serde_json::from_str(&self.exceptions).map_err(|_| None)?;
        let except = exceptions.iter().map(|text| text.parse());
        Ok(NewImmutableTagRule {
            repository: self.repository.parse().map_err(Some)?,
            tag: self.tag.parse().map_err(Some)?,
            except: except.collect::<Result<_, _>>().map_err(Some)?,
        })
    }
}

fn stored(row: &DatabaseRow<'_>) -> Result<TagRuleRow, Error> {
    Ok(TagRuleRow {
        number: row.get("number")?,
        repository: row.get("repository")?,
        tag: row.get("tag")?,
        exceptions: row.get("exceptions")?,
        created_at: row.get("created_at")?,
    })
}

pub(crate) fn listed(row: &TagRuleRow) -> Result<ListedImmutableTagRule, ImmutableTagError> {
    let number = row.number;
    let rule = row.rule();
    Ok(ListedImmutableTagRule {
        number,
        rule: rule.map_err(|source| ImmutableTagError::Unreadable { number, source })?,
        created_at: UNIX_EPOCH + Duration::from_secs(row.created_at),
        version: row.version(),
    })
}
