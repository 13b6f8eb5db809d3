//! Writing records into the table.

use std::sync::OnceLock;

use database::{DatabaseConnection, DatabaseValue, Error, ToValue, row_chunks, row_placeholders};

use crate::AuditRecord;

/// How many columns are written.
const COLUMNS: usize = 8;

/// How many lengths a chunk of rows can have: the powers of two up to 64.
const LENGTHS: usize = 7;

/// The statements for each length. A text of several thousand bytes takes as long as several rows.
static STATEMENTS: [OnceLock<String>; LENGTHS] = [const { OnceLock::new() }; LENGTHS];

/// Writes records, each with the number that it has in the outbox if it comes from there. One that is here
/// already is not written again.
pub(crate) fn insert(
    connection: &DatabaseConnection<'_>,
    records: &[(Option<i64>, &AuditRecord)],
) -> Result<(), Error> {
    for chunk in row_chunks(records) {
        let mut values = Vec::with_capacity(COLUMNS * chunk.len());
        values.extend(chunk.iter().flat_map(values_of));
        let length = chunk.len().trailing_zeros() as usize;
        match STATEMENTS.get(length) {
            Some(kept) => {
                let statement = kept.get_or_init(|| statement(chunk.len()));
                connection.execute(statement, &values)?
            }
            None => connection.execute(&statement(chunk.len()), &values)?,
        };
    }
    Ok(())
}

fn values_of<'a>(
    (number, record): &'a (Option<i64>, &AuditRecord),
) -> [DatabaseValue<'a>; COLUMNS] {
    [
        record.at.to_value(),
        record.kind.to_value(),
        record.account.to_value(),
        record.repository.to_value(),
        record.reference.to_value(),
        record.digest.to_value(),
        record.document.to_value(),
        number.to_value(),
    ]
}

fn statement(rows: usize) -> String {
    format!(
        "INSERT INTO audit (at, kind, account, repository, reference, digest, document, outbox)
         VALUES {} ON CONFLICT DO NOTHING",
        row_placeholders(rows, COLUMNS)
    )
}
