//! Files of commands: reads are bounded; a file is written as a whole or not at all. Only
//! [`replace`] replaces another.

use std::fs::Permissions;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// More than any bundle, key set or token is long.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileMode {
    /// Its owner only: keys.
    Private,
    /// Every user of the machine, for certificates.
    Public,
}

/// The text of a file. Bytes that are not UTF-8 are replaced: a PEM file may hold remarks in any
/// encoding.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let file = std::fs::File::open(path);
    let text = file.and_then(bounded);
    text.map_err(|error| {
        let failure = Failure::usage(format!("cannot read {}", path.display())).caused_by(&error);
        if error.kind() == ErrorKind::PermissionDenied {
            failure.hint("run as the user who owns the file")
        } else {
            failure
        }
    })
}

/// The text of standard input.
pub(crate) fn read_standard_input() -> Result<Zeroizing<String>, Failure> {
    bounded(io::stdin().lock())
        .map_err(|error| Failure::system("cannot read standard input").caused_by(&error))
}

/// Writes a new file. It appears under its name with its whole content, or not at all.
pub(crate) fn write_new(path: &Path, content: &[u8], readers: FileMode) -> Result<(), Failure> {
    let mode = match readers {
        FileMode::Private => 0o600,
        FileMode::Public => 0o644,
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let written = tempfile::Builder::new()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder);
    let written = written.and_then(|mut file| {
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)
    });
    match written {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(path)),
        Err(error) => {
            // The rest of tempfile's message names a temporary file, which says nothing to the user.
            let error = io::Error::from(error.kind());
            Err(Failure::system(format!("cannot write {}", path.display())).caused_by(&error))
        }
    }
}

/// Replaces the content of a file at once, if `check` accepts the new file. Its owner and its mode
/// stay. If the path is a symbolic link, the file that it names is replaced.
pub(crate) fn replace(
    path: &Path,
    content: &[u8],
    check: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        let failure =
            Failure::system(format!("cannot replace {}", path.display())).caused_by(&error);
        match error.kind() {
            ErrorKind::PermissionDenied => failure.hint("run as the user who owns the file"),
            ErrorKind::ResourceBusy => failure.hint(
                "the file is mounted by itself, as into a container: run the command where it comes \
                 from",
            ),
            _ => failure,
        }
    };
    let path = path.canonicalize().map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let new = with_owner_of(&path, folder, content).map_err(failed)?;
    check(new.path())?;
    new.persist(&path).map_err(|error| failed(error.error))?;
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(failed)
}

/// A temporary file in `folder` with `content`, and with the owner and the mode of the file at `path`.
fn with_owner_of(path: &Path, folder: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let old = std::fs::metadata(path)?;
    let mut new = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    new.write_all(content)?;
    let file = new.as_file();
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    file.sync_all()?;
    Ok(new)
}

/// Fails if `path` exists. Commands call it before work that would be lost.
pub(crate) fn must_be_new(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() {
        Err(exists(path))
    } else {
        Ok(())
    }
}

fn exists(path: &Path) -> Failure {
    Failure::usage(format!(
        "{} exists already and is not overwritten",
        path.display()
    ))
    .hint("choose another name, or move the old file away first")
}

fn bounded(from: impl Read) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("it is longer than {LARGEST} bytes"),
        ));
    }
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_keys_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        must_be_new(&path).unwrap();
        write_new(&path, b"one", FileMode::Private).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let error = write_new(&path, b"two", FileMode::Private)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exists already and is not overwritten"),
            "{error}"
        );
        assert!(must_be_new(&path).is_err());
        assert_eq!(read(&path).unwrap().as_str(), "one");
        assert_eq!(
            folder.path().read_dir().unwrap().count(),
            1,
            "no temporary file stays behind"
        );
    }

    #[test]
    fn reading_is_bounded() {
        let error = bounded(io::repeat(b'a')).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(bounded(&b"caf\xe9"[..]).unwrap().as_str(), "caf\u{fffd}");
    }
}
