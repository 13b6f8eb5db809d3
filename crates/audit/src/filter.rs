//! Which records are read.

use std::fmt;
use std::str::FromStr;

use database::{DatabaseValue, ToValue};

/// Which records are read: those that fit all of what is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this account, as it is recorded.
    pub account: Option<String>,
    /// About this repository.
    pub repository: Option<String>,
    /// About this tag of the repository, or about a manifest that it has pointed at.
    pub tag: Option<String>,
    /// About this manifest or blob.
    pub digest: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Not before this time, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Before this time.
    pub until: Option<i64>,
}

/// Where a page of a list ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditCursor {
    /// The time of the last record.
    pub at: i64,
    /// Its number.
    pub id: i64,
}

/// The kinds of which there are most. The table has an index for all others, in which these would be
/// most of the entries. The text is that of the migration.
const FREQUENT: [&str; 4] = [
    "token_issued",
    "login_accepted",
    "manifest_pulled",
    "blob_pulled",
];
const IS_RARE: &str =
    "kind NOT IN ('token_issued', 'login_accepted', 'manifest_pulled', 'blob_pulled')";

impl AuditFilter {
    /// The conditions after `WHERE`, each of which the database finds in an index or checks, and their
    /// values. Only what is asked for is a condition, so that each filter uses its index.
    pub(crate) fn conditions(&self) -> (Vec<String>, Vec<DatabaseValue<'_>>) {
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        let texts = [
            ("account", &self.account),
            ("repository", &self.repository),
            ("digest", &self.digest),
            ("kind", &self.kind),
        ];
        for (column, text) in texts {
            if let Some(text) = text {
                values.push(text.to_value());
                conditions.push(format!("{column} = ?{}", values.len()));
            }
        }
        if let (Some(repository), Some(tag)) = (&self.repository, &self.tag) {
            values.extend([repository.to_value(), tag.to_value()]);
            let (repository, tag) = (values.len() - 1, values.len());
            // Docker asks for a manifest by its digest after it has asked for the tag.
            conditions.push(format!(
                "(reference = ?{tag} OR digest IN (SELECT digest FROM audit WHERE repository = \
                 ?{repository} AND reference = ?{tag} AND digest IS NOT NULL))"
            ));
        }
        if self
            .kind
            .as_deref()
            .is_some_and(|kind| !FREQUENT.contains(&kind))
        {
            conditions.push(IS_RARE.to_owned());
        }
        for (comparison, time) in [(">=", &self.since), ("<", &self.until)] {
            if let Some(time) = time {
                values.push(time.to_value());
                conditions.push(format!("at {comparison} ?{}", values.len()));
            }
        }
        (conditions, values)
    }
}

impl fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at, self.id)
    }
}

/// A text that is no cursor of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct AuditCursorError;

impl FromStr for AuditCursor {
    type Err = AuditCursorError;

    fn from_str(text: &str) -> Result<Self, AuditCursorError> {
        let (at, id) = text.split_once('.').ok_or(AuditCursorError)?;
        Ok(Self {
            at: at.parse().map_err(|_| AuditCursorError)?,
            id: id.parse().map_err(|_| AuditCursorError)?,
        })
    }
}
