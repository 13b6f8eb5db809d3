//! Where an account's hash is written, and how it is replaced there.
//!
//! Everything else in the file stays as it is, byte for byte. The new file is read as the server reads
//! it before it replaces the old one.

use std::ops::Range;
use std::path::{Path, PathBuf};

use common::{Secret, SystemEntropy};
use identity::{Accounts, htpasswd};

use crate::commands::hash::{self, Algorithm};
use crate::config::{self, Effective, LoadedConfig, RegistryAuth, ScalarPlace};
use crate::failure::{Failure, FailureKind};
use crate::files;

/// How many accounts are named if the wanted one does not exist.
const NAMED: usize = 10;

/// Where an account's hash is written.
pub(super) enum PasswordPlace {
    /// In `users` of the configuration.
    Users {
        file: PathBuf,
        /// What the configuration says, apart from secrets. A new password does not change it.
        effective: Effective,
    },
    /// On a line of an htpasswd file.
    Htpasswd(PathBuf),
}

impl PasswordPlace {
    /// The place that counts for `account` in the configuration at `file`.
    pub(super) fn find(file: &Path, loaded: &LoadedConfig, account: &str) -> Result<Self, Failure> {
        let config = &loaded.config;
        let of_registry = config
            .registry
            .as_ref()
            .and_then(|section| match &section.auth {
                RegistryAuth::Htpasswd { file, .. } => Some(file),
                _ => None,
            });
        if let Some(found) = config.users.as_ref().and_then(|users| users.find(account)) {
            if found.passwords.is_empty() {
                let message = format!("{account} has no password in {}", file.display());
                return Err(Failure::usage(message).hint(format!(
                    "every password is accepted for this account; add `password: HASH` to \
                     users.{account}, with a hash of `wharfinger hash`"
                )));
            }
            return Ok(Self::Users {
                file: file.to_owned(),
                effective: loaded.effective.clone(),
            });
        }
        let files = config.htpasswd.iter().chain(of_registry);
        for htpasswd in files.clone() {
            if htpasswd.accounts.find(account).is_some() {
                return Ok(Self::Htpasswd(htpasswd.path.clone()));
            }
        }
        let to_add = match files.clone().next() {
            Some(htpasswd) if config.users.is_none() => format!(
                "append the line of `wharfinger hash --user {account}` to {}",
                htpasswd.path.display()
            ),
            _ => "write it under `users`, with a hash of `wharfinger hash`".to_owned(),
        };
        let lists = config.users.iter().chain(files.map(|file| &file.accounts));
        Err(unknown(
            file,
            account,
            lists,
            config.ext_auth.is_some(),
            &to_add,
        ))
    }

    /// The file that is changed.
    pub(super) fn file(&self) -> &Path {
        match self {
            Self::Users { file, .. } | Self::Htpasswd(file) => file,
        }
    }

    /// Sets the password of `account`.
    pub(super) fn replace(&self, account: &str, password: &Secret) -> Result<(), Failure> {
        let path = self.file();
        let text = read_exactly(path)?;
        let range = match self {
            Self::Users { file, .. } => in_users(&text, file, account)?,
            Self::Htpasswd(_) => {
                in_htpasswd(&text, account).ok_or_else(|| changed_meanwhile(path))?
            }
        };
        let algorithm = if text[range.clone()].starts_with("$argon2id$") {
            Algorithm::Argon2id
        } else {
            Algorithm::Bcrypt
        };
        let hash = hash::with_defaults(algorithm, password, &SystemEntropy)?;
        let text = [&text[..range.start], &hash, &text[range.end..]].concat();
        files::replace(path, text.as_bytes(), |new| {
            if self.is_right(new, account, password) {
                Ok(())
            } else {
                Err(Failure::system(format!(
                    "{} was not changed: the new file would mean something else",
                    path.display()
                ))
                .hint("put a hash of `wharfinger hash` into it with an editor"))
            }
        })
    }

