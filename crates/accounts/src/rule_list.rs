//! The operations on rules: what commands call, and the API.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth::{RuleDocumentError, read_rule};
use common::{Clock, unix_seconds};
use database::{AdministrativeChange, Administrator, Database, log_change};
use policy::{Acl, AclEntry, AclEntryError, AclOptions, WarningKind};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};

use crate::rule_document::{MAX_RULE, rule_document};

/// The most rules that a database holds.
pub const MAX_RULES: usize = 10_000;

/// Rules in a [`Database`], in an order. Each change is logged in its own transaction, with the one
/// who made it, and is on the disk when the operation returns. Clones share the database.
#[derive(Clone)]
pub struct RuleList {
    database: Database,
    clock: Arc<dyn Clock>,
}

/// A rule of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRule {
    /// Its number, which no other rule ever gets. It says nothing of the order.
    pub number: i64,
    /// The rule.
    pub entry: AclEntry,
    /// When it was added, to the second.
    pub created_at: SystemTime,
}

/// A place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulePlace {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// Before the rule with this number.
    Before(i64),
    /// After the rule with this number.
    After(i64),
}

/// What is valid in a rule but probably not intended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleDoubt {
    /// The number of the rule.
    pub number: i64,
    /// What it is, and what to write instead.
    pub text: String,
}

/// Why an operation on rules failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum RuleListError {
    /// A pattern or an address is malformed.
    #[error("{}", list(.0))]
    Invalid(Vec<AclEntryError>),
    /// The rule is too long.
    #[error("the rule takes {0} bytes as JSON, and at most {MAX_RULE} are allowed")]
    TooLong(usize),
    /// There are too many.
    #[error("there are {MAX_RULES} rules, and no more are allowed")]
    TooMany,
    /// There is no such rule.
    #[error("there is no rule with the number {0} in the database")]
    Unknown(i64),
    /// A rule in the database cannot be read.
    #[error("rule {number} in the database cannot be read")]
    Unreadable {
        /// Its number.
        number: i64,
        /// What is wrong with it.
        source: RuleDocumentError,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl From<rusqlite::Error> for RuleListError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
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

    /// Adds a rule.
    ///
    /// # Errors
    /// When the rule cannot be used, there are too many, the place names an unknown rule, or the
    /// database fails.
    pub async fn add(
        &self,
        by: &Administrator,
        entry: AclEntry,
        place: RulePlace,
    ) -> Result<ListedRule, RuleListError> {
        Acl::compile(vec![entry.clone()], AclOptions::default()).map_err(RuleListError::Invalid)?;
        let document = rule_document(&entry);
        let text = document.to_string();
        if text.len() > MAX_RULE {
            return Err(RuleListError::TooLong(text.len()));
        }
        let (by, at) = (by.clone(), self.clock.now());
        let write = self.database.write(move |connection: &Connection| {
            let count: usize =
                connection.query_row("SELECT count(*) FROM rules", (), |row| row.get(0))?;
            if count >= MAX_RULES {
                return Err(RuleListError::TooMany);
            }
            // Last, which changes no other row.
            let number = connection.query_row(
                "INSERT INTO rules (position, rule, created_at)
                 VALUES ((SELECT coalesce(max(position), 0) + 1 FROM rules), ?1, ?2)
                 RETURNING number",
                params![text, unix_seconds(at)],
                |row| row.get(0),
            )?;
            if place != RulePlace::Last {
                put(connection, number, place)?;
            }
            let details = json!({ "rule": document, "place": described(place) });
            log(connection, &by, at, "rule.add", number, &details)?;
            Ok(number)
        });
        Ok(ListedRule {
            number: write.await?,
            entry,
            created_at: UNIX_EPOCH + Duration::from_secs(unix_seconds(at)),
        })
    }

    /// Moves a rule.
    ///
    /// # Errors
    /// When there is no such rule, the place names an unknown one, or the database fails.
    pub async fn move_to(
        &self,
        by: &Administrator,
        number: i64,
        place: RulePlace,
    ) -> Result<ListedRule, RuleListError> {
        let (by, at) = (by.clone(), self.clock.now());
        let write = self.database.write(move |connection: &Connection| {
            let rule = listed(&existing(connection, number)?)?;
            put(connection, number, place)?;
            let details = json!({ "place": described(place) });
            log(connection, &by, at, "rule.move", number, &details)?;
            Ok(rule)
        });
        write.await
    }

    /// Removes a rule, even one that cannot be read.
    ///
    /// # Errors
    /// When there is no such rule, or the database fails.
    pub async fn remove(&self, by: &Administrator, number: i64) -> Result<(), RuleListError> {
        let (by, at) = (by.clone(), self.clock.now());
        let write = self.database.write(move |connection: &Connection| {
            let rule = existing(connection, number)?.document();
            connection.execute("DELETE FROM rules WHERE number = ?1", [number])?;
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

fn read_all(connection: &Connection) -> Result<Vec<ListedRule>, RuleListError> {
    let sql = "SELECT number, rule, created_at FROM rules ORDER BY position, number";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map((), stored)?;
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    rows.iter().map(listed).collect()
}

fn existing(connection: &Connection, number: i64) -> Result<RuleRow, RuleListError> {
    let sql = "SELECT number, rule, created_at FROM rules WHERE number = ?1";
    let row = connection.query_row(sql, [number], stored).optional()?;
    row.ok_or(RuleListError::Unknown(number))
}

/// A row of the table.
struct RuleRow {
    number: i64,
    rule: String,
    created_at: u64,
}

impl RuleRow {
    /// The rule's JSON, or its text if it is not JSON.
    fn document(&self) -> Value {
        let text = &self.rule;
        serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<RuleRow> {
    Ok(RuleRow {
        number: row.get("number")?,
        rule: row.get("rule")?,
        created_at: row.get("created_at")?,
    })
}

fn listed(row: &RuleRow) -> Result<ListedRule, RuleListError> {
    let number = row.number;
    let entry = read_rule(&row.document());
    let entry = entry.map_err(|source| RuleListError::Unreadable { number, source })?;
    Ok(ListedRule {
        number,
        entry,
        created_at: UNIX_EPOCH + Duration::from_secs(row.created_at),
    })
}

/// Puts an existing rule to `place`, and numbers the positions of all rules from 1.
fn put(connection: &Connection, number: i64, place: RulePlace) -> Result<(), RuleListError> {
    let mut statement =
        connection.prepare_cached("SELECT number FROM rules ORDER BY position, number")?;
    let order = statement.query_map((), |row| row.get(0))?;
    let mut order: Vec<i64> = order.collect::<Result<_, _>>()?;
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
    let mut update = connection
        .prepare_cached("UPDATE rules SET position = ?2 WHERE number = ?1 AND position <> ?2")?;
    for (number, position) in order.into_iter().zip(1_i64..) {
        update.execute([number, position])?;
    }
    Ok(())
}

fn log(
    connection: &Connection,
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

/// A place in the words of the log.
fn described(place: RulePlace) -> String {
    match place {
        RulePlace::First => "first".to_owned(),
        RulePlace::Last => "last".to_owned(),
        RulePlace::Before(number) => format!("before {number}"),
        RulePlace::After(number) => format!("after {number}"),
    }
}

/// All that is wrong with one rule.
fn list(errors: &[AclEntryError]) -> String {
    let texts = errors.iter();
    let texts: Vec<_> = texts
        .map(|error| format!("match.{}: {}", error.field, error.problem))
        .collect();
    texts.join("; ")
}
