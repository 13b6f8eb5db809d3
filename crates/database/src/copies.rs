//! Which database is a copy of which.
//!
//! The table is created by the command that copies, because no server needs it.

use crate::{Database, DatabaseConnection, Error, params};

/// What a database is a copy of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// It was never copied to.
    None,
    /// The database with this id is being copied to it.
    Unfinished(String),
    /// The database with this id was copied to it, and it has its own life now.
    Complete(String),
}

impl Database {
    /// The id by which copies name this database. `new` becomes the id if it has none yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn copy_id(&self, new: &str) -> Result<String, Error> {
        let new = new.to_owned();
        self.write(move |connection| {
            create(connection)?;
            let known = find(connection, "source")?;
            if let Some(known) = known {
                return Ok(known);
            }
            set(connection, "source", &new)?;
            Ok(new.clone())
        })
        .await
    }

    /// What this database is a copy of.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn copy_state(&self) -> Result<CopyState, Error> {
        let exists = if self.sqlite().is_some() {
            "SELECT count(*) FROM sqlite_schema WHERE name = 'copies'"
        } else {
            "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'copies'"
        };
        self.read(move |connection| {
            let tables: i64 = connection.query_one(exists, &[], |row| row.get(0))?;
            if tables == 0 {
                return Ok(CopyState::None);
            }
            if let Some(id) = find(connection, "complete")? {
                return Ok(CopyState::Complete(id));
            }
            let unfinished = find(connection, "target")?;
            Ok(unfinished.map_or(CopyState::None, CopyState::Unfinished))
        })
        .await
    }

    /// Says what this database is a copy of.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_copy_state(&self, state: CopyState) -> Result<(), Error> {
        self.write(move |connection| {
            create(connection)?;
            let sql = "DELETE FROM copies WHERE role IN ('target', 'complete')";
            connection.execute(sql, &[])?;
            match &state {
                CopyState::None => Ok(()),
                CopyState::Unfinished(id) => set(connection, "target", id),
                CopyState::Complete(id) => set(connection, "complete", id),
            }
        })
        .await
    }
}

fn create(connection: &DatabaseConnection<'_>) -> Result<(), Error> {
    let sql =
        "CREATE TABLE IF NOT EXISTS copies (role TEXT NOT NULL PRIMARY KEY, id TEXT NOT NULL)";
    connection.execute(sql, &[]).map(drop)
}

fn find(connection: &DatabaseConnection<'_>, role: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT id FROM copies WHERE role = ?1";
    connection.query_optional(sql, params![role], |row| row.get(0))
}

fn set(connection: &DatabaseConnection<'_>, role: &str, id: &str) -> Result<(), Error> {
    let sql = "INSERT INTO copies (role, id) VALUES (?1, ?2)";
    connection.execute(sql, params![role, id]).map(drop)
}
