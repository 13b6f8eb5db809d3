//! Which manifests nothing needs, and the repositories that are looked at for them.
//!
//! A manifest stays while it has a tag or is younger than the age. So does everything that it needs,
//! and everything about it: what an index lists, the subject of a referrer, and the referrers of a
//! subject.

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
    /// It has manifests that are old enough and have no tag.
    pub(super) has_untagged: bool,
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
                        AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.manifest = m.id))
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
                has_untagged: column(row, 3)?,
            })
        });
        repositories.collect()
    }

    /// The untagged manifests of a repository that are older than `age` and that nothing needs.
    pub(super) async fn unneeded(
        &self,
        of: &PrunableRepository,
        age: f64,
    ) -> Result<UnneededRows, Error> {
        let sql = "WITH RECURSIVE node AS (
                SELECT m.id, m.digest, m.subject,
                    m.leased_at >= coalesce($1::timestamptz, now()) - make_interval(secs => $3)
                        OR EXISTS (SELECT 1 FROM tags t WHERE t.manifest = m.id) AS needed
                FROM manifests m WHERE m.repository = $2
            ), edge (a, b) AS (
                SELECT f.manifest, c.id FROM manifest_references f JOIN node c ON c.digest = f.digest
                WHERE f.repository = $2
                UNION ALL SELECT n.id, s.id FROM node n JOIN node s ON s.digest = n.subject
                UNION ALL SELECT s.id, n.id FROM node n JOIN node s ON s.digest = n.subject
            ), reached (id) AS (
                SELECT id FROM node WHERE needed
                UNION SELECT edge.b FROM reached JOIN edge ON edge.a = reached.id
            )
            SELECT r.version, n.id, n.digest FROM repositories r JOIN node n ON true
            WHERE r.id = $2 AND n.id NOT IN (SELECT id FROM reached) ORDER BY n.id";
        let rows = self.query(sql, &[&self.at(), &of.id, &age]).await?;
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
