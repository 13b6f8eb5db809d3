//! Which manifests nothing needs, and the repositories that are looked at for them.
//!
//! A manifest stays while it has a tag or a tombstone, or is younger than the age. So does everything
//! that it needs, and everything about it: what an index lists, the subject of a referrer, and the
//! referrers of a subject. If untagged manifests are kept, those go that an expired tombstone releases,
//! with what they list and their referrers.

use oci::RepositoryName;
use postgresql::Row;

use super::PostgresMetadata;
use super::columns::{column, name, seconds};
use crate::Error;
use crate::collection::{CollectionPolicy, GarbageManifest};
use crate::packed_digest::unpack;

/// Repositories in one step of a walk.
const REPOSITORIES: i64 = 64;

/// A repository, and what seems to be there to be removed.
pub(super) struct PrunableRepository {
    pub(super) id: i64,
    pub(super) name: RepositoryName,
    /// It is empty, or has blobs that only others need.
    pub(super) is_untidy: bool,
    /// It has manifests that are old enough and have no tag, or were released.
    pub(super) has_untagged: bool,
    /// It has tombstones that have expired.
    pub(super) has_expired: bool,
}

/// Manifests of one repository that nothing needs, at one count of its changes.
#[derive(Default)]
pub(super) struct UnneededRows {
    pub(super) version: i64,
    pub(super) ids: Vec<i64>,
    pub(super) manifests: Vec<GarbageManifest>,
}

/// How old an untagged manifest must be, in seconds. A lease keeps it for the grace time, too.
pub(super) fn untagged_age(policy: CollectionPolicy) -> Option<f64> {
    policy.untagged.map(|age| seconds(age.max(policy.grace)))
}

impl PostgresMetadata {
    /// Some repositories after the one with this number.
    pub(super) async fn some_repositories(
        &self,
        policy: CollectionPolicy,
        after: i64,
    ) -> Result<Vec<PrunableRepository>, Error> {
        let sql = "SELECT r.id, r.name,
                NOT EXISTS (SELECT 1 FROM manifests m WHERE m.repository = r.id)
                    AND NOT EXISTS (SELECT 1 FROM links l WHERE l.repository = r.id)
                OR EXISTS (
                    SELECT 1 FROM links l JOIN blobs b ON b.generation = l.blob
                    WHERE l.repository = r.id
                        AND b.leased_at < coalesce($1::timestamptz, now()) - make_interval(secs => $4)
                        AND NOT EXISTS (SELECT 1 FROM manifest_references f WHERE f.digest = b.digest AND f.repository = r.id)
                        AND EXISTS (SELECT 1 FROM manifest_references f WHERE f.digest = b.digest)),
                $5::float8 IS NOT NULL AND EXISTS (
                    SELECT 1 FROM manifests m WHERE m.repository = r.id
                        AND m.leased_at < coalesce($1::timestamptz, now()) - make_interval(secs => $5::float8)
                        AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.manifest = m.id)),
                EXISTS (
                    SELECT 1 FROM tag_tombstones d
                    WHERE d.repository = r.id AND d.expires_at <= coalesce($1::timestamptz, now())),
                EXISTS (
                    SELECT 1 FROM tag_tombstones d
                    WHERE d.repository = r.id AND d.releases AND d.expires_at <= coalesce($1::timestamptz, now()))
            FROM (SELECT id, name FROM repositories WHERE id > $2 ORDER BY id LIMIT $3) r ORDER BY r.id";
        let (grace, untagged) = (seconds(policy.grace), untagged_age(policy));
        let rows = self
            .query(sql, &[&self.at(), &after, &REPOSITORIES, &grace, &untagged])
            .await?;
        let repositories = rows.iter().map(|row| {
            Ok(PrunableRepository {
                id: column(row, 0)?,
                name: name(row, 1)?,
                is_untidy: column(row, 2)?,
                has_untagged: column(row, 3)? || column(row, 5)?,
                has_expired: column(row, 4)?,
            })
        });
        repositories.collect()
    }

    /// The manifests of a repository that nothing needs.
    pub(super) async fn unneeded(
        &self,
        of: &PrunableRepository,
        policy: CollectionPolicy,
    ) -> Result<UnneededRows, Error> {
        let sql = "WITH RECURSIVE node AS (
                SELECT m.id, m.digest, m.subject, m.leased_at,
                    EXISTS (SELECT 1 FROM tags t WHERE t.manifest = m.id) OR EXISTS (
                        SELECT 1 FROM tag_tombstones d
                        WHERE d.manifest = m.id AND d.expires_at > coalesce($1::timestamptz, now())) AS held,
                    EXISTS (
                        SELECT 1 FROM tag_tombstones d
                        WHERE d.manifest = m.id AND d.expires_at <= coalesce($1::timestamptz, now())
                            AND d.releases AND m.leased_at < d.removed_at) AS released
                FROM manifests m WHERE m.repository = $2
            ), down (a, b) AS (
                -- What goes with what is released: what it lists, and its referrers.
                SELECT f.manifest, c.id FROM manifest_references f JOIN node c ON c.digest = f.digest
                WHERE f.repository = $2
                UNION ALL SELECT s.id, n.id FROM node n JOIN node s ON s.digest = n.subject
            ), edge (a, b) AS (
                SELECT a, b FROM down
                UNION ALL SELECT n.id, s.id FROM node n JOIN node s ON s.digest = n.subject
            ), released (id) AS (
                SELECT id FROM node WHERE node.released
                UNION SELECT down.b FROM released JOIN down ON down.a = released.id
            ), reached (id) AS (
                SELECT id FROM node WHERE held OR NOT coalesce(
                    leased_at < coalesce($1::timestamptz, now()) - make_interval(secs => $3::float8)
                    OR (id IN (SELECT id FROM released)
                        AND leased_at < coalesce($1::timestamptz, now()) - make_interval(secs => $4)), false)
                UNION SELECT edge.b FROM reached JOIN edge ON edge.a = reached.id
            )
            SELECT r.version, n.id, n.digest FROM repositories r JOIN node n ON true
            WHERE r.id = $2 AND n.id NOT IN (SELECT id FROM reached) ORDER BY n.id";
        let (untagged, grace) = (untagged_age(policy), seconds(policy.grace));
        let rows = self
            .query(sql, &[&self.at(), &of.id, &untagged, &grace])
            .await?;
        let mut unneeded = UnneededRows::default();
        for row in &rows {
            unneeded.version = column(row, 0)?;
            unneeded.ids.push(column(row, 1)?);
            unneeded.manifests.push(garbage(row, &of.name)?);
        }
        Ok(unneeded)
    }
}

fn garbage(row: &Row, repository: &RepositoryName) -> Result<GarbageManifest, Error> {
    let digest = unpack(column(row, 2)?);
    Ok(GarbageManifest {
        repository: repository.clone(),
        digest: digest.ok_or_else(|| super::columns::invalid("read a manifest's digest"))?,
    })
}
