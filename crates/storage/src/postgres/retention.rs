//! Tags as retention sees them, their removal, and pull times.

use std::borrow::Cow;

use oci::{Digest, RepositoryName};
use postgresql::Row;
use retention::TagState;

use super::PostgresMetadata;
use super::columns::{column, digest, invalid, name, seconds, size, text};
use super::quotas::{QuotaColumns, StatementWithin};
use crate::packed_digest::pack;
use crate::{
    ChangeAuthor, Error, ListPage, ManifestTags, PageRequest, PullRecording, PullTimeStore,
    PulledManifest, RestoreOutcome, RestoredTag, StorageFuture, TagRemoval, TagRemovalOutcome,
    TagRestoration, TagRetention, Tombstone, TombstoneStore, TombstoneTerms, UntaggedManifests,
};

/// The columns that [`state`] reads, of a tag `t` and its manifest `m`.
const STATE: &str = "t.name, m.digest, epoch_1(t.updated_at), epoch_1(m.leased_at),
    epoch_1(last_pull_1(m.repository, m.id, m.media_type))";

impl TagRetention for PostgresMetadata {
    fn tag_states<'a>(
        &'a self,
        repository: &'a RepositoryName,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<TagState>> {
        Box::pin(async move {
            let sql = format!(
                "SELECT {STATE} FROM repositories r JOIN tags t ON t.repository = r.id AND t.name > $2
                 JOIN manifests m ON m.id = t.manifest WHERE r.name = $1 ORDER BY t.name LIMIT $3"
            );
            let after = page.after.as_deref().unwrap_or_default();
            let wanted = i64::from(page.limit) + 1;
            let rows = self
                .query(&sql, &[&repository.as_str(), &after, &wanted])
                .await?;
            listed(&rows, page.limit, state)
        })
    }

    fn manifest_tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        limit: u32,
    ) -> StorageFuture<'a, ManifestTags> {
        Box::pin(async move {
            // One row without a tag if the manifest has none.
            let sql = format!(
                "SELECT {STATE}, EXISTS (
                    SELECT 1 FROM tag_tombstones d WHERE d.manifest = m.id AND d.expires_at > coalesce($1::timestamptz, now()))
                 FROM repositories r JOIN manifests m ON m.repository = r.id AND m.digest = $3
                 LEFT JOIN tags t ON t.manifest = m.id WHERE r.name = $2 ORDER BY t.name LIMIT $4"
            );
            let (wanted, packed) = (i64::from(limit) + 1, pack(digest));
            let rows = self
                .query(&sql, &[&self.at(), &repository.as_str(), &packed, &wanted])
                .await?;
            let Some(first) = rows.first() else {
                return Ok(ManifestTags::default());
            };
            let is_held = column(first, 5)?;
            let has_tags = column::<Option<&str>>(first, 0)?.is_some();
            let tags = if has_tags { &rows[..] } else { &[] };
            let tags = listed(tags, limit, state)?;
            Ok(ManifestTags {
                exists: true,
                is_held,
                tags: tags.entries,
                more: tags.more,
            })
        })
    }

    fn image_sizes<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digests: Vec<Digest>,
    ) -> StorageFuture<'a, Vec<u64>> {
        Box::pin(async move {
            let sql = "SELECT coalesce(measured.size, 0)::bigint
                FROM unnest($2::bytea[]) WITH ORDINALITY AS wanted (digest, number)
                LEFT JOIN repositories r ON r.name = $1
                LEFT JOIN LATERAL (
                    WITH RECURSIVE part (id) AS (
                        SELECT id FROM manifests WHERE repository = r.id AND digest = wanted.digest
                        UNION SELECT c.id FROM part JOIN manifest_references f ON f.manifest = part.id
                            JOIN manifests c ON c.repository = r.id AND c.digest = f.digest
                    )
                    SELECT (SELECT coalesce(sum(octet_length(m.bytes)), 0) FROM part JOIN manifests m ON m.id = part.id)
                        + (SELECT coalesce(sum(b.size), 0) FROM blobs b JOIN links l ON l.repository = r.id AND l.blob = b.generation
                           WHERE b.state IN (1, 2) AND b.digest IN (
                               SELECT f.digest FROM part JOIN manifest_references f ON f.manifest = part.id)) AS size
                ) measured ON true ORDER BY wanted.number";
            let packed: Vec<_> = digests.iter().map(pack).collect();
            let rows = self.query(sql, &[&repository.as_str(), &packed]).await?;
            rows.iter().map(|row| size(row, 0)).collect()
        })
    }

    fn remove_tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        removals: Vec<TagRemoval>,
        terms: TombstoneTerms,
        author: Option<ChangeAuthor>,
    ) -> StorageFuture<'a, Vec<TagRemovalOutcome>> {
        Box::pin(async move {
            let outcomes = remove_tags(self, repository, &removals, terms, author).await?;
            // What other servers have in memory is not answered any more.
            self.settle().await;
            Ok(outcomes)
        })
    }
}

