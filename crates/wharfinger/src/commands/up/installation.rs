//! Where an installation that is all in one directory keeps what: `up` makes one, `registry backup`
//! another.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A directory with an installation in it, or room for one.
#[derive(Clone, Debug)]
pub(crate) struct Installation(PathBuf);

impl Installation {
    /// The directory `path`, made where it is missing, for nobody else to look into.
    pub(crate) fn at(path: &Path) -> Result<Self, Failure> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .and_then(|()| path.canonicalize());
        let path = made.map_err(|error| {
            Failure::system(format!("there can be no directory {}", path.display()))
                .caused_by(&error)
                .hint("name another one, or run as somebody who may make it")
        })?;
        // What names a database (database::DatabaseLocation) and stands in YAML.
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

    /// Blobs and uploads.
    pub(crate) fn content(&self) -> PathBuf {
        self.0.join("content")
    }

    /// `NAME.key` and `NAME.pem`: what tokens are signed with (`token`), TLS (`tls`), and its
    /// authority (`ca`).
    pub(super) fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        (
            self.0.join(format!("{name}.key")),
            self.0.join(format!("{name}.pem")),
        )
    }
}
