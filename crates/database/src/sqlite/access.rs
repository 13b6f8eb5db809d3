//! How a process may use a database's file, and how it reads a file that it may not write.
//!
//! SQLite reads the write-ahead log with an index, the file `-shm`, and makes a missing one. One that is
//! made by a user who may not write the database keeps the server from it. So a process that may not
//! write the database never makes one (sqlite.org/wal.html, "Read-Only Databases"). While a server runs,
//! its index is there. If no process has the database open, there is no log, and the file alone is all of
//! it: then it is read as a file that does not change, and what was read counts only if it did not.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Access;
use rustix::io::Errno;

use crate::{DatabaseCause, Error, system_user};

/// What a process may do that may not write.
const ONLY_READ: &str = "only read";

/// How a process uses a database's file.
#[derive(Clone, Debug)]
pub(crate) enum FileAccess {
    /// It reads and writes.
    Write,
    /// It reads, with the index that another process has made.
    Read(Arc<FileRefusal>),
    /// It reads the file alone, which no process has open.
    ReadClosed(Arc<FileRefusal>, ClosedFile),
}

/// What a process may not do with a file, and why.
#[derive(Clone, Debug)]
pub struct FileRefusal {
    path: PathBuf,
    reason: RefusalReason,
}

#[derive(Clone, Copy, Debug)]
enum RefusalReason {
    FileSystem,
    Permissions {
        access: &'static str,
        user: u32,
        owner: u32,
        mode: u32,
    },
}

/// Why a file cannot be read, even without writing.
#[derive(Debug)]
pub(crate) enum UnreadableFile {
    /// This process may not read it.
    Refused(FileRefusal),
    /// What is in its log has to be written into it first.
    HasLog(FileRefusal),
    /// The operating system failed.
    Failed(io::Error),
}

impl FileAccess {
    /// What this process may do with the database at `path`.
    pub(crate) fn of(path: &Path) -> Result<Self, UnreadableFile> {
        let Some(refusal) = write_refusal(path) else {
            return Ok(Self::Write);
        };
        // Before the look at what is beside it: a server may start meanwhile.
        let closed = ClosedFile::of(path).map_err(UnreadableFile::Failed)?;
        let (index, log) = (index(path), beside(path, "-wal"));
        for file in [path, &index, &log] {
            if let Some(refusal) = refusal_of(file, Access::READ_OK, "not read") {
                return Err(UnreadableFile::Refused(refusal));
            }
        }
        if index.exists() {
            return Ok(Self::Read(Arc::new(refusal)));
        }
        match fs::metadata(&log) {
            Ok(log) if log.len() > 0 => Err(UnreadableFile::HasLog(refusal)),
            _ => Ok(Self::ReadClosed(Arc::new(refusal), closed)),
        }
    }

    /// That of a file that no process has open.
    #[cfg(test)]
    pub(crate) fn read_closed(path: &Path) -> Self {
        let refusal = FileRefusal {
            path: path.to_owned(),
            reason: RefusalReason::FileSystem,
        };
        Self::ReadClosed(Arc::new(refusal), ClosedFile::of(path).unwrap())
    }

    /// Requires that the file can be written.
    pub(crate) fn require_write(&self) -> Result<(), Error> {
        match self {
            Self::Write => Ok(()),
            Self::Read(refusal) | Self::ReadClosed(refusal, _) => {
                Err(Error::ReadOnly(DatabaseCause::text(refusal.to_string())))
            }
        }
    }

