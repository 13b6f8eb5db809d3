//! Whether a file has changed, found by polling.
//!
//! Polling a few files once a second costs nothing and finds what notifications miss: Kubernetes
//! replaces a mounted file by moving a symbolic link two folders up, and network file systems send no
//! notifications.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What files looked like at one moment; of a file that is not there, that it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileSnapshot(BTreeMap<PathBuf, Option<FileIdentity>>);

/// What distinguishes one state of a file from another; symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileSnapshot {
    pub(super) fn at<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        Self(
            paths
                .into_iter()
                .map(|path| (path.clone(), identity(path)))
                .collect(),
        )
    }

    /// Exactly the files `paths`: those known already as they looked then, the others as they look
    /// now.
    pub(super) fn narrowed(&self, paths: &[PathBuf]) -> Self {
        let look = |path: &PathBuf| self.0.get(path).copied().unwrap_or_else(|| identity(path));
        Self(
            paths
                .iter()
                .map(|path| (path.clone(), look(path)))
                .collect(),
        )
    }

    /// These files, and `paths` as they look now where they are others.
    pub(super) fn widened(&self, paths: &[PathBuf]) -> Self {
        let all: Vec<PathBuf> = self.0.keys().chain(paths).cloned().collect();
        self.narrowed(&all)
    }

    /// The same files as they look now.
    pub(super) fn again(&self) -> Self {
        Self::at(self.0.keys())
    }
}

fn identity(path: &PathBuf) -> Option<FileIdentity> {
    let metadata = fs::metadata(path).ok()?;
    Some(FileIdentity {
        device: metadata.dev(),
        inode: metadata.ino(),
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn changes_of_every_kind_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut before = FileSnapshot::at([&path]);
        let mut expect_change = |what: &str| {
            let now = before.again();
            assert_ne!(now, before, "{what}");
            assert_eq!(now, now.again(), "{what}, then nothing");
            before = now;
        };
        fs::write(&path, "one").unwrap();
        expect_change("appeared");
        fs::write(&path, "longer").unwrap();
        expect_change("written");
        fs::write(folder.path().join("new"), "longer").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        expect_change("replaced");
        fs::remove_file(&path).unwrap();
        expect_change("removed");
    }

    #[test]
    fn a_kubernetes_swap_is_seen() {
        // file -> ..data/file, ..data -> ..2024; the swap moves a new ..data over the old one.
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("file"), "same length").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/file", at("file")).unwrap();
        let before = FileSnapshot::at([&at("file")]);
        symlink("..2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        assert_ne!(before.again(), before);
    }
}