impl TombstoneStore for PostgresMetadata {
    fn tombstones<'a>(
        &'a self,
        of: Option<&'a RepositoryName>,
        page: PageRequest<i64>,
    ) -> StorageFuture<'a, ListPage<Tombstone>> {
        Box::pin(async move {
            let of_repository = match of {
                Some(_) => "d.repository = (SELECT id FROM repositories WHERE name = $4)",
                None => "$4::text IS NULL",
            };
            let sql = format!(
                "SELECT d.id, r.name, d.name, m.digest, epoch_1(d.pushed_at), epoch_1(d.removed_at),
                    epoch_1(d.expires_at), d.reason
                 FROM tag_tombstones d JOIN repositories r ON r.id = d.repository JOIN manifests m ON m.id = d.manifest
                 WHERE {of_repository} AND d.id > $2 AND d.expires_at > coalesce($1::timestamptz, now())
                 ORDER BY d.id LIMIT $3"
            );
            let (after, wanted) = (page.after.unwrap_or_default(), i64::from(page.limit) + 1);
            let of = of.map(RepositoryName::as_str);
            let rows = self
                .query(&sql, &[&self.at(), &after, &wanted, &of])
                .await?;
            listed(&rows, page.limit, tombstone)
        })
    }

    fn restore(&self, restoration: TagRestoration) -> StorageFuture<'_, RestoredTag> {
        Box::pin(async move {
            let TagRestoration {
                tombstone,
                tag,
                author,
                outbox,
                quotas,
            } = restoration;
            let (account, request) = author_columns(author.as_ref());
            let kinds: Vec<_> = outbox.iter().map(|record| text(&record.kind)).collect();
            let payloads: Vec<&[u8]> = outbox.iter().map(|record| &*record.payload).collect();
            let sql = StatementWithin {
                without: "SELECT * FROM restore_tag_1($1, $2, $3, $4, $5, $6, $7)",
                within: "SELECT * FROM restore_within_quotas_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            };
            let tag = tag.as_str();
            let quotas = QuotaColumns::new(&quotas);
            let rows = self
                .change_within(
                    &quotas,
                    sql,
                    &[
                        &self.at(),
                        &tombstone,
                        &tag,
                        &kinds,
                        &payloads,
                        &account,
                        &request,
                    ],
                )
                .await?;
            let row = rows.first().ok_or(Error::Conflict)?;
            match column::<i16>(row, 0)? {
                0 => Ok(RestoredTag {
                    outcome: RestoreOutcome::Restored,
                    warnings: quotas.warnings(row, 2)?,
                }),
                1 => Ok(RestoreOutcome::TagExists(digest(row, 1)?).into()),
                _ => Ok(RestoreOutcome::TombstoneUnknown.into()),
            }
        })
    }
}

impl PullTimeStore for PostgresMetadata {
    fn recording(&self) -> StorageFuture<'_, PullRecording> {
        Box::pin(async move {
            let sql = "SELECT epoch_1(coalesce($1::timestamptz, now())),
                (SELECT epoch_1(since) FROM pull_recording)";
            let row = self.one(sql, &[&self.at()]).await?;
            Ok(PullRecording {
                now: column(&row, 0)?,
                since: column(&row, 1)?,
            })
        })
    }

    fn record_pulls(&self, pulls: Vec<PulledManifest>, gap: bool) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let names: Vec<&str> = pulls.iter().map(|it| it.repository.as_str()).collect();
            let digests: Vec<_> = pulls.iter().map(|it| pack(&it.digest)).collect();
            let sql = "SELECT record_pulls_1($1, $2, $3, $4)";
            self.query(sql, &[&self.at(), &names, &digests, &gap])
                .await
                .map(drop)
        })
    }
}

