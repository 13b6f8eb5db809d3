//! The section `users` and the file of `users_htpasswd`.

use std::path::PathBuf;

use identity::htpasswd::{self, EntryError, Htpasswd, HtpasswdProblem};
use identity::{Account, Accounts};
use policy::Labels;

use super::section::{PathSetting, Section};
use super::setting::Setting;

/// The accounts of an htpasswd file.
#[derive(Clone, Debug)]
pub(crate) struct HtpasswdFile {
    pub(crate) accounts: Accounts,
    pub(crate) path: PathBuf,
}

/// Reads the accounts; an empty mapping knows nobody.
pub(super) fn read(users: &Setting<'_>) -> Option<Accounts> {
    let entries = users.entries()?;
    let mut accounts = Accounts::default();
    for (entry, setting) in &entries {
        if setting.is_null() {
            let message = format!(
                "users.{0}: a user with nothing behind the colon is unknown; write `{0}: {{}}` for one without a password",
                entry.key
            );
            setting.context.warn(entry.position, message);
            continue;
        }
        let Some(account) = setting.section(read_account) else {
            continue;
        };
        if account.passwords.is_empty() && !entry.key.is_empty() {
            let message = format!(
                "users.{0}: anybody may log in as {0}, who has no password",
                entry.key
            );
            setting.context.warn(entry.position, message);
        }
        setting.checked(accounts.add(entry.key.clone(), account));
    }
    Some(accounts)
}

/// Reads the file of `users_htpasswd`, in which every line must be right.
pub(super) fn read_htpasswd(root: &mut Section<'_>) -> Option<HtpasswdFile> {
    let file = root.path("users_htpasswd")?;
    let text = String::from_utf8(file.read()?)
        .map_err(|_| format!("{} is not UTF-8", file.path.display()));
    let Htpasswd { accounts, problems } = htpasswd::parse(&file.setting.checked(text)?);
    for problem in &problems {
        let message = problem.error.to_string();
        file.setting
            .context
            .error_in(&file.path, problem.line, message);
    }
    problems.is_empty().then_some(HtpasswdFile {
        accounts,
        path: file.path,
    })
}

/// Reads a file of Distribution, which serves with lines that are wrong: each is a warning, and its
/// account cannot log in. It does not serve with a line without a colon.
pub(super) fn read_distribution_htpasswd(file: PathSetting<'_>) -> Option<HtpasswdFile> {
    let bytes = file.read()?;
    let Htpasswd { accounts, problems } = htpasswd::parse(&String::from_utf8_lossy(&bytes));
    let context = file.setting.context;
    let mut is_readable = true;
    for HtpasswdProblem { line, error } in problems {
        if error == EntryError::Colon {
            is_readable = false;
            context.error_in(&file.path, line, error.to_string());
        } else {
            context.warn_in(&file.path, line, error.to_string());
        }
    }
    is_readable.then_some(HtpasswdFile {
        accounts,
        path: file.path,
    })
}

fn read_account(user: &mut Section<'_>) -> Option<Account> {
    let passwords = match user.setting("password").filter(Setting::is_sequence) {
        Some(list) => read_passwords(&list),
        None => {
            let password = user.parse("password", str::parse);
            // A password that cannot be read must not become none, which would let everybody in.
            let is_missing = !user.has("password") && !user.has("password_file");
            if is_missing {
                Some(Vec::new())
            } else {
                password.map(|hash| vec![hash])
            }
        }
    };
    let labels = user.setting("labels").map(|labels| read_labels(&labels));
    Some(Account {
        passwords: passwords?,
        labels: labels.unwrap_or_default(),
    })
}

fn read_passwords(list: &Setting<'_>) -> Option<Vec<identity::PasswordHash>> {
    let items = list.items()?;
    if items.is_empty() {
        list.error("the list is empty; remove it to let anybody in, or the user to let nobody in");
        return None;
    }
    // All are read before one can fail, so all that is wrong is told.
    let hashes: Vec<_> = items.iter().map(|item| item.parse(str::parse)).collect();
    hashes.into_iter().collect()
}

fn read_labels(labels: &Setting<'_>) -> Labels {
    let entries = labels.entries().unwrap_or_default();
    let read = |(entry, values): &(&super::yaml::Entry, Setting<'_>)| {
        let values = if values.is_null() {
            Some(Vec::new())
        } else {
            values.texts()
        };
        Some((entry.key.clone(), values?))
    };
    entries.iter().filter_map(read).collect()
}
