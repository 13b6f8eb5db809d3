//! Rules in a database.

use auth::{ProbedRules, RuleStore, RuleStoreError, StoredRule};
use common::BoxFuture;

use crate::connection::QueryRun;
use crate::database::{ProbedRows, SqlDatabase};
use crate::error::SqlError;
use crate::query::SqlQuery;
use crate::row::{Cell, WantedColumn};

const COLUMNS: &[WantedColumn] = &[
    WantedColumn::required("seq"),
    WantedColumn::required("acl_entry"),
];

/// Rules of a table, or of a query of the operator's own.
pub struct SqlRules {
    name: &'static str,
    database: SqlDatabase,
    query: SqlQuery,
}

impl SqlRules {
    /// The rules for the section `name`, which `query` finds in `database`.
    #[must_use]
    pub fn new(name: &'static str, database: SqlDatabase, query: SqlQuery) -> Self {
        Self {
            name,
            database,
            query,
        }
    }

    fn query_run(&self) -> QueryRun<'_> {
        QueryRun {
            query: &self.query,
            account: "",
            columns: COLUMNS,
        }
    }

    async fn read_all(&self) -> Result<Vec<StoredRule>, RuleStoreError> {
        let rows = self.database.fetch(self.query_run()).await;
        rules(rows.map_err(failed)?)
    }

    async fn try_all(&self) -> Result<ProbedRules, RuleStoreError> {
        let probed = self.database.probe(self.query_run()).await;
        match probed.map_err(failed)? {
            ProbedRows::Rows(rows) => rules(rows).map(ProbedRules::Rules),
            ProbedRows::Missing(what) => Ok(ProbedRules::Missing(what)),
        }
    }
}

/// The rules of all rows, or what is wrong with them.
fn rules(rows: Vec<Vec<Cell>>) -> Result<Vec<StoredRule>, RuleStoreError> {
    let (mut rules, mut wrong) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match rule(row) {
            Ok(rule) => rules.push(rule),
            Err(error) => wrong.push(error),
        }
    }
    match wrong.is_empty() {
        true => Ok(rules),
        false => Err(RuleStoreError::Rules(wrong)),
    }
}

impl RuleStore for SqlRules {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read(&self) -> BoxFuture<'_, Result<Vec<StoredRule>, RuleStoreError>> {
        Box::pin(self.read_all())
    }

    fn probe(&self) -> BoxFuture<'_, Result<ProbedRules, RuleStoreError>> {
        Box::pin(self.try_all())
    }
}

/// The rule of a row, or what is wrong with it.
fn rule(row: Vec<Cell>) -> Result<StoredRule, String> {
    let mut cells = row.into_iter();
    let mut next = || cells.next().unwrap_or(Cell::Null);
    let (seq, entry) = (next(), next());
    let seq = match &seq {
        Cell::Integer(seq) => Some(*seq),
        Cell::Text(text) => text.parse().ok(),
        Cell::Null => None,
    };
    let seq = seq.ok_or("a rule has no seq, or one that is not a whole number")?;
    let rule = match entry {
        Cell::Text(text) if !text.trim().is_empty() => serde_json::from_str(&text)
            .map_err(|error| format!("seq {seq}: acl_entry is not JSON: {error}"))?,
        // It is told with the other rules that have no `match`.
        Cell::Text(_) | Cell::Null => serde_json::Value::Null,
        Cell::Integer(number) => number.into(),
    };
    Ok(StoredRule { seq, rule })
}

fn failed(error: SqlError) -> RuleStoreError {
    match error.may_pass() {
        true => RuleStoreError::Unavailable(error.into()),
        false => RuleStoreError::Broken(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn a_row_is_a_rule_or_says_what_is_wrong() {
        let entry = r#"{"Match": {}, "Actions": []}"#;
        for seq in [Cell::Integer(7), text("7")] {
            let rule = rule(vec![seq, text(entry)]).unwrap();
            assert_eq!(
                (rule.seq, rule.rule),
                (7, json!({"Match": {}, "Actions": []}))
            );
        }
        for empty in [Cell::Null, text(""), text(" ")] {
            assert_eq!(
                rule(vec![Cell::Integer(7), empty]).unwrap().rule,
                json!(null)
            );
        }
        for seq in [Cell::Null, text("seven"), text("7.5")] {
            assert!(
                rule(vec![seq, text(entry)])
                    .unwrap_err()
                    .starts_with("a rule has no seq")
            );
        }
        let error = rule(vec![Cell::Integer(7), text("{\"Match\"")]).unwrap_err();
        assert!(error.starts_with("seq 7: acl_entry is not JSON"), "{error}");
    }
}