async fn remove_tags(
    metadata: &PostgresMetadata,
    repository: &RepositoryName,
    removals: &[TagRemoval],
    terms: TombstoneTerms,
    author: Option<ChangeAuthor>,
) -> Result<Vec<TagRemovalOutcome>, Error> {
    let (account, request) = author_columns(author.as_ref());
    let states = removals.iter().map(|removal| &removal.state);
    let tags: Vec<&str> = states.clone().map(|state| state.tag.as_str()).collect();
    let digests: Vec<_> = states.clone().map(|state| pack(&state.digest)).collect();
    let pushed: Vec<i64> = states.clone().map(|state| state.pushed_at).collect();
    let leased: Vec<i64> = states.clone().map(|state| state.leased_at).collect();
    let pulled: Vec<i64> = states.map(|state| state.pulled_at.unwrap_or(-1)).collect();
    let reasons: Vec<_> = removals
        .iter()
        .map(|removal| text(&removal.reason))
        .collect();
    let counts = removals.iter().map(|removal| removal.outbox.len());
    let counts: Vec<i32> = counts
        .map(|count| i32::try_from(count).unwrap_or(i32::MAX))
        .collect();
    let records = || removals.iter().flat_map(|removal| &removal.outbox);
    let kinds: Vec<_> = records().map(|record| text(&record.kind)).collect();
    let payloads: Vec<&[u8]> = records().map(|record| &*record.payload).collect();
    let releases = terms.untagged == UntaggedManifests::Remove;
    let sql =
        "SELECT remove_tags_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    let row = metadata
        .one(
            sql,
            &[
                &metadata.at(),
                &repository.as_str(),
                &tags,
                &digests,
                &pushed,
                &leased,
                &pulled,
                &reasons,
                &seconds(terms.undelete),
                &releases,
                &counts,
                &kinds,
                &payloads,
                &account,
                &request,
            ],
        )
        .await?;
    let outcomes: Vec<i16> = column(&row, 0)?;
    outcomes.into_iter().map(outcome).collect()
}

/// The author of a change, as columns. Without one, the history has nothing of the change.
fn author_columns(author: Option<&ChangeAuthor>) -> (Option<Cow<'_, str>>, Cow<'_, str>) {
    let account = author.map(|author| text(&author.account));
    let request = author.map_or(Cow::Borrowed(""), |author| text(&author.request_id));
    (account, request)
}

fn outcome(number: i16) -> Result<TagRemovalOutcome, Error> {
    Ok(match number {
        0 => TagRemovalOutcome::Removed,
        1 => TagRemovalOutcome::Gone,
        2 => TagRemovalOutcome::Moved,
        3 => TagRemovalOutcome::Pushed,
        4 => TagRemovalOutcome::Leased,
        5 => TagRemovalOutcome::Pulled,
        _ => return Err(invalid("read what became of a tag")),
    })
}

/// The entries of a page, of which there is one row more than `limit` if there are more.
fn listed<T>(
    rows: &[Row],
    limit: u32,
    entry: impl Fn(&Row) -> Result<T, Error>,
) -> Result<ListPage<T>, Error> {
    let entries = rows.iter().take(limit as usize).map(entry);
    Ok(ListPage {
        entries: entries.collect::<Result<_, _>>()?,
        more: rows.len() as u64 > u64::from(limit),
    })
}

fn state(row: &Row) -> Result<TagState, Error> {
    let tag: &str = column(row, 0)?;
    Ok(TagState {
        tag: tag
            .parse()
            .map_err(|_| invalid("read a tag of the database"))?,
        digest: digest(row, 1)?,
        pushed_at: column(row, 2)?,
        leased_at: column(row, 3)?,
        pulled_at: column(row, 4)?,
    })
}

fn tombstone(row: &Row) -> Result<Tombstone, Error> {
    let tag: &str = column(row, 2)?;
    Ok(Tombstone {
        id: column(row, 0)?,
        repository: name(row, 1)?,
        tag: tag
            .parse()
            .map_err(|_| invalid("read a tag of the database"))?,
        digest: digest(row, 3)?,
        pushed_at: column(row, 4)?,
        removed_at: column(row, 5)?,
        expires_at: column(row, 6)?,
        reason: column(row, 7)?,
    })
}
