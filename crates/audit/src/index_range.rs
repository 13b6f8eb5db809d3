//! Records that follow each other by time in one index of the table.
//!
//! Each statement reads one such range, so what it costs does not depend on the number of all records.
//! SQLite is told which index it is. PostgreSQL has no such words, and chooses an index with the order of
//! the result. So that order has the first column of the index, too.

use database::{DatabaseValue, ToValue};

use crate::AuditCursor;

/// Which records an index has together. The texts of all columns and conditions are those of the migrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IndexRange {
    /// All.
    All,
    /// Of this account: either its tokens, or all others.
    Account { account: String, are_tokens: bool },
    /// About this repository.
    Repository(String),
    /// Of this kind, which is not a frequent one.
    RareKind(String),
    /// About this manifest or blob of the repository.
    Digest { repository: String, digest: String },
    /// The changes of this tag.
    TagChanges { repository: String, tag: String },
}

/// A part of a range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeBounds {
    /// Only records before this one.
    pub(crate) before: AuditCursor,
    /// Not before this time.
    pub(crate) since: i64,
}

/// A statement, and the values of its placeholders.
#[derive(Debug, Default)]
pub(crate) struct AuditStatement<'a> {
    pub(crate) sql: String,
    pub(crate) values: Vec<DatabaseValue<'a>>,
}

/// The kinds that are not frequent.
const IS_RARE: &str =
    "kind NOT IN ('token_issued', 'login_accepted', 'manifest_pulled', 'blob_pulled')";
/// 1 for tokens. So the tokens of an account are found among its pulls, without an index of their own.
const IS_TOKEN: &str = "CASE kind WHEN 'token_issued' THEN 1 ELSE 0 END";
/// A part of the digest is enough to find it, and takes less room.
const SHORT_DIGEST: &str = "substr(digest, 8, 8)";
const IS_TAG_CHANGE: &str =
    "kind IN ('tag_moved', 'tag_deleted', 'tag_removed_by_retention', 'tag_restored')";

impl IndexRange {
    fn index(&self) -> &'static str {
        match self {
            Self::All => "audit_by_time",
            Self::Account { .. } => "audit_by_account",
            Self::Repository(_) => "audit_by_repository",
            Self::RareKind(_) => "audit_by_kind",
            Self::Digest { .. } => "audit_by_digest",
            Self::TagChanges { .. } => "audit_by_tag",
        }
    }

    /// The condition of an index that lacks some records.
    fn index_condition(&self) -> Option<&'static str> {
        match self {
            Self::All | Self::Account { .. } => None,
            Self::Repository(_) => Some("repository IS NOT NULL"),
            Self::RareKind(_) => Some(IS_RARE),
            Self::Digest { .. } => Some("digest IS NOT NULL"),
            Self::TagChanges { .. } => Some(IS_TAG_CHANGE),
        }
    }

    /// The columns before the time, and what they are.
    fn key<'a>(&'a self, statement: &mut AuditStatement<'a>) -> Vec<(&'static str, String)> {
        match self {
            Self::All => Vec::new(),
            Self::Account {
                account,
                are_tokens,
            } => vec![
                ("account", statement.place(account.to_value())),
                (IS_TOKEN, u8::from(*are_tokens).to_string()),
            ],
            Self::Repository(name) => vec![("repository", statement.place(name.to_value()))],
            Self::RareKind(kind) => vec![("kind", statement.place(kind.to_value()))],
            Self::Digest { repository, digest } => vec![
                ("repository", statement.place(repository.to_value())),
                (SHORT_DIGEST, statement.place(short(digest).to_value())),
            ],
            Self::TagChanges { repository, tag } => vec![
                ("repository", statement.place(repository.to_value())),
                ("reference", statement.place(tag.to_value())),
            ],
        }
    }

    /// Ends `statement`, which selects something, with what reads the last records of the range.
    pub(crate) fn read<'a>(
        &'a self,
        mut statement: AuditStatement<'a>,
        is_sqlite: bool,
        bounds: TimeBounds,
    ) -> AuditStatement<'a> {
        let key = self.key(&mut statement);
        let TimeBounds { before, since } = bounds;
        let [at, id, since] = [before.at, before.id, since]
            .map(|number| statement.place(DatabaseValue::Integer(number)));
        let mut conditions = vec![format!("(at, id) < ({at}, {id})"), format!("at >= {since}")];
        conditions.extend(self.index_condition().map(str::to_owned));
        let mut order = vec!["at", "id"];
        for (place, (column, value)) in key.into_iter().enumerate() {
            let is_first = place == 0;
            conditions.push(match is_first && !is_sqlite {
                false => format!("{column} = {value}"),
                // A column with one value has no order, and then the index by time has the order of the result. PostgreSQL
                // does not see that an array has one element.
                true => {
                    order.insert(0, column);
                    format!("{column} = ANY (ARRAY[{value}])")
                }
            });
        }
        let from = match is_sqlite {
            true => format!("audit INDEXED BY {}", self.index()),
            false => "audit".to_owned(),
        };
        let order: Vec<String> = order
            .iter()
            .map(|column| format!("{column} DESC"))
            .collect();
        statement.sql += &format!(
            " FROM {from} WHERE {} ORDER BY {}",
            conditions.join(" AND "),
            order.join(", ")
        );
        statement
    }
}

impl TimeBounds {
    pub(crate) const ALL: Self = Self {
        before: AuditCursor::END,
        since: i64::MIN,
    };
}

impl<'a> AuditStatement<'a> {
    /// One that selects `document`, beside the number and the time of each record.
    pub(crate) fn selecting(document: &str) -> Self {
        Self {
            sql: format!("SELECT id, at, {document} AS document"),
            values: Vec::new(),
        }
    }

    /// A placeholder for `value`.
    pub(crate) fn place(&mut self, value: DatabaseValue<'a>) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }
}

fn short(digest: &str) -> &str {
    let end = digest.len().min(15);
    digest.get(7..end).unwrap_or_default()
}
