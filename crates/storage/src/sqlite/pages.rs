//! Pages of lists. Each page is one range of an index, however large the registry is.

use oci::{Digest, RepositoryName};
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row};

use super::columns::{Packed, repository};
use crate::{Error, ListPage, PageRequest, ReferrerEntry};

pub(super) fn tags(
    connection: &Connection,
    name: &RepositoryName,
    page: &PageRequest<String>,
) -> Result<ListPage<String>, Error> {
    let Some(id) = repository(connection, name)? else {
        return Err(Error::RepositoryUnknown);
    };
    // Nothing sorts before the empty text, and no tag is empty.
    let after = page.after.as_deref().unwrap_or_default();
    let sql = "SELECT name FROM tags WHERE repository = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
    list(
        connection,
        sql,
        &[&id, &after, &wanted(page)],
        page.limit,
        |row| row.get(0),
    )
}

pub(super) fn repositories(
    connection: &Connection,
    page: &PageRequest<String>,
) -> Result<ListPage<String>, Error> {
    let after = page.after.as_deref().unwrap_or_default();
    let sql =
        "SELECT name FROM repositories WHERE name > ?1 AND manifests > 0 ORDER BY name LIMIT ?2";
    list(
        connection,
        sql,
        &[&after, &wanted(page)],
        page.limit,
        |row| row.get(0),
    )
}

pub(super) fn referrers(
    connection: &Connection,
    name: &RepositoryName,
    subject: &Digest,
    artifact_type: Option<&str>,
    page: &PageRequest<Digest>,
) -> Result<ListPage<ReferrerEntry>, Error> {
    let Some(id) = repository(connection, name)? else {
        return Ok(ListPage {
            entries: Vec::new(),
            more: false,
        });
    };
    let subject = Packed(*subject);
    let after = after(page.after);
    let columns = "SELECT digest, media_type, size, artifact_type, annotations FROM referrers";
    let order = "digest > ?3 ORDER BY digest LIMIT ?4";
    match artifact_type {
        None => {
            let sql = format!("{columns} WHERE repository = ?1 AND subject = ?2 AND {order}");
            full_page(
                connection,
                &sql,
                &[&id, &subject, &after, &wanted(page)],
                page.limit,
            )
        }
        Some(kind) => {
            // Without this, SQLite would read the referrers of all types.
            let sql = format!(
                "{columns} INDEXED BY referrers_by_type
                 WHERE repository = ?1 AND subject = ?2 AND artifact_type = ?5 AND {order}"
            );
            full_page(
                connection,
                &sql,
                &[&id, &subject, &after, &wanted(page), &kind],
                page.limit,
            )
        }
    }
}

pub(super) fn holders(
    connection: &Connection,
    digest: &Digest,
    page: &PageRequest<String>,
) -> Result<ListPage<RepositoryName>, Error> {
    let after = page.after.as_deref().unwrap_or_default();
    let sql =
        "SELECT r.name FROM blobs b JOIN links l ON l.blob = b.generation JOIN repositories r ON r.id = l.repository
               WHERE b.digest = ?1 AND b.state IN (1, 2) AND r.name > ?2 ORDER BY r.name LIMIT ?3";
    list(
        connection,
        sql,
        &[&Packed(*digest), &after, &wanted(page)],
        page.limit,
        |row| super::columns::name(row, 0),
    )
}

/// The digest after which a page begins. An empty blob sorts before every digest.
pub(super) fn after(digest: Option<Digest>) -> Box<dyn ToSql> {
    match digest {
        Some(digest) => Box::new(Packed(digest)),
        None => Box::<Vec<u8>>::default(),
    }
}

/// The expected length of a page, for which room is made at once.
const EXPECTED: u32 = 128;

/// One more than is requested, which shows whether there are more.
pub(super) fn wanted<T>(page: &PageRequest<T>) -> i64 {
    i64::from(page.limit) + 1
}

/// The entries of one page, of which `sql` looks for one more than `limit`.
pub(super) fn list<T>(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
    limit: u32,
    entry: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<ListPage<T>, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut entries = Vec::with_capacity(limit.saturating_add(1).min(EXPECTED) as usize);
    for row in statement.query_map(parameters, entry)? {
        entries.push(row?);
    }
    let more = entries.len() as u64 > u64::from(limit);
    entries.truncate(limit as usize);
    Ok(ListPage { entries, more })
}

/// As [`list`], for referrers, of which a page may be full before it has `limit` entries.
fn full_page(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
    limit: u32,
) -> Result<ListPage<ReferrerEntry>, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if entries.len() as u64 == u64::from(limit) || bytes >= ReferrerEntry::PAGE_BYTES {
            return Ok(ListPage {
                entries,
                more: true,
            });
        }
        let entry = referrer(row)?;
        bytes += entry.weight();
        entries.push(entry);
    }
    Ok(ListPage {
        entries,
        more: false,
    })
}

fn referrer(row: &Row<'_>) -> rusqlite::Result<ReferrerEntry> {
    Ok(ReferrerEntry {
        digest: row.get::<_, Packed>(0)?.0,
        media_type: row.get(1)?,
        size: row.get(2)?,
        artifact_type: row.get(3)?,
        annotations: row.get(4)?,
    })
}
