//! Changes of files that survive a power cut.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Moves an upload's file to a blob's path.
pub(super) fn publish(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        // It is the first blob with these two digits.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            to.parent().map_or(Ok(()), make_directory)?;
            fs::rename(from, to)?;
        }
        renamed => renamed?,
    }
    // The other directory need not be synced: if the upload's name comes back, the next start
    // removes it.
    sync_parent(to)
}

/// Creates a directory and its parents, so that they survive a power cut.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_directory(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| sync_parent(path)),
    }
}

pub(super) fn copy(from: &Path, to: &Path, size: u64, shared: bool) -> io::Result<()> {
    if fs::metadata(to).is_ok_and(|there| there.len() == size) {
        return Ok(());
    }
    to.parent().map_or(Ok(()), make_directory)?;
    match if shared {
        fs::hard_link(from, to)
    } else {
        Err(ErrorKind::Unsupported.into())
    } {
        Ok(()) => sync_parent(to),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(error),
        // Another file system, or one without links. (`fs::copy` shares blocks if it can.)
        Err(_) => replace(to, |temporary| fs::copy(from, temporary).map(drop)),
    }
}

/// Makes another file of the first `length` bytes of a file, under the same name. Who has the old
/// one open writes to it in vain.
pub(super) fn copy_start(path: &Path, length: u64) -> io::Result<()> {
    if length == 0 {
        return unless_missing(fs::remove_file(path));
    }
    replace(path, |temporary| {
        let mut to = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(temporary)?;
        let copied = io::copy(&mut File::open(path)?.take(length), &mut to)?;
        if copied == length {
            Ok(())
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    })
}

/// Writes a whole file before it gets its name, so that an interruption leaves no partial file.
pub(crate) fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let temporary = path.with_added_extension("tmp");
    make(&temporary)?;
    File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
    }
}

pub(super) fn remove_files(paths: &[PathBuf]) -> io::Result<()> {
    let mut directories = BTreeSet::new();
    for path in paths {
        match unless_missing(fs::remove_file(path)) {
            // Not ours: a directory has replaced the blob.
            Err(error) if error.kind() == ErrorKind::IsADirectory => {}
            removed => removed?,
        }
        directories.extend(path.parent());
    }
    // Before the rows are removed: no row would lead to a file that came back.
    directories.into_iter().try_for_each(|directory| {
        unless_missing(File::open(directory).and_then(|it| it.sync_all()))
    })
}

pub(super) fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