    /// Whether the file at `new`, read as a server reads it, says the same but for the password.
    fn is_right(&self, new: &Path, account: &str, password: &Secret) -> bool {
        let is_password = |accounts: &Accounts| {
            let found = accounts.find(account);
            let hashes = found.map(|found| found.passwords.as_slice());
            hashes.is_some_and(|hashes| hashes.len() == 1 && hashes[0].verify(password.expose()))
        };
        match self {
            Self::Users { effective, .. } => config::load(new).is_ok_and(|loaded| {
                loaded.effective == *effective
                    && loaded.config.users.as_ref().is_some_and(is_password)
            }),
            Self::Htpasswd(_) => {
                read_exactly(new).is_ok_and(|text| is_password(&htpasswd::parse(&text).accounts))
            }
        }
    }
}

/// The bytes of the hash of `account` in `users`.
fn in_users(text: &str, file: &Path, account: &str) -> Result<Range<usize>, Failure> {
    let elsewhere = |what: &str, hint: String| {
        let message = format!("users.{account}.password in {} is {what}", file.display());
        Err(Failure::usage(message).hint(hint))
    };
    let hash = "put a hash of `wharfinger hash` there with an editor".to_owned();
    match config::locate_scalar(text, &["users", account, "password"]) {
        ScalarPlace::At(range) if text[range.clone()].contains("${env:") => {
            elsewhere("in a variable of the environment", hash)
        }
        ScalarPlace::At(range) => Ok(range),
        ScalarPlace::Other(what) => elsewhere(what, hash),
        ScalarPlace::Missing => elsewhere(
            "not written there",
            format!("if it comes from password_file, an anchor or a merge, {hash}"),
        ),
    }
}

/// The bytes of the hash of `account` in an htpasswd file. Of several lines with its name, the last
/// counts.
fn in_htpasswd(text: &str, account: &str) -> Option<Range<usize>> {
    let (mut at, mut found) = (0, None);
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let entry = line.trim_start_matches('\u{feff}').trim();
        if entry.starts_with('#') {
            continue;
        }
        if let Some((name, hash)) = entry.split_once(':')
            && name == account
        {
            let end = start + line.trim_end().len();
            found = Some(end - hash.len()..end);
        }
    }
    found
}

fn read_exactly(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("cannot read {}", path.display())).caused_by(&error)
    })
}

fn changed_meanwhile(path: &Path) -> Failure {
    Failure::system(format!("{} was changed meanwhile", path.display())).hint("run it again")
}

fn unknown<'a>(
    file: &Path,
    account: &str,
    lists: impl Iterator<Item = &'a Accounts>,
    has_program: bool,
    to_add: &str,
) -> Failure {
    let names = lists.flat_map(Accounts::iter).map(|(name, _)| name);
    let names: Vec<_> = names
        .filter(|name| !name.is_empty())
        .take(NAMED + 1)
        .collect();
    let mut hint = match names.as_slice() {
        [] => "it names no account with a password".to_owned(),
        names => {
            let more = if names.len() > NAMED { ", …" } else { "" };
            let names = &names[..names.len().min(NAMED)];
            format!("its accounts: {}{more}", names.join(", "))
        }
    };
    if has_program {
        hint += "; the program of ext_auth has others, whose passwords are not here";
    }
    hint += &format!("; to add {account:?}, {to_add}");
    let message = format!("{} has no account {account:?}", file.display());
    Failure::new(FailureKind::NotFound, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_htpasswd_file_is_found() {
        for (text, expected) in [
            ("ann:X\n", Some("X")),
            ("# ann:no\r\nbob:no\r\n  ann:X \r\nbob:no", Some("X")),
            ("\u{feff}ann:X", Some("X")),
            ("ann:no\nann:X\n", Some("X")),
            ("anna:no\nan:no\n", None),
        ] {
            let found = in_htpasswd(text, "ann").map(|range| &text[range]);
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
