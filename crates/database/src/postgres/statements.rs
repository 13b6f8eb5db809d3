//! The statements of one transaction, for a thread that may block.

use std::cell::Cell;

use postgresql::types::ToSql;
use postgresql::{PostgresError, Row, Transaction};
use tokio::runtime::Handle;

use super::placeholders::Placeholders;
use crate::{DatabaseValue, Error};

/// A transaction on which a thread waits for each statement.
pub(crate) struct PostgresStatements<'a> {
    transaction: Transaction,
    runtime: Handle,
    placeholders: &'a Placeholders,
    met_other: Cell<bool>,
}

impl<'a> PostgresStatements<'a> {
    pub(super) fn new(
        transaction: Transaction,
        runtime: Handle,
        placeholders: &'a Placeholders,
    ) -> Self {
        Self {
            transaction,
            runtime,
            placeholders,
            met_other: Cell::new(false),
        }
    }

    /// Whether a statement failed because of another transaction. Then the whole of it can be run
    /// again. A row that is there already was not there when it was looked for, because every write
    /// looks first.
    pub(crate) fn met_other(&self) -> bool {
        self.met_other.get()
    }

    pub(crate) fn execute(&self, sql: &str, values: &[DatabaseValue<'_>]) -> Result<usize, Error> {
        let sql = self.placeholders.translated(sql);
        let values = parameters(values);
        let changed = self.wait(self.transaction.execute(&sql, &values))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    pub(crate) fn query(&self, sql: &str, values: &[DatabaseValue<'_>]) -> Result<Vec<Row>, Error> {
        let sql = self.placeholders.translated(sql);
        let values = parameters(values);
        self.wait(self.transaction.query(&sql, &values))
    }

    fn wait<T>(
        &self,
        statement: impl Future<Output = Result<T, PostgresError>>,
    ) -> Result<T, Error> {
        let result = self.runtime.block_on(statement);
        if let Err(PostgresError::Conflict(_) | PostgresError::Unique { .. }) = result {
            self.met_other.set(true);
        }
        Ok(result?)
    }
}

fn parameters<'a>(values: &'a [DatabaseValue<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    let values = values.iter();
    values.map(|value| value as &(dyn ToSql + Sync)).collect()
}
