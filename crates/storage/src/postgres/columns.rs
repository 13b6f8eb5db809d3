//! How types are stored in columns.

use std::borrow::Cow;
use std::time::Duration;

use oci::{Digest, RepositoryName};
use postgresql::types::FromSql;
use postgresql::{PostgresError, Row};

use crate::packed_digest::unpack;
use crate::{Blob, ContentLocation, Error, StoreId, UploadId};

/// The longest time that is given to the database: 95 years. Longer ones overflow its dates.
const LONGEST: f64 = 3e9;

/// A value of a row.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, number: usize) -> Result<T, Error> {
    Ok(row.try_get(number).map_err(PostgresError::from)?)
}

/// Any column that the caller finds to be invalid.
pub(super) fn invalid(what: &'static str) -> Error {
    Error::io(what)(std::io::ErrorKind::InvalidData.into())
}

pub(super) fn digest(row: &Row, number: usize) -> Result<Digest, Error> {
    unpack(column(row, number)?).ok_or_else(|| invalid("read a digest of the database"))
}

pub(super) fn name(row: &Row, number: usize) -> Result<RepositoryName, Error> {
    let text: &str = column(row, number)?;
    text.parse()
        .map_err(|_| invalid("read a repository's name of the database"))
}

pub(super) fn upload_id(bytes: &[u8]) -> Result<UploadId, Error> {
    let bytes = bytes.try_into();
    bytes
        .map(UploadId::from_bytes)
        .map_err(|_| invalid("read an upload's id of the database"))
}

/// A number that is not negative.
pub(super) fn size(row: &Row, number: usize) -> Result<u64, Error> {
    let size: i64 = column(row, number)?;
    u64::try_from(size).map_err(|_| invalid("read a length of the database"))
}

/// The columns that [`blob`] reads, of a table called `b`.
pub(super) const BLOB: &str = "b.digest, b.size, b.generation, b.store, b.key";

/// A blob, whose columns begin at number `at`.
pub(super) fn blob(row: &Row, at: usize) -> Result<Blob, Error> {
    Ok(Blob {
        digest: digest(row, at)?,
        size: size(row, at + 1)?,
        generation: column(row, at + 2)?,
        store: StoreId(column(row, at + 3)?),
        key: column(row, at + 4)?,
    })
}

/// A length in bytes, as a column has it.
pub(super) fn number(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A length of time in seconds.
pub(super) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64().min(LONGEST)
}

/// A text without the one character that the database does not store.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The location of an adopted store, as its row has it: a path, or a URL.
pub(super) fn location(text: String) -> ContentLocation {
    if text.contains("://") {
        ContentLocation::Bucket(text)
    } else {
        ContentLocation::Directory(text.into())
    }
}

/// The text by which a row has a location.
pub(super) fn location_text(location: &ContentLocation) -> Result<String, Error> {
    match location {
        ContentLocation::Directory(path) => {
            let path = path.to_str().map(str::to_owned);
            path.ok_or_else(|| invalid("store a path that is not in UTF-8"))
        }
        ContentLocation::Bucket(url) => Ok(url.clone()),
    }
}
