//! The identity of a directory that several servers share: a file with a random text. Their database has
//! it, too, so a server with another directory is told.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::durable::{sync_parent, unless_missing};

const NAME: &str = "wharfinger-content";

/// The identity. `None` if the directory has none.
pub(super) fn read(root: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(root.join(NAME)) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives the directory the identity `new`, unless it has one. Returns the one that it has.
pub(super) fn make(root: &Path, new: &str) -> io::Result<String> {
    if let Some(found) = read(root)? {
        return Ok(found);
    }
    // It appears with its text, even if several servers start at once.
    let (temporary, path) = (root.join(format!("{NAME}.{new}")), root.join(NAME));
    fs::write(&temporary, format!("{new}\n"))?;
    fs::File::open(&temporary)?.sync_all()?;
    let linked = match fs::hard_link(&temporary, &path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    unless_missing(fs::remove_file(&temporary))?;
    linked?;
    sync_parent(&path)?;
    Ok(read(root)?.unwrap_or_default())
}
