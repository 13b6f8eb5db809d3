//! Migrations: a list of steps, to which new ones are only appended.
//!
//! A database has the number of its steps (`PRAGMA user_version`) and the id of its program (`PRAGMA
//! application_id`). Both change in the transaction that changes the tables, so no step is ever
//! partially applied.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::Error;

/// The steps, in order. The statements of a released step are never changed; a new step corrects them.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_refresh_tokens.sql"),
    include_str!("../../migrations/sqlite/0002_registry.sql"),
    include_str!("../../migrations/sqlite/0003_adoption.sql"),
    include_str!("../../migrations/sqlite/0004_checkpoints.sql"),
    include_str!("../../migrations/sqlite/0005_session_logins.sql"),
    include_str!("../../migrations/sqlite/0006_sign_ins.sql"),
    include_str!("../../migrations/sqlite/0007_accounts.sql"),
    include_str!("../../migrations/sqlite/0008_personal_tokens.sql"),
    include_str!("../../migrations/sqlite/0009_device_logins.sql"),
    include_str!("../../migrations/sqlite/0010_objects.sql"),
    include_str!("../../migrations/sqlite/0011_idempotency_keys.sql"),
    include_str!("../../migrations/sqlite/0012_audit.sql"),
    include_str!("../../migrations/sqlite/0013_notifications.sql"),
    include_str!("../../migrations/sqlite/0014_tags.sql"),
    include_str!("../../migrations/sqlite/0015_acme.sql"),
    include_str!("../../migrations/sqlite/0016_retention.sql"),
    include_str!("../../migrations/sqlite/0017_quotas.sql"),
    include_str!("../../migrations/sqlite/0018_audit_reads.sql"),
    include_str!("../../migrations/sqlite/0019_duties.sql"),
];

/// `WHRF`: marks a SQLite file as ours.
const APPLICATION_ID: i64 = 0x5748_5246;

/// The state of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has no tables.
    Empty,
    /// It has all steps.
    Current,
    /// It lacks steps.
    Behind,
    /// A newer program has migrated it to this version.
    Newer(i64),
    /// It has tables of another program.
    Foreign,
}

/// The number of steps that this program knows.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The state of the database of `connection`. Nothing is changed.
pub(crate) fn state(connection: &Connection) -> Result<State, Error> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (id, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(match (id, version) {
        (0, 0) if tables == 0 => State::Empty,
        (APPLICATION_ID, VERSION) => State::Current,
        (APPLICATION_ID, 0..VERSION) => State::Behind,
        (APPLICATION_ID, VERSION..) => State::Newer(version),
        _ => State::Foreign,
    })
}

/// Applies the missing steps, all or none. The database must be empty or ours, and no other process may
/// migrate it at the same time.
pub(crate) fn apply(connection: &Connection) -> Result<(), Error> {
    take(connection, MIGRATIONS)
}

fn take(connection: &Connection, steps: &[&str]) -> Result<(), Error> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let done: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (step, version) in steps
        .iter()
        .zip(1_i64..)
        .filter(|(_, version)| *version > done)
    {
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [&str; 2] = [
        "CREATE TABLE one (n INTEGER)",
        "ALTER TABLE one ADD COLUMN m INTEGER",
    ];

    fn memory() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    #[test]
    fn from_nothing_to_now() {
        let connection = memory();
        assert_eq!(state(&connection).unwrap(), State::Empty);
        apply(&connection).unwrap();
        assert_eq!(state(&connection).unwrap(), State::Current);
        apply(&connection).unwrap();
        assert_eq!(state(&connection).unwrap(), State::Current);
    }

    #[test]
    fn only_missing_steps_are_taken() {
        let connection = memory();
        take(&connection, &STEPS[..1]).unwrap();
        connection
            .execute("INSERT INTO one VALUES (7)", ())
            .unwrap();
        take(&connection, &STEPS).unwrap();
        let row: (i64, Option<i64>) = connection
            .query_row("SELECT n, m FROM one", (), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(row, (7, None));
    }

    #[test]
    fn an_adoption_counts_as_ended_only_where_it_was_declared_final() {
        let connection = memory();
        take(&connection, &MIGRATIONS[..2]).unwrap();
        let sql = "INSERT INTO stores (path, progress, final) VALUES ('/a', NULL, 0), ('/b', 'x', 0), ('/c', NULL, 1)";
        connection.execute(sql, ()).unwrap();
        apply(&connection).unwrap();
        let mut list = connection
            .prepare("SELECT path FROM stores WHERE complete = 1")
            .unwrap();
        let complete: Vec<String> = list
            .query_map((), |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(complete, ["/c"]);
    }

    #[test]
    fn a_step_that_fails_leaves_nothing_behind() {
        let connection = memory();
        assert!(
            take(
                &connection,
                &[
                    STEPS[0],
                    "CREATE TABLE two (n); INSERT INTO nowhere VALUES (1)"
                ]
            )
            .is_err()
        );
        assert_eq!(state(&connection).unwrap(), State::Empty);
        take(&connection, &STEPS[..1]).unwrap();
        assert!(
            take(
                &connection,
                &[
                    STEPS[0],
                    "CREATE TABLE two (n); INSERT INTO nowhere VALUES (1)"
                ]
            )
            .is_err()
        );
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1);
    }

    #[test]
    fn versions_and_owners_are_told_apart() {
        for (id, version, expected) in [
            (APPLICATION_ID, VERSION, State::Current),
            (APPLICATION_ID, VERSION - 1, State::Behind),
            (APPLICATION_ID, VERSION + 1, State::Newer(VERSION + 1)),
            (APPLICATION_ID, -1, State::Foreign),
            (0, 0, State::Foreign),
            (0, VERSION, State::Foreign),
            (42, VERSION, State::Foreign),
        ] {
            let connection = memory();
            connection.execute_batch(STEPS[0]).unwrap();
            connection
                .pragma_update(None, "application_id", id)
                .unwrap();
            connection
                .pragma_update(None, "user_version", version)
                .unwrap();
            assert_eq!(state(&connection).unwrap(), expected, "{id} {version}");
        }
    }
}
