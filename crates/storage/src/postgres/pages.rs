//! Pages of lists. Each page is one range of an index, however large the registry is.

use oci::{Digest, RepositoryName};
use postgresql::Row;

use super::PostgresMetadata;
use super::columns::{column, digest, name, number, size, text};
use super::store::StatementParameters;
use crate::packed_digest::pack;
use crate::{Error, ListPage, PageRequest, ReferrerEntry};

pub(super) async fn tags(
    metadata: &PostgresMetadata,
    name: &RepositoryName,
    page: PageRequest<String>,
) -> Result<ListPage<String>, Error> {
    // One row without a tag if the repository has none, and no row if it is unknown.
    let sql = "SELECT t.name FROM repositories r LEFT JOIN LATERAL (
            SELECT name FROM tags WHERE repository = r.id AND name > $2 ORDER BY name LIMIT $3
        ) t ON true WHERE r.name = $1 ORDER BY t.name";
    let after = begin(&page);
    let rows = metadata
        .query(sql, &[&name.as_str(), &after, &wanted(&page)])
        .await?;
    of_repository(&rows, page.limit, |row| column(row, 0))
}

pub(super) async fn repositories(
    metadata: &PostgresMetadata,
    page: PageRequest<String>,
) -> Result<ListPage<String>, Error> {
    // As a value, and not as EXISTS, which could be planned as a join of the whole tables.
    let sql = "SELECT name FROM repositories r WHERE name > $1
            AND (SELECT true FROM manifests m WHERE m.repository = r.id LIMIT 1)
        ORDER BY name LIMIT $2";
    let after = begin(&page);
    list(
        metadata,
        sql,
        &[&after, &wanted(&page)],
        page.limit,
        |row| column(row, 0),
    )
    .await
}

pub(super) async fn holders(
    metadata: &PostgresMetadata,
    digest: &Digest,
    page: PageRequest<String>,
) -> Result<ListPage<RepositoryName>, Error> {
    let sql = "SELECT r.name FROM blobs b JOIN links l ON l.blob = b.generation
            JOIN repositories r ON r.id = l.repository
        WHERE b.digest = $1 AND b.state IN (1, 2) AND r.name > $2 ORDER BY r.name LIMIT $3";
    let (digest, after) = (pack(digest), begin(&page));
    list(
        metadata,
        sql,
        &[&digest, &after, &wanted(&page)],
        page.limit,
        |row| name(row, 0),
    )
    .await
}

/// The referrers of a subject. A page ends when it is full in bytes, too; then the rest has no
/// annotations, which can be large.
pub(super) async fn referrers(
    metadata: &PostgresMetadata,
    name: &RepositoryName,
    subject: &Digest,
    artifact_type: Option<&str>,
    page: PageRequest<Digest>,
) -> Result<ListPage<ReferrerEntry>, Error> {
    let of_type = match artifact_type {
        None => "",
        Some(_) => "AND f.artifact_type = $6",
    };
    let sql = format!(
        "SELECT digest, media_type, size, artifact_type, CASE WHEN before < $5 THEN annotations END FROM (
             SELECT f.digest, f.media_type, f.size, f.artifact_type, f.annotations, coalesce(sum(
                 256 + octet_length(f.annotations) + coalesce(octet_length(f.artifact_type), 0)
             ) OVER (ORDER BY f.digest ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
             FROM (
                 SELECT f.* FROM repositories r JOIN referrers f ON f.repository = r.id
                 WHERE r.name = $1 AND f.subject = $2 AND f.digest > $3 {of_type} ORDER BY f.digest LIMIT $4
             ) f
         ) page ORDER BY digest"
    );
    let (name, subject, after) = (name.as_str(), pack(subject), after(page.after));
    let (limit, full) = (
        i64::from(page.limit) + 1,
        number(ReferrerEntry::PAGE_BYTES as u64),
    );
    let kind = artifact_type.map(text);
    let mut parameters: Vec<&(dyn postgresql::types::ToSql + Sync)> =
        vec![&name, &subject, &after, &limit, &full];
    if let Some(kind) = &kind {
        parameters.push(kind);
    }
    let rows = metadata.query(&sql, &parameters).await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let annotations: Option<String> = column(row, 4)?;
        let Some(annotations) =
            annotations.filter(|_| entries.len() as u64 != u64::from(page.limit))
        else {
            return Ok(ListPage {
                entries,
                more: true,
            });
        };
        entries.push(ReferrerEntry {
            digest: digest(row, 0)?,
            media_type: column(row, 1)?,
            size: size(row, 2)?,
            artifact_type: column(row, 3)?,
            annotations,
        });
    }
    Ok(ListPage {
        entries,
        more: false,
    })
}

/// The text after which a page begins. Nothing sorts before the empty text, and no name is empty. No
/// name has the character that the database does not store, so the text ends there.
pub(super) fn begin(page: &PageRequest<String>) -> &str {
    let after = page.after.as_deref().unwrap_or_default();
    after.split('\0').next().unwrap_or_default()
}

/// The digest after which a page begins. No bytes sort before every digest.
pub(super) fn after(digest: Option<Digest>) -> Vec<u8> {
    digest.map(|digest| pack(&digest)).unwrap_or_default()
}

/// One more than is requested, which shows whether there are more.
pub(super) fn wanted<T>(page: &PageRequest<T>) -> i64 {
    i64::from(page.limit) + 1
}

/// The entries of one page, of which `sql` looks for one more than `limit`.
pub(super) async fn list<T>(
    metadata: &PostgresMetadata,
    sql: &str,
    parameters: StatementParameters<'_>,
    limit: u32,
    entry: impl Fn(&Row) -> Result<T, Error>,
) -> Result<ListPage<T>, Error> {
    let rows = metadata.query(sql, parameters).await?;
    page(rows.iter(), limit, entry)
}

/// The entries of one page of a repository. The only row of a repository without entries begins with
/// NULL. No row: the repository is unknown.
pub(super) fn of_repository<T>(
    rows: &[Row],
    limit: u32,
    entry: impl Fn(&Row) -> Result<T, Error>,
) -> Result<ListPage<T>, Error> {
    let first = rows.first().ok_or(Error::RepositoryUnknown)?;
    let is_null = column::<Option<IsSomething>>(first, 0)?.is_none();
    page(rows.iter().skip(usize::from(is_null)), limit, entry)
}

fn page<'a, T>(
    rows: impl Iterator<Item = &'a Row>,
    limit: u32,
    entry: impl Fn(&Row) -> Result<T, Error>,
) -> Result<ListPage<T>, Error> {
    let mut rows = rows.take(usize::MAX);
    let limit = limit as usize;
    let entries = rows
        .by_ref()
        .take(limit)
        .map(entry)
        .collect::<Result<_, _>>()?;
    Ok(ListPage {
        entries,
        more: rows.next().is_some(),
    })
}

/// A value of any type.
struct IsSomething;

impl<'a> postgresql::types::FromSql<'a> for IsSomething {
    fn from_sql(
        _: &postgresql::types::Type,
        _: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self)
    }

    fn accepts(_: &postgresql::types::Type) -> bool {
        true
    }
}
