//! Which blobs a repository has.

use oci::{Digest, RepositoryName};
use rusqlite::{Connection, OptionalExtension};
use tag_rules::ImmutabilityRules;

use super::columns::{
    BLOB, Packed, blob, link, location, make_repository, repository, revive, state,
};
use super::quotas::QuotaCheck;
use super::tag_history::SqliteTagChanges;
use super::{Sqlite, pages};
use crate::cache::{CachedBlob, Stale};
use crate::{
    AdoptedStore, Blob, BlobIndex, Error, LinkedBlob, ListPage, PageRequest, RepositoryQuotas,
    StorageFuture, StoreId,
};

impl BlobIndex for Sqlite {
    fn find<'a>(&'a self, name: &'a RepositoryName, digest: &'a Digest) -> StorageFuture<'a, Blob> {
        Box::pin(async move { Ok(self.cached(name, digest).await?.blob) })
    }

    fn find_all<'a>(
        &'a self,
        name: &'a RepositoryName,
        digests: Vec<Digest>,
    ) -> StorageFuture<'a, Vec<Blob>> {
        let name = name.clone();
        Box::pin(self.read(move |connection| {
            let mut found = Vec::with_capacity(digests.len());
            for digest in digests {
                match read(connection, &name, digest) {
                    Ok(known) => found.push(known.blob),
                    Err(Error::BlobUnknown) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        }))
    }

    fn lease<'a>(
        &'a self,
        name: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, Blob> {
        Box::pin(async move {
            let (now, renewal) = (self.now(), self.renewal());
            let known = self.cached(name, digest).await?;
            if known
                .leased_at
                .is_some_and(|leased_at| leased_at >= now - renewal)
            {
                return Ok(known.blob);
            }
            let (of, digest) = (name.clone(), *digest);
            let stale = Stale::Blob(name.clone(), digest);
            let work = move |connection: &Connection| {
                let blob = read(connection, &of, digest)?.blob;
                revive(connection, blob.generation, now)?;
                Ok(blob)
            };
            self.write(work, |_| stale).await
        })
    }

    fn mount_within_quotas<'a>(
        &'a self,
        digest: &'a Digest,
        from: &'a RepositoryName,
        to: &'a RepositoryName,
        quotas: RepositoryQuotas,
    ) -> StorageFuture<'a, LinkedBlob> {
        let (digest, from, to, now) = (*digest, from.clone(), to.clone(), self.now());
        let stale = Stale::Blob(to.clone(), digest);
        let work = move |connection: &Connection| {
            let blob = read(connection, &from, digest)?.blob;
            let quotas = QuotaCheck::begin(connection, &quotas)?;
            revive(connection, blob.generation, now)?;
            link(
                connection,
                make_repository(connection, &to)?,
                blob.generation,
            )?;
            let warnings = quotas.end(connection)?;
            Ok(LinkedBlob { blob, warnings })
        };
        Box::pin(self.write(work, |_| stale))
    }

    fn holders<'a>(
        &'a self,
        digest: &'a Digest,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<RepositoryName>> {
        let digest = *digest;
        Box::pin(self.read(move |connection| pages::holders(connection, &digest, &page)))
    }

    fn stores(&self) -> StorageFuture<'_, Vec<AdoptedStore>> {
        Box::pin(self.read(|connection| {
            let mut list = connection.prepare_cached("SELECT id, path FROM stores ORDER BY id")?;
            let rows = list.query_map((), |row| {
                Ok(AdoptedStore {
                    id: StoreId(row.get(0)?),
                    location: location(row.get(1)?),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        }))
    }

    fn unlink_unless_immutable<'a>(
        &'a self,
        name: &'a RepositoryName,
        digest: &'a Digest,
        immutable: ImmutabilityRules,
    ) -> StorageFuture<'a, ()> {
        let (of, digest, now) = (name.clone(), *digest, self.now());
        let stale = Stale::Blob(name.clone(), digest);
        let work = move |connection: &Connection| {
            let blob = read(connection, &of, digest)?.blob;
            let Some(repository) = repository(connection, &of)? else {
                return Err(Error::BlobUnknown);
            };
            let of_tags = SqliteTagChanges {
                repository: &of,
                author: None,
                immutable: &immutable,
                now,
            };
            of_tags.check_needed(connection, repository, digest)?;
            let sql = "DELETE FROM links WHERE blob = ?1 AND repository = ?2";
            connection
                .prepare_cached(sql)?
                .execute([blob.generation, repository])?;
            Ok(())
        };
        Box::pin(self.write(work, |()| stale))
    }
}

impl Sqlite {
    async fn cached(&self, name: &RepositoryName, digest: &Digest) -> Result<CachedBlob, Error> {
        let stamp = match self.cache().blob(name, digest) {
            Ok(known) => return Ok(known),
            Err(stamp) => stamp,
        };
        let (of, wanted) = (name.clone(), *digest);
        let known = self
            .read(move |connection| read(connection, &of, wanted))
            .await?;
        self.shared.cache.insert_blob(name, known.clone(), stamp);
        Ok(known)
    }
}

fn read(
    connection: &Connection,
    name: &RepositoryName,
    digest: Digest,
) -> Result<CachedBlob, Error> {
    let mut find = connection.prepare_cached(&format!(
        "SELECT {BLOB}, b.state, b.leased_at
         FROM repositories r JOIN blobs b ON b.digest = ?2 AND b.state IN (1, 2)
         JOIN links l ON l.repository = r.id AND l.blob = b.generation
         WHERE r.name = ?1"
    ))?;
    let known = find.query_row((name.as_str(), Packed(digest)), |row| {
        let live = row.get::<_, i64>(5)? == state::LIVE;
        Ok(CachedBlob {
            blob: blob(row)?,
            leased_at: if live { Some(row.get(6)?) } else { None },
        })
    });
    known.optional()?.ok_or(Error::BlobUnknown)
}
