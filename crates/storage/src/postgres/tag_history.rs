//! What changes do to tags: whether they may, and what the history says of it. The functions of
//! `0009_tags.sql` do both in the transaction of the change.

use std::time::Duration;

use oci::{RepositoryName, Tag};
use postgresql::PostgresError;
use tag_rules::TagPattern;

use super::PostgresMetadata;
use super::columns::{column, digest, seconds};
use super::error::immutable_tag;
use super::pages;
use crate::seams::ImmutableTags;
use crate::{
    ChangeAuthor, Error, ListPage, PageRequest, StorageFuture, TagChange, TagChangeId,
    TagHistoryStore,
};

impl TagHistoryStore for PostgresMetadata {
    fn tag_history<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        page: PageRequest<TagChangeId>,
    ) -> StorageFuture<'a, ListPage<TagChange>> {
        Box::pin(async move {
            let before = page.after.map_or(i64::MAX, |TagChangeId(id)| id);
            let sql = "SELECT id, at, from_digest, to_digest, account, request_id
                FROM tag_history WHERE repository = $1 AND tag = $2 AND id < $3 ORDER BY id DESC LIMIT $4";
            let (name, tag) = (repository.as_str(), tag.as_str());
            let wanted = pages::wanted(&page);
            pages::list(
                self,
                sql,
                &[&name, &tag, &before, &wanted],
                page.limit,
                |row| {
                    let pointed_at = |number| match column::<Option<&[u8]>>(row, number)? {
                        Some(_) => digest(row, number).map(Some),
                        None => Ok(None),
                    };
                    Ok(TagChange {
                        id: TagChangeId(column(row, 0)?),
                        at: column(row, 1)?,
                        from: pointed_at(2)?,
                        to: pointed_at(3)?,
                        author: ChangeAuthor {
                            account: column(row, 4)?,
                            request_id: column(row, 5)?,
                        },
                    })
                },
            )
            .await
        })
    }

    fn forget_tag_changes(&self, keep: Duration, limit: u32) -> StorageFuture<'_, u64> {
        Box::pin(async move {
            let sql = "SELECT forget_tag_changes_1($1, $2, $3)";
            let (keep, limit) = (seconds(keep), i64::from(limit));
            let row = self.one(sql, &[&self.at(), &keep, &limit]).await?;
            Ok(column::<i64>(&row, 0)?.unsigned_abs())
        })
    }
}

/// The rules of a repository as the functions take them: regular expressions, each with that of its
/// exceptions.
pub(super) struct RuleColumns {
    pub(super) patterns: Vec<String>,
    pub(super) exceptions: Vec<String>,
}

impl RuleColumns {
    pub(super) fn new(immutable: &ImmutableTags<'_>) -> Self {
        let rules = immutable.rules().iter();
        let exceptions = rules.clone().map(|rule| {
            let except: Vec<String> = rule.except.iter().map(TagPattern::regex).collect();
            except.join("|")
        });
        Self {
            exceptions: exceptions.collect(),
            patterns: rules.map(|rule| rule.tag.regex()).collect(),
        }
    }
}

/// The author as the functions take it. Without one, nothing is written into the history.
pub(super) struct AuthorColumns<'a> {
    pub(super) account: Option<&'a str>,
    pub(super) request_id: Option<&'a str>,
}

impl<'a> AuthorColumns<'a> {
    pub(super) fn new(author: Option<&'a ChangeAuthor>) -> Self {
        Self {
            account: author.map(|author| author.account.as_str()),
            request_id: author.map(|author| author.request_id.as_str()),
        }
    }
}

/// What an error of such a function means.
pub(super) fn refused(error: PostgresError, immutable: &ImmutableTags<'_>) -> Error {
    match immutable_tag(&error) {
        Some((tag, digest)) => match immutable.check(&tag, digest) {
            Err(refused) => refused,
            // The rules that were passed are these.
            Ok(()) => error.into(),
        },
        None => error.into(),
    }
}
