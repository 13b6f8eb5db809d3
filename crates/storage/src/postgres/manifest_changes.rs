//! Changes of manifests and tags: each is one function of the database.

use std::borrow::Cow;

use oci::{Digest, RepositoryName, Tag};
use postgresql::types::ToSql;

use super::PostgresMetadata;
use super::columns::{column, text};
use super::error::missing_positions;
use super::quotas::QuotaColumns;
use super::tag_history::{AuthorColumns, RuleColumns, refused};
use crate::packed_digest::pack;
use crate::seams::ImmutableTags;
use crate::{ChangeSet, Error, NewManifest, QuotaWarning};

/// What every change has beside its own values, as columns.
pub(super) struct ChangeColumns<'a> {
    repository: &'a str,
    kinds: Vec<Cow<'a, str>>,
    payloads: Vec<&'a [u8]>,
    author: AuthorColumns<'a>,
    immutable: ImmutableTags<'a>,
    quotas: QuotaColumns<'a>,
}

/// What a push has done.
pub(super) struct PushOutcome {
    /// Whether a tag has moved, which servers have to notice.
    pub(super) is_noticed: bool,
    pub(super) warnings: Vec<QuotaWarning>,
}

impl<'a> ChangeColumns<'a> {
    pub(super) fn new(repository: &'a RepositoryName, changes: &'a ChangeSet) -> Self {
        let records = changes.outbox.iter();
        Self {
            repository: repository.as_str(),
            kinds: records.clone().map(|record| text(&record.kind)).collect(),
            payloads: records.map(|record| &*record.payload).collect(),
            author: AuthorColumns::new(changes.author.as_ref()),
            immutable: ImmutableTags::new(&changes.immutable, repository),
            quotas: QuotaColumns::new(&changes.quotas),
        }
    }
}

/// A manifest's columns that its functions take.
pub(super) struct ManifestColumns<'a> {
    pub(super) digest: Vec<u8>,
    pub(super) media_type: Cow<'a, str>,
    pub(super) subject: Option<Vec<u8>>,
    pub(super) bytes: &'a [u8],
    pub(super) references: Vec<Vec<u8>>,
    pub(super) artifact_type: Option<String>,
    pub(super) annotations: Option<String>,
}

impl<'a> ManifestColumns<'a> {
    pub(super) fn new(manifest: &'a NewManifest) -> Self {
        let parsed = manifest.manifest();
        let subject = parsed.subject.as_ref();
        let entry = subject.map(|_| manifest.referrer_entry());
        let (artifact_type, annotations) = entry.map_or((None, None), |entry| {
            let artifact_type = entry.artifact_type.map(|kind| text(&kind).into_owned());
            (artifact_type, Some(text(&entry.annotations).into_owned()))
        });
        Self {
            digest: pack(&manifest.digest()),
            media_type: text(&parsed.media_type),
            subject: subject.map(|subject| pack(&subject.digest)),
            bytes: manifest.bytes().as_ref(),
            references: manifest.references().map(|it| pack(&it.digest)).collect(),
            artifact_type,
            annotations,
        }
    }
}

impl PostgresMetadata {
    /// Pushes a manifest.
    pub(super) async fn push(
        &self,
        manifest: &NewManifest,
        tags: &[Tag],
        change: &ChangeColumns<'_>,
    ) -> Result<PushOutcome, Error> {
        let columns = ManifestColumns::new(manifest);
        let mut needed: Vec<Digest> = Vec::new();
        for descriptor in manifest.manifest().blobs() {
            if !needed.contains(&descriptor.digest) {
                needed.push(descriptor.digest);
            }
        }
        let packed: Vec<Vec<u8>> = needed.iter().map(pack).collect();
        let immutable = tags.iter().filter(|tag| change.immutable.covers(tag));
        let immutable: Vec<&str> = immutable.map(Tag::as_str).collect();
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        let AuthorColumns {
            account,
            request_id,
        } = &change.author;
        let (at, may_lack) = (self.at(), manifest.may_lack_blobs());
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![
            &at,
            &change.repository,
            &columns.digest,
            &columns.media_type,
            &columns.subject,
            &columns.bytes,
            &columns.references,
            &columns.artifact_type,
            &columns.annotations,
            &packed,
            &may_lack,
            &tags,
            &change.kinds,
            &change.payloads,
            &immutable,
            account,
            request_id,
        ];
        let quotas = &change.quotas;
        let pushed = if quotas.is_empty() {
            let sql =
                "SELECT push_with_tags_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
                       $15, $16, $17)";
            self.try_query(sql, &parameters).await
        } else {
            let sql =
                "SELECT * FROM push_within_quotas_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
                       $13, $14, $15, $16, $17, $18, $19, $20)";
            parameters.extend(quotas.parameters());
            self.query_within(quotas, sql, &parameters).await
        };
        let pushed = match pushed {
            Ok(rows) => rows,
            Err(error) => {
                return Err(match missing_positions(&error) {
                    Some(positions) => {
                        let digests = positions
                            .iter()
                            .filter_map(|at| needed.get(at.wrapping_sub(1)));
                        Error::ReferencesUnknown(digests.copied().collect())
                    }
                    None => match quotas.refused(&error) {
                        Some(refused) => refused,
                        None => refused(error, &change.immutable),
                    },
                });
            }
        };
        let row = pushed.first().ok_or(Error::Conflict)?;
        Ok(PushOutcome {
            is_noticed: column(row, 0)?,
            warnings: quotas.warnings(row, 1)?,
        })
    }

    pub(super) async fn remove(
        &self,
        digest: &Digest,
        change: &ChangeColumns<'_>,
    ) -> Result<(), Error> {
        let RuleColumns {
            patterns,
            exceptions,
        } = RuleColumns::new(&change.immutable);
        let AuthorColumns {
            account,
            request_id,
        } = &change.author;
        let removed = self
            .try_query(
                "SELECT remove_with_tags_1($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                &[
                    &self.at(),
                    &change.repository,
                    &pack(digest),
                    &change.kinds,
                    &change.payloads,
                    &patterns,
                    &exceptions,
                    account,
                    request_id,
                ],
            )
            .await;
        removed.map_err(|error| refused(error, &change.immutable))?;
        Ok(())
    }

    pub(super) async fn untag(&self, tag: &Tag, change: &ChangeColumns<'_>) -> Result<(), Error> {
        let AuthorColumns {
            account,
            request_id,
        } = &change.author;
        let untagged = self
            .try_query(
                "SELECT untag_with_history_1($1, $2, $3, $4, $5, $6, $7, $8)",
                &[
                    &self.at(),
                    &change.repository,
                    &tag.as_str(),
                    &change.kinds,
                    &change.payloads,
                    &change.immutable.covers(tag),
                    account,
                    request_id,
                ],
            )
            .await;
        untagged.map_err(|error| refused(error, &change.immutable))?;
        Ok(())
    }
}