    /// Requires that what was just read was not changed meanwhile.
    pub(crate) fn require_valid(&self) -> Result<(), Error> {
        match self {
            Self::ReadClosed(_, file) if file.has_changed() => {
                let text = "a server opened the database while it was read";
                Err(Error::Busy(DatabaseCause::text(text.to_owned())))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for FileRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.reason {
            RefusalReason::FileSystem => write!(f, "the file system of {path} is read-only"),
            RefusalReason::Permissions {
                access,
                user,
                owner,
                ..
            } => {
                let named = system_user(user);
                write!(f, "{named} may {access} {path}: ")?;
                match user == owner {
                    true => f.write_str("change its permissions"),
                    false => write!(f, "run as its owner, {}", system_user(owner)),
                }
            }
        }
    }
}

impl FileRefusal {
    /// For a server, which has to write: who may, and what to do.
    pub(crate) fn of_server(&self) -> String {
        let path = self.path.display();
        let RefusalReason::Permissions {
            user, owner, mode, ..
        } = self.reason
        else {
            return self.to_string();
        };
        let (runs_as, belongs_to) = (system_user(user), system_user(owner));
        let place = format!("{path} (owner {belongs_to}, mode {mode:04o})");
        match user == owner {
            true => format!(
                "the server runs as {runs_as} and may not write to {place}: add the permission with \
                 `chmod u+rwX {path}`"
            ),
            false => format!(
                "the server runs as {runs_as} and may not write to {place}: run it as the owner, or give \
                 the directory and its files to its user with `chown -R {user} {}`",
                self.directory().display()
            ),
        }
    }

    /// The directory, if it is one, or the one of the file.
    fn directory(&self) -> &Path {
        match self.path.is_dir() {
            true => &self.path,
            false => self.path.parent().unwrap_or(&self.path),
        }
    }
}

/// The state of a file that no process has open.
#[derive(Clone, Debug)]
pub(crate) struct ClosedFile {
    path: PathBuf,
    state: FileState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    identity: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl ClosedFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            state: FileState::of(&fs::metadata(path)?),
        })
    }

    /// Whether a process has opened it since, which may have written to it.
    fn has_changed(&self) -> bool {
        let now = fs::metadata(&self.path).map(|now| FileState::of(&now));
        index(&self.path).exists() || now.ok() != Some(self.state)
    }
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        Self {
            identity: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What keeps this process from reaching a file that is there: a directory above it.
pub(crate) fn unreachable_directory(path: &Path) -> Option<FileRefusal> {
    // A file in the place of a directory is another error.
    let above = path.ancestors().skip(1).filter(|it| it.is_dir());
    let mut refusals = above.filter_map(|it| refusal_of(it, Access::EXEC_OK, "not enter"));
    refusals.next()
}

/// Why this process cannot write to the database at `path`. Without the index of a running server, the
/// directory must take one.
fn write_refusal(path: &Path) -> Option<FileRefusal> {
    let of_file = refusal_of(path, Access::WRITE_OK, ONLY_READ);
    of_file.or_else(|| {
        let directory = path.parent().filter(|_| !index(path).exists())?;
        refusal_of(directory, Access::WRITE_OK, ONLY_READ)
    })
}

/// What keeps a server from writing to the database at `path`, which need not exist: a directory above it,
/// its own directory, it, or a file beside it.
pub(crate) fn server_refusal(path: &Path) -> Option<FileRefusal> {
    let mut above = path.ancestors().skip(1);
    // Of an empty path, the directory is the current one.
    let directory = above.find(|it| it.as_os_str().is_empty() || it.is_dir())?;
    let directory = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    let files = ["", "-wal", "-shm", ".lock"].map(|end| beside(path, end));
    let files = files.iter().map(PathBuf::as_path);
    let mut refusals = std::iter::once(directory)
        .chain(files)
        .filter_map(|it| refusal_of(it, Access::WRITE_OK, ONLY_READ));
    unreachable_directory(path).or_else(|| refusals.next())
}

/// `None` if it is allowed, or if the file cannot be examined: then SQLite's own error says more. The file
/// is never opened here: closing it would end the locks that SQLite has on it (fcntl(2)).
fn refusal_of(path: &Path, access: Access, verb: &'static str) -> Option<FileRefusal> {
    let reason = match rustix::fs::access(path, access) {
        Err(Errno::ROFS) => RefusalReason::FileSystem,
        Err(Errno::ACCESS | Errno::PERM) => {
            let metadata = fs::metadata(path).ok()?;
            RefusalReason::Permissions {
                access: verb,
                user: rustix::process::geteuid().as_raw(),
                owner: metadata.uid(),
                mode: metadata.mode() & 0o7777,
            }
        }
        _ => return None,
    };
    Some(FileRefusal {
        path: path.to_owned(),
        reason,
    })
}

/// The index of the log.
fn index(path: &Path) -> PathBuf {
    beside(path, "-shm")
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_who_may_and_what_to_do() {
        let said = |reason| {
            FileRefusal {
                path: PathBuf::from("/data/w.db"),
                reason,
            }
            .to_string()
        };
        let permissions = |user, owner| RefusalReason::Permissions {
            access: "only read",
            user,
            owner,
            mode: 0o755,
        };
        assert_eq!(
            said(permissions(4_000_000_001, 0)),
            "uid 4000000001 may only read /data/w.db: run as its owner, root (uid 0)"
        );
        assert_eq!(
            said(permissions(0, 0)),
            "root (uid 0) may only read /data/w.db: change its permissions"
        );
        assert_eq!(
            said(RefusalReason::FileSystem),
            "the file system of /data/w.db is read-only"
        );
    }

    #[test]
    fn a_closed_file_has_changed_when_it_was_opened_or_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.db");
        fs::write(&path, "a").unwrap();
        let file = ClosedFile::of(&path).unwrap();
        assert!(!file.has_changed());
        fs::write(index(&path), "").unwrap();
        assert!(file.has_changed(), "a process has it open");
        fs::remove_file(index(&path)).unwrap();
        assert!(!file.has_changed());
        fs::write(&path, "ab").unwrap();
        assert!(file.has_changed(), "it was written to");
        let file = ClosedFile::of(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(file.has_changed(), "it is gone");
    }
}
