//! The objects of uploads, in a store of content that chooses keys.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::seams::is_kept;
use crate::{Error, UploadObjects};

/// As the row of an upload has them.
pub(super) fn objects_to_text(objects: &UploadObjects) -> String {
    let UploadObjects { key, names, state } = objects;
    json!({ "key": key, "names": names, "state": state }).to_string()
}

/// The objects of a row. `None` if the text is not valid.
pub(super) fn objects_from_text(text: &str) -> Option<UploadObjects> {
    let value: Value = serde_json::from_str(text).ok()?;
    let names = value.get("names")?.as_array()?.iter();
    Some(UploadObjects {
        key: value.get("key")?.as_str().map(str::to_owned),
        names: names
            .map(|name| name.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
        state: value.get("state")?.as_str()?.to_owned(),
    })
}

/// The names of an upload's objects. A store that finds content by the upload's id has none.
pub(super) fn names(objects: Option<&str>) -> Vec<String> {
    let objects = objects.and_then(objects_from_text);
    objects.map_or_else(Vec::new, |objects| objects.names)
}

/// From now on, nothing needs the objects of `names`, except those of `kept`.
pub(super) fn mark_unused(
    connection: &Connection,
    names: &[String],
    kept: &[String],
    now: i64,
) -> Result<(), Error> {
    for name in names.iter().filter(|name| !is_kept(name, kept)) {
        connection
            .prepare_cached("INSERT OR IGNORE INTO unused_objects (name, since) VALUES (?1, ?2)")?
            .execute((name, now))?;
    }
    Ok(())
}

/// Some unused objects.
pub(super) fn list_unused(connection: &Connection, limit: u32) -> Result<Vec<String>, Error> {
    let mut list =
        connection.prepare_cached("SELECT name FROM unused_objects ORDER BY name LIMIT ?1")?;
    let names = list.query_map([limit], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Forgets unused objects that have been removed.
pub(super) fn forget(connection: &Connection, names: &[String]) -> Result<(), Error> {
    let mut delete = connection.prepare_cached("DELETE FROM unused_objects WHERE name = ?1")?;
    names
        .iter()
        .try_for_each(|name| Ok(delete.execute([name]).map(drop)?))
}
