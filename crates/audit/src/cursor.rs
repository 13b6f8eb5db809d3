//! A place in the list of records.

use std::fmt;
use std::str::FromStr;

use crate::StoredAuditRecord;

/// Where a page of a list ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditCursor {
    /// The time of the last record.
    pub at: i64,
    /// Its number.
    pub id: i64,
}

impl AuditCursor {
    /// Behind every record.
    pub(crate) const END: Self = Self {
        at: i64::MAX,
        id: i64::MAX,
    };

    pub(crate) fn of(record: &StoredAuditRecord) -> Self {
        Self {
            at: record.at,
            id: record.id,
        }
    }

    /// Before the records of this time.
    pub(crate) fn at(time: i64) -> Self {
        Self { at: time, id: 0 }
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
