//! How types are stored in columns.

use std::io::ErrorKind;

use oci::{Digest, DigestAlgorithm, RepositoryName};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::packed_digest::{algorithm, algorithm_number, pack, unpack};
use crate::{Blob, ContentLocation, Error, StoreId, UploadId};

/// The states of a blob, as the column `state` numbers them.
pub(super) mod state {
    pub(in crate::sqlite) const LIVE: i64 = 1;
    pub(in crate::sqlite) const MARKED: i64 = 2;
}

/// A digest: one byte for the algorithm, and the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Packed(pub(super) Digest);

impl ToSql for Packed {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Blob(pack(&self.0))))
    }
}

impl FromSql for Packed {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let digest = unpack(value.as_blob()?);
        digest.map(Self).ok_or(FromSqlError::InvalidType)
    }
}

/// A hash function, by its number.
pub(super) struct PackedAlgorithm(pub(super) DigestAlgorithm);

impl ToSql for PackedAlgorithm {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(i64::from(algorithm_number(self.0)).into())
    }
}

impl FromSql for PackedAlgorithm {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = u8::try_from(value.as_i64()?).ok();
        number
            .and_then(algorithm)
            .map(Self)
            .ok_or(FromSqlError::InvalidType)
    }
}

/// The columns that [`blob`] reads, of a table called `b`.
pub(super) const BLOB: &str = "b.digest, b.size, b.generation, b.store, b.key";

pub(super) fn blob(row: &Row<'_>) -> rusqlite::Result<Blob> {
    Ok(Blob {
        digest: row.get::<_, Packed>(0)?.0,
        size: row.get(1)?,
        generation: row.get(2)?,
        store: StoreId(row.get(3)?),
        key: row.get(4)?,
    })
}

pub(super) fn upload_id(row: &Row<'_>) -> rusqlite::Result<UploadId> {
    row.get(0).map(UploadId::from_bytes)
}

/// The location of an adopted store, as its row has it.
pub(super) fn location(path: String) -> ContentLocation {
    // A directory's path begins with a slash, or is relative and short.
    if path.contains("://") && !path.starts_with('/') {
        return ContentLocation::Bucket(path);
    }
    ContentLocation::Directory(path.into())
}

/// The text by which a row has a location.
pub(super) fn location_text(location: &ContentLocation) -> Result<String, Error> {
    match location {
        ContentLocation::Directory(path) => path.to_str().map(str::to_owned).ok_or_else(|| {
            Error::io("store a path that is not in UTF-8")(ErrorKind::InvalidFilename.into())
        }),
        ContentLocation::Bucket(url) => Ok(url.clone()),
    }
}

/// The name of a repository.
pub(super) fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<RepositoryName> {
    row.get::<_, String>(column)?
        .parse()
        .map_err(|_| rusqlite::Error::InvalidQuery)
}

/// The number of a repository.
pub(super) fn repository(
    connection: &Connection,
    name: &RepositoryName,
) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached("SELECT id FROM repositories WHERE name = ?1")?;
    Ok(statement
        .query_row([name.as_str()], |row| row.get(0))
        .optional()?)
}

/// The number of a repository, which is created if it is missing.
pub(super) fn make_repository(
    connection: &Connection,
    name: &RepositoryName,
) -> Result<i64, Error> {
    if let Some(id) = repository(connection, name)? {
        return Ok(id);
    }
    connection
        .prepare_cached("INSERT INTO repositories (name) VALUES (?1)")?
        .execute([name.as_str()])?;
    Ok(connection.last_insert_rowid())
}

/// Gives a repository a blob. It may have it already.
pub(super) fn link(connection: &Connection, repository: i64, generation: i64) -> Result<(), Error> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO links VALUES (?1, ?2)")?
        .execute([repository, generation])?;
    Ok(())
}

/// Renews the lease of a blob, and unmarks it.
pub(super) fn revive(connection: &Connection, generation: i64, now: i64) -> Result<(), Error> {
    let sql =
        "UPDATE blobs SET leased_at = max(leased_at, ?2), since = CASE state WHEN 2 THEN ?2 ELSE since END, state = 1
               WHERE generation = ?1 AND state IN (1, 2)";
    connection.prepare_cached(sql)?.execute([generation, now])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_stored_in_their_order() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (d BLOB)").unwrap();
        let mut digests: Vec<_> = [&b"a"[..], b"b", b"c"]
            .into_iter()
            .flat_map(|bytes| {
                DigestAlgorithm::ALL.map(|algorithm| crate::hash::digest(algorithm, bytes))
            })
            .collect();
        for digest in &digests {
            connection
                .execute("INSERT INTO t VALUES (?1)", [Packed(*digest)])
                .unwrap();
        }
        digests.sort();
        let mut statement = connection.prepare("SELECT d FROM t ORDER BY d").unwrap();
        let rows = statement
            .query_map((), |row| Ok(row.get::<_, Packed>(0)?.0))
            .unwrap();
        assert_eq!(rows.collect::<Result<Vec<_>, _>>().unwrap(), digests);
    }
}
