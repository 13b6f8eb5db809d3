//! The section `users` and the file of `users_htpasswd`.

use std::path::PathBuf;

use identity::htpasswd::{self, EntryError, Htpasswd, HtpasswdProblem};
use identity::{Account, Accounts, HashError, PasswordHash};
use policy::Labels;

use super::diagnostics::{Problem, Severity};
use super::effective::Effective;
use super::schema::{Kind, key};
use super::section::{Located, Section};
use super::setting::Setting;

/// The accounts of an htpasswd file.
#[derive(Clone, Debug)]
pub(crate) struct HtpasswdFile {
    pub(crate) path: PathBuf,
    pub(crate) accounts: Accounts,
}

/// Reads the accounts; with an empty mapping there are none.
pub(super) fn read(root: &mut Section<'_>) -> Option<Accounts> {
    let kind = Kind::Names(Box::new(Kind::Mapping(Vec::new())));
    let users = root.structured(
        key::custom("users", kind).docker_auth().means(
            "`NAME: {password, labels}`. `\"\"` is the anonymous account: `\"\": {}` lets anyone in \
             without a name. `NAME:` with nothing is unknown, and warns",
        ),
        read_account,
    )?;
    let (mut accounts, mut shown) = (Accounts::default(), Vec::new());
    for (entry, setting) in users.entries()? {
        let name = &entry.key;
        let warn = |problem, message: String| {
            let context = setting.context;
            context.warn(setting.key_position(), &setting.name, problem, message);
        };
        if setting.is_null() {
            let message = format!(
                "a user without settings cannot log in; write `{name}: {{}}` for one without a \
                 password"
            );
            warn(Problem::Doubtful, message);
            continue;
        }
        let Some((Some(account), effective)) = setting.section(read_account) else {
            continue;
        };
        if account.passwords.is_empty() && !name.is_empty() {
            let message = format!("no password: anyone can log in as {name}");
            warn(Problem::Insecure, message);
        }
        if setting
            .checked(accounts.add(name.clone(), account))
            .is_some()
        {
            shown.push((name.clone(), effective));
        }
    }
    root.show("users", Effective::names(shown));
    Some(accounts)
}

/// Reads the file of `users_htpasswd`.
pub(super) fn read_htpasswd(root: &mut Section<'_>) -> Option<HtpasswdFile> {
    let file = root.locate(key::path("users_htpasswd").means(
        "an htpasswd file, `NAME:HASH` a line, hashes as above, no labels; read again when it \
         changes",
    ))?;
    HtpasswdFile::read(&file)
}

impl HtpasswdFile {
    /// Reads the file, in which every line must be right.
    pub(super) fn read(file: &Located<'_, PathBuf>) -> Option<Self> {
        let text = String::from_utf8(file.read()?).map_err(|_| "not UTF-8");
        let text = file.setting.checked_file(&file.value, text)?;
        let Htpasswd { accounts, problems } = htpasswd::parse(&text);
        for HtpasswdProblem { line, error } in &problems {
            let (context, message) = (file.setting.context, error.to_string());
            context.report_in(Severity::Error, &file.value, *line, message);
        }
        problems.is_empty().then(|| Self {
            path: file.value.clone(),
            accounts,
        })
    }

    /// Reads a file of Distribution, which serves with lines that are wrong: each is a warning, and
    /// its account cannot log in. Distribution does not serve with a line without a colon.
    pub(super) fn read_distribution(file: &Located<'_, PathBuf>) -> Option<Self> {
        let bytes = file.read()?;
        let Htpasswd { accounts, problems } = htpasswd::parse(&String::from_utf8_lossy(&bytes));
        let mut is_readable = true;
        for HtpasswdProblem { line, error } in problems {
            let severity = match error {
                EntryError::Colon => Severity::Error,
                _ => Severity::Warning,
            };
            is_readable &= severity != Severity::Error;
            let context = file.setting.context;
            context.report_in(severity, &file.value, line, error.to_string());
        }
        is_readable.then(|| Self {
            path: file.value.clone(),
            accounts,
        })
    }
}

fn read_account(user: &mut Section<'_>) -> Option<Account> {
    let passwords = read_passwords(user);
    let labels = Kind::Names(Box::new(Kind::List(Box::new(Kind::Text))));
    let labels = user.setting(
        key::custom("labels", labels)
            .docker_auth()
            .means("`LABEL: [VALUE, …]`, for rules"),
    );
    let labels = labels
        .map(|labels| read_labels(&labels))
        .unwrap_or_default();
    if !labels.is_empty() {
        let shown = labels.iter().map(|(name, values)| {
            let values = values.iter().map(Effective::quoted).collect();
            (name.clone(), Effective::List(values))
        });
        user.show("labels", Effective::names(shown));
    }
    Some(Account {
        passwords: passwords?,
        labels,
    })
}

/// A hash, or a list of them. A password that cannot be read must not become none, which would let
/// anyone in.
fn read_passwords(user: &mut Section<'_>) -> Option<Vec<PasswordHash>> {
    let key = key::parsed_as(
        "password",
        Kind::OneOrMany(Box::new(Kind::Form("hash"))),
        read_hash,
        |_: &ReadHash| Effective::hidden(),
    )
    .docker_auth()
    .secret()
    .means(
        "a hash, + or a list of them, any of which lets in: bcrypt (`$2…`, cost 4 to 17), \
         + argon2id ([bounds](limits.md)). Without it any password does, and a warning says so",
    );
    let list = user.present("password").filter(Setting::is_sequence);
    let Some(list) = list else {
        let is_missing = !user.has("password");
        let password = user.locate(key);
        return if is_missing {
            Some(Vec::new())
        } else {
            password.map(|located| vec![located.value.into_hash(&located.setting)])
        };
    };
    user.know([key.declaration.name]);
    let items = list.items()?;
    if items.is_empty() {
        list.error(
            "the list is empty; remove it to let anyone in, or the user to refuse the login",
        );
        return None;
    }
    // All are read before one can fail, so that all errors are reported.
    let read = |item: &Setting<'_>| Some(item.parse(read_hash)?.into_hash(item));
    let hashes: Vec<_> = items.iter().map(read).collect();
    let hidden = hashes.iter().map(|_| Effective::hidden()).collect();
    user.show("password", Effective::List(hidden));
    hashes.into_iter().collect()
}

/// A hash of the file.
struct ReadHash {
    hash: PasswordHash,
    /// Why no password matches it. docker_auth starts with such a user, too.
    too_costly: Option<HashError>,
}

fn read_hash(text: &str) -> Result<ReadHash, String> {
    let parsed: Result<_, HashError> = text.parse();
    let (hash, too_costly) = match parsed {
        Ok(hash) => (hash, None),
        Err(error) if error.is_too_costly() => (PasswordHash::unmatchable(text), Some(error)),
        Err(error) => return Err(error.to_string()),
    };
    Ok(ReadHash { hash, too_costly })
}

impl ReadHash {
    fn into_hash(self, setting: &Setting<'_>) -> PasswordHash {
        if let Some(error) = self.too_costly {
            let message = format!("no password is accepted for it: {error} with `wharfinger hash`");
            setting.warn(Problem::Doubtful, message);
        }
        self.hash
    }
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
