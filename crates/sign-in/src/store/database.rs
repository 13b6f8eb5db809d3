//! Sign-ins in the table `sign_ins` of the database.

use common::BoxFuture;
use database::{Database, DatabaseConnection, params};

use super::{DocumentKind, TokenStore, TokenStoreError};

/// Keeps the documents of one section of the configuration in a [`Database`].
#[derive(Clone, Debug)]
pub struct DatabaseTokenStore {
    database: Database,
    section: &'static str,
}

impl DatabaseTokenStore {
    /// The documents of `section` in `database`. Other sections have their own.
    #[must_use]
    pub fn new(database: Database, section: &'static str) -> Self {
        Self { database, section }
    }
}

impl TokenStore for DatabaseTokenStore {
    fn read<'a>(
        &'a self,
        kind: DocumentKind,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TokenStoreError>> {
        let (section, user) = (self.section, user.to_owned());
        Box::pin(async move {
            let read = self.database.read(move |connection: &DatabaseConnection| {
                find(connection, section, kind, &user)
            });
            read.await.map_err(failed)
        })
    }

    fn write<'a>(
        &'a self,
        kind: DocumentKind,
        user: &'a str,
        before: Option<&'a [u8]>,
        after: Option<&'a [u8]>,
    ) -> BoxFuture<'a, Result<bool, TokenStoreError>> {
        let (section, user) = (self.section, user.to_owned());
        let (before, after) = (before.map(<[u8]>::to_vec), after.map(<[u8]>::to_vec));
        Box::pin(async move {
            let write = self.database.write(move |connection: &DatabaseConnection| {
                if find(connection, section, kind, &user)? != before {
                    return Ok(false);
                }
                put(connection, section, kind, &user, after.as_deref())?;
                Ok::<_, database::Error>(true)
            });
            write.await.map_err(failed)
        })
    }

    fn users(&self) -> BoxFuture<'_, Result<Vec<String>, TokenStoreError>> {
        let section = self.section;
        Box::pin(async move {
            let read = self.database.read(move |connection: &DatabaseConnection| {
                let sql = "SELECT account FROM sign_ins
                           WHERE backend = ?1 AND kind = 'record' ORDER BY account";
                connection.query(sql, params![section], |row| row.get(0))
            });
            read.await.map_err(failed)
        })
    }
}

fn find(
    connection: &DatabaseConnection,
    section: &str,
    kind: DocumentKind,
    user: &str,
) -> Result<Option<Vec<u8>>, database::Error> {
    let sql = "SELECT content FROM sign_ins WHERE backend = ?1 AND kind = ?2 AND account = ?3";
    connection.query_optional(sql, params![section, kind.name(), user], |row| row.get(0))
}

fn put(
    connection: &DatabaseConnection,
    section: &str,
    kind: DocumentKind,
    user: &str,
    content: Option<&[u8]>,
) -> Result<(), database::Error> {
    let kind = kind.name();
    match content {
        Some(content) => connection.execute(
            "INSERT INTO sign_ins (backend, kind, account, content) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (backend, kind, account) DO UPDATE SET content = excluded.content",
            params![section, kind, user, content],
        )?,
        None => connection.execute(
            "DELETE FROM sign_ins WHERE backend = ?1 AND kind = ?2 AND account = ?3",
            params![section, kind, user],
        )?,
    };
    Ok(())
}

fn failed(error: database::Error) -> TokenStoreError {
    match error.may_pass() {
        true => TokenStoreError::Unavailable(error.into()),
        false => TokenStoreError::Broken(error.into()),
    }
}
