//! Files in the data directory that this process may not use: a command that ran as root has left
//! them. They are found at the start, not when a client needs one.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::config::RegistryServerConfig;

/// The most files that are checked, so that a start does not read the inodes of a huge registry.
const MOST: usize = 200_000;

/// Logs which files of the registry this process may not use.
pub(super) fn report_unusable_files(
    registry: Option<&RegistryServerConfig>,
) -> impl Future<Output = ()> + use<> {
    let place = registry.and_then(|registry| {
        let root = registry.storage.root()?;
        Some((root.to_owned(), registry.read_only))
    });
    async {
        let Some((root, is_read_only)) = place else {
            return;
        };
        let found = tokio::task::spawn_blocking(move || {
            let found = unusable_files(&root, is_read_only);
            log_unusable_files(&root, found);
        });
        // It fails only if the server ends meanwhile.
        let _ = found.await;
    }
}

fn log_unusable_files(root: &Path, found: io::Result<Vec<PathBuf>>) {
    match found {
        Ok(files) => {
            let Some(first) = files.first() else { return };
            let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
            tracing::error!(
                files = files.len(),
                first = %first.display(),
                "this process may not use some files of the registry, so pulls or pushes of them \
                 fail; to correct it, run as root: chown -R {}:{} {}",
                user.as_raw(),
                group.as_raw(),
                root.display()
            );
        }
        Err(error) => tracing::warn!(%error, "cannot check the owners of the registry's files"),
    }
}

/// The files and directories below `root` that this process may not use as the server uses them:
/// uploads are written, blobs only read.
fn unusable_files(root: &Path, is_read_only: bool) -> io::Result<Vec<PathBuf>> {
    let write = if is_read_only {
        Access::empty()
    } else {
        Access::WRITE_OK
    };
    let directory = Access::READ_OK | Access::EXEC_OK | write;
    let (mut unusable, mut checked) = (Vec::new(), 0);
    let mut next = vec![
        (root.join("blobs"), Access::READ_OK),
        (root.join("uploads"), Access::READ_OK | write),
    ];
    while let Some((path, file)) = next.pop() {
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                unusable.push(path);
                continue;
            }
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let (path, is_directory) = (entry.path(), entry.file_type()?.is_dir());
            let wanted = if is_directory { directory } else { file };
            match access(&path, wanted).map_err(rustix::io::Errno::kind) {
                Err(ErrorKind::PermissionDenied) => unusable.push(path),
                _ if is_directory => next.push((path, file)),
                _ => {}
            }
            checked += 1;
            if checked == MOST {
                return Ok(unusable);
            }
        }
    }
    Ok(unusable)
}
