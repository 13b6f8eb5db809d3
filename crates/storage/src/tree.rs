//! Reading files that another program wrote.
//!
//! A directory may hold anything: links that lead out of it, pipes, links to parent directories.
//! Nothing outside of it is ever opened, and no pipe is waited for.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::{Digest, DigestAlgorithm};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::{ContentLocation, hash};

/// A tree of directories and files, with paths from its root. Its methods may block.
///
/// The error of a missing file or directory is [`ErrorKind::NotFound`]. The error of a tree that
/// cannot be reached now is [`ErrorKind::HostUnreachable`]: then nothing is skipped. With any other
/// error, only this file or directory cannot be read.
///
/// Methods take many paths at once, so that a remote tree can ask for many at once.
pub trait Tree: fmt::Debug + Send + Sync {
    /// How many repositories are read at once.
    fn parallel_repositories(&self) -> usize {
        8
    }

    /// Prepares for reading everything.
    ///
    /// # Errors
    /// If it cannot be read.
    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }

    /// The entries of each directory, by name.
    fn list(&self, directories: &[String]) -> Vec<io::Result<Vec<TreeEntry>>>;

    /// The files `ALGORITHM/HASH/link` below a directory, by their paths. `None` if the tree can only
    /// [list](Self::list) one directory after the other.
    fn links(&self, _directory: &str) -> Option<io::Result<Vec<LinkFile>>> {
        None
    }

    /// Whether a directory exists.
    ///
    /// # Errors
    /// If this cannot be known.
    fn exists(&self, directory: &str) -> io::Result<bool>;

    /// The content of each file, which may have at most `limit` bytes.
    fn read(&self, files: &[String], limit: u64) -> Vec<io::Result<Vec<u8>>>;

    /// The length of each file in bytes.
    fn sizes(&self, files: &[String]) -> Vec<io::Result<u64>>;

    /// A file's length in bytes, and its digest.
    ///
    /// # Errors
    /// If it cannot be read.
    fn digest(&self, file: &str, algorithm: DigestAlgorithm) -> io::Result<(u64, Digest)>;
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A file, or something else without entries.
    Other,
}

/// A file `ALGORITHM/HASH/link`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFile {
    /// The first part of its path.
    pub algorithm: String,
    /// The second part.
    pub encoded: String,
    /// Whether it is as long as the digest that its path has. Then it need not be read.
    pub has_own_length: bool,
}

/// The tree in a directory of this machine.
pub(crate) fn open_directory(location: &ContentLocation) -> io::Result<Arc<dyn Tree>> {
    match location {
        ContentLocation::Directory(path) => Ok(Arc::new(DirectoryTree(path.clone()))),
        ContentLocation::Bucket(_) => Err(ErrorKind::Unsupported.into()),
    }
}

/// A tree in a directory. It is opened for each call, because it may be unmounted and come back.
#[derive(Debug)]
struct DirectoryTree(PathBuf);

impl DirectoryTree {
    /// Does the same with each path.
    fn each<T>(
        &self,
        paths: &[String],
        work: impl Fn(&OpenDirectory, &str) -> io::Result<T>,
    ) -> Vec<io::Result<T>> {
        match OpenDirectory::open(&self.0) {
            Ok(root) => paths.iter().map(|path| work(&root, path)).collect(),
            Err(error) => {
                let kind = error.kind();
                paths.iter().map(|_| Err(kind.into())).collect()
            }
        }
    }
}

impl Tree for DirectoryTree {
    fn list(&self, directories: &[String]) -> Vec<io::Result<Vec<TreeEntry>>> {
        self.each(directories, OpenDirectory::list)
    }

    fn exists(&self, directory: &str) -> io::Result<bool> {
        OpenDirectory::open(&self.0)?.exists(directory)
    }

    fn read(&self, files: &[String], limit: u64) -> Vec<io::Result<Vec<u8>>> {
        self.each(files, |root, file| root.read(file, limit))
    }

    fn sizes(&self, files: &[String]) -> Vec<io::Result<u64>> {
        self.each(files, OpenDirectory::size)
    }

    fn digest(&self, file: &str, algorithm: DigestAlgorithm) -> io::Result<(u64, Digest)> {
        OpenDirectory::open(&self.0)?.digest(file, algorithm)
    }
}

/// An open directory. Links are followed as long as they stay within it.
#[derive(Debug)]
struct OpenDirectory(File);

impl OpenDirectory {
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

        let tree = OpenDirectory::open(root).unwrap();
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
