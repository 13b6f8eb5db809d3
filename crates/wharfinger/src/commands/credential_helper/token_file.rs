//! The file with refresh tokens, readable by its owner only.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::files;

/// The file, by its path. It need not exist.
pub(super) struct TokenFile(PathBuf);

/// A refresh token. It has no `Debug`, because it is a secret.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredToken {
    pub(super) secret: String,
    /// Whether it was got with a platform's token, and so can be got again.
    #[serde(default)]
    pub(super) of_workload: bool,
}

/// Refresh tokens by registry.
type Tokens = BTreeMap<String, StoredToken>;

impl TokenFile {
    /// The file of this user: `WHARFINGER_CREDENTIALS`, else below `XDG_STATE_HOME` or `HOME`.
    pub(super) fn of_user() -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = variable("WHARFINGER_CREDENTIALS") {
            return Ok(Self(path.into()));
        }
        let state = variable("XDG_STATE_HOME").map(PathBuf::from).or_else(|| {
            let home = variable("HOME").map(PathBuf::from)?;
            Some(home.join(".local/state"))
        });
        let state = state.ok_or_else(|| {
            Failure::usage("there is no place for refresh tokens: HOME is not set")
                .hint("name a file with WHARFINGER_CREDENTIALS")
        })?;
        Ok(Self(state.join("wharfinger/credentials.json")))
    }

    /// The refresh token under `key`.
    pub(super) fn find(&self, key: &str) -> Result<Option<StoredToken>, Failure> {
        Ok(self.read()?.remove(key))
    }

    /// The registries that it has a refresh token for.
    pub(super) fn hosts(&self) -> Result<Vec<String>, Failure> {
        Ok(self.read()?.into_keys().collect())
    }

    /// Changes the tokens, while no other process does.
    pub(super) fn change(&self, change: impl FnOnce(&mut Tokens)) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            Failure::system(format!("cannot write {}", self.0.display())).caused_by(&error)
        };
        let folder = self.0.parent().unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        let lock = self.lock().map_err(failed)?;
        let mut tokens = self.read()?;
        change(&mut tokens);
        let text = serde_json::to_string_pretty(&tokens)
            .map_err(|error| Failure::system("no JSON").caused_by(&error))?;
        self.write(folder, text.as_bytes()).map_err(failed)?;
        drop(lock);
        Ok(())
    }

    fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(self.0.with_extension("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    /// Replaces the file as a whole.
    fn write(&self, folder: &Path, content: &[u8]) -> io::Result<()> {
        let mut new = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        new.write_all(content)?;
        new.as_file().sync_all()?;
        new.persist(&self.0).map_err(|error| error.error)?;
        Ok(())
    }

    fn read(&self) -> Result<Tokens, Failure> {
        match fs::symlink_metadata(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Tokens::new()),
            _ => {}
        }
        let text = files::read(&self.0)?;
        serde_json::from_str(&text).map_err(|_| {
            Failure::usage(format!(
                "{} is not a file of refresh tokens",
                self.0.display()
            ))
            .hint("move it away, and log in again")
        })
    }
}
