//! Reading files that another program wrote.
//!
//! A directory may hold anything: links that lead out of it, pipes, links to parent directories.
//! Nothing outside of it is ever opened, and no pipe is waited for.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use oci::{Digest, DigestAlgorithm};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::layout::BASE;
use crate::{ContentLocation, hash};

/// A tree of directories and files, with paths from its root. The error of a missing file is
/// [`ErrorKind::NotFound`].
pub(super) trait Tree {
    /// The entries of a directory, by name.
    fn list(&self, directory: &str) -> io::Result<Vec<TreeEntry>>;

    /// Whether a path exists.
    fn exists(&self, path: &str) -> io::Result<bool>;

    /// A file's content, which may have at most `limit` bytes.
    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>>;

    /// A file's length in bytes.
    fn size(&self, path: &str) -> io::Result<u64>;

    /// A file's length in bytes, and its digest.
    fn digest(&self, path: &str, algorithm: DigestAlgorithm) -> io::Result<(u64, Digest)>;
}

/// An entry of a directory.
pub(super) struct TreeEntry {
    pub(super) name: String,
    pub(super) kind: EntryKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Directory,
    Link,
    /// A file, or something else without entries.
    Other,
}

/// The tree at a location. A new kind of location needs another implementation of [`Tree`] here.
pub(super) fn open(location: &ContentLocation) -> io::Result<Box<dyn Tree>> {
    match location {
        ContentLocation::Directory(path) => Ok(Box::new(DirectoryTree::open(path)?)),
        ContentLocation::Bucket(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Whether a registry's data can be read at a location.
pub(super) fn has_data(location: &ContentLocation) -> bool {
    open(location).is_ok_and(|tree| tree.list(BASE).is_ok())
}

/// A tree in a directory. Links are followed as long as they stay within it.
#[derive(Debug)]
struct DirectoryTree(File);

impl DirectoryTree {
    fn open(root: &Path) -> io::Result<Self> {
        File::open(root).map(Self)
    }

    fn open_at(&self, path: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve) {
            // A kernel or a sandbox without openat2. A link as the last part is not followed then.
            Err(Errno::NOSYS) => {
                let flags = flags | OFlags::NOFOLLOW;
                Ok(rustix::fs::openat(&self.0, path, flags, Mode::empty())?.into())
            }
            Err(Errno::XDEV | Errno::LOOP) => Err(io::Error::new(
                ErrorKind::InvalidFilename,
                "a symbolic link leads out of the data directory",
            )),
            opened => Ok(opened?.into()),
        }
    }

    fn file(&self, path: &str) -> io::Result<(File, u64)> {
        let file = self.open_at(path, OFlags::NONBLOCK)?;
        let metadata = file.metadata()?;
        if metadata.is_file() {
            Ok((file, metadata.len()))
        } else {
            Err(io::Error::other("not a regular file"))
        }
    }
}

impl Tree for DirectoryTree {
    fn list(&self, directory: &str) -> io::Result<Vec<TreeEntry>> {
        let directory = self.open_at(directory, OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                    let found = rustix::fs::statat(&directory, entry.file_name(), flags)?;
                    FileType::from_raw_mode(found.st_mode)
                }
                known => known,
            };
            entries.push(TreeEntry {
                name,
                kind: match kind {
                    FileType::Directory => EntryKind::Directory,
                    FileType::Symlink => EntryKind::Link,
                    _ => EntryKind::Other,
                },
            });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        match self.open_at(path, OFlags::PATH) {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
                    Ok(false)
                }
                _ => Err(error),
            },
        }
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let (file, _) = self.file(path)?;
        let mut bytes = Vec::new();
        if file.take(limit + 1).read_to_end(&mut bytes)? as u64 > limit {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                "larger than anything of its kind",
            ));
        }
        Ok(bytes)
    }

    fn size(&self, path: &str) -> io::Result<u64> {
        self.file(path).map(|(_, length)| length)
    }

    fn digest(&self, path: &str, algorithm: DigestAlgorithm) -> io::Result<(u64, Digest)> {
        hash::read(algorithm, self.file(path)?.0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_outside_is_opened_and_nothing_is_waited_for() {
        let (directory, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = directory.path();
        std::fs::write(outside.path().join("secret"), "outside").unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/file"), "inside").unwrap();
        symlink("b/file", root.join("a/within")).unwrap();
        symlink("..", root.join("a/parent")).unwrap();
        symlink(outside.path().join("secret"), root.join("a/absolute")).unwrap();
        symlink(outside.path(), root.join("a/directory")).unwrap();
        symlink("../../../../../../../../etc", root.join("a/up")).unwrap();
        symlink("turn", root.join("a/turn")).unwrap();
        let pipe = root.join("a/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();

        let tree = DirectoryTree::open(root).unwrap();
        assert_eq!(tree.read("a/within", 10).unwrap(), b"inside");
        assert_eq!(tree.size("a/b/file").unwrap(), 6);
        for path in [
            "a/absolute",
            "a/directory/secret",
            "a/up/passwd",
            "a/turn",
            "a/pipe",
            "a/b",
        ] {
            assert!(tree.read(path, 100).is_err(), "{path}");
            assert!(tree.size(path).is_err(), "{path}");
            assert!(
                tree.digest(path, DigestAlgorithm::Sha256).is_err(),
                "{path}"
            );
        }
        assert!(tree.list("a/directory").is_err() && tree.list("a/up").is_err());
        let entries = tree.list("a").unwrap();
        let kind = |name| {
            entries
                .iter()
                .find(|entry| entry.name == name)
                .unwrap()
                .kind
        };
        assert_eq!(kind("b"), EntryKind::Directory);
        assert_eq!(
            (kind("parent"), kind("up")),
            (EntryKind::Link, EntryKind::Link)
        );
        assert_eq!(kind("pipe"), EntryKind::Other);
        assert!(tree.exists("a/b").unwrap());
        assert!(!tree.exists("a/c").unwrap() && !tree.exists("a/up/passwd").unwrap());
        assert!(tree.read("a/b/file", 5).is_err());
    }
}
