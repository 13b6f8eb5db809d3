//! The files of an installation that is all in one directory. `up` creates one, and `registry backup`
//! another.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A directory with an installation, or for one.
#[derive(Clone, Debug)]
pub(crate) struct Installation(PathBuf);

impl Installation {
    /// The directory `path`, created if it is missing, for its owner only.
    pub(crate) fn at(path: &Path) -> Result<Self, Failure> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .and_then(|()| path.canonicalize());
        let path = made.map_err(|error| {
            Failure::system(format!("cannot create the directory {}", path.display()))
                .caused_by(&error)
                .hint("choose another directory, or run as a user with write access")
        })?;
        // The path is part of the database's URL.
        match path.to_str() {
            Some(text) if !text.contains(['?', '#', '%', '\n']) => Ok(Self(path)),
            _ => Err(
                Failure::usage(format!("{} cannot hold a database", path.display()))
                    .hint("choose a directory whose path is in UTF-8, without ?, # and %"),
            ),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.0.join("wharfinger.yml")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("wharfinger.db")
    }

    /// The first password of the administrator.
    pub(super) fn password(&self) -> PathBuf {
        self.0.join("admin.password")
    }

    /// Whether there is a configuration.
    ///
    /// # Errors
    /// The directory cannot be searched.
    pub(super) fn exists(&self) -> Result<bool, Failure> {
        self.configuration().try_exists().map_err(|error| {
            Failure::system(format!("cannot look into {}", self.0.display()))
                .caused_by(&error)
                .hint("run as the user who owns the directory, or choose another --data")
        })
    }

    /// Blobs and uploads.
    pub(crate) fn content(&self) -> PathBuf {
        self.0.join("content")
    }

    /// `NAME.key` and `NAME.pem`: for signing tokens (`token`), for TLS (`tls`), and of its authority
    /// (`ca`).
    pub(super) fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        (
            self.0.join(format!("{name}.key")),
            self.0.join(format!("{name}.pem")),
        )
    }
}
