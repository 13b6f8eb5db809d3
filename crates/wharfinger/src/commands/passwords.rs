//! `wharfinger passwords`: the passwords of users who sign in by a provider's page, with or without a
//! running server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use common::{SystemClock, SystemEntropy, escape_line, rfc3339};
use database::Database;
use sign_in::{NamedPassword, SignInAccounts, SignInError};

use super::configuration;
use crate::failure::Failure;
use crate::output;
use crate::serve::sign_in_pages::accounts_of;

/// List or revoke the passwords that users made on the pages of github_auth, gitlab_auth, google_auth
/// and oidc_auth
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Revoke(Revoke),
}

/// List the passwords, by section and user
#[derive(Debug, Args)]
struct List {
    /// The server's configuration.
    file: PathBuf,
    /// Only passwords of this user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print a JSON array: [{backend, account, id, name, created_at}].
    #[arg(long)]
    json: bool,
}

/// Revoke passwords of a user
///
/// A running server refuses them as soon as it has forgotten the last login (login.remember), and ends
/// the sessions that they opened. Access tokens stay valid until they expire, a few minutes later.
#[derive(Debug, Args)]
struct Revoke {
    /// The server's configuration.
    file: PathBuf,
    /// The user.
    #[arg(long, value_name = "NAME")]
    user: String,
    /// The section, if the user has passwords in several.
    #[arg(long, value_name = "SECTION")]
    backend: Option<String>,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The password with this ID, which `list` shows.
    #[arg(long)]
    id: Option<String>,
    /// All passwords, and everything that is stored of the user. Another person may have the name
    /// afterwards.
    #[arg(long)]
    all: bool,
}

/// A password of an account of a section.
struct Row {
    backend: &'static str,
    account: String,
    password: NamedPassword,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|error| Failure::system("cannot start the runtime").caused_by(&error))?;
    let report = runtime.block_on(async {
        match arguments.command {
            Command::List(list) => list.run().await,
            Command::Revoke(revoke) => revoke.run().await,
        }
    })?;
    output::print(&report)?;
    Ok(ExitCode::SUCCESS)
}

impl List {
    async fn run(self) -> Result<String, Failure> {
        let mut rows = Vec::new();
        for accounts in open(&self.file)? {
            let users = match &self.user {
                Some(user) => vec![user.clone()],
                None => accounts.users().await.map_err(|error| unread(&error))?,
            };
            for user in users {
                let found = accounts.find(&user).await.map_err(|error| unread(&error))?;
                let Some(found) = found else { continue };
                rows.extend(found.passwords().into_iter().map(|password| Row {
                    backend: accounts.section(),
                    account: found.name.clone(),
                    password,
                }));
            }
        }
        Ok(if self.json { json(&rows) } else { table(&rows) })
    }
}

impl Revoke {
    async fn run(self) -> Result<String, Failure> {
        let mut found = Vec::new();
        for accounts in open(&self.file)? {
            let is_meant = self
                .backend
                .as_ref()
                .is_none_or(|section| section == accounts.section());
            if !is_meant {
                continue;
            }
            let account = accounts.find(&self.user).await;
            if let Some(account) = account.map_err(|error| unread(&error))? {
                found.push((accounts, account));
            }
        }
        let [(accounts, account)] = &found[..] else {
            let list = format!("`wharfinger passwords list {}`", self.file.display());
            return Err(match found.len() {
                0 => Failure::negative(format!("{:?} has no passwords", self.user))
                    .hint(format!("{list} shows all users")),
                _ => Failure::usage(format!("{:?} has passwords in several sections", self.user))
                    .hint(format!("name one with --backend; {list} shows them")),
            });
        };
        let revoked = match &self.which.id {
            Some(id) => accounts.revoke_password(&account.name, id).await,
            None => accounts.remove(&account.name).await,
        };
        let revoked = revoked
            .map_err(|error| Failure::system("no password was revoked").caused_by(&error))?;
        match (revoked, self.which.id) {
            (true, Some(_)) => Ok(counted(1)),
            (true, None) => Ok(counted(account.passwords().len())),
            (false, id) => Err(Failure::negative(format!(
                "no password {}, or it was revoked already",
                id.unwrap_or_default()
            ))),
        }
    }
}

/// The accounts of each section of the configuration in `file`.
fn open(file: &Path) -> Result<Vec<SignInAccounts>, Failure> {
    let config = configuration::load(file)?.config;
    if config.sign_in.is_empty() {
        return Err(Failure::usage(format!(
            "{} has none of google_auth, github_auth, oidc_auth and gitlab_auth",
            file.display()
        ))
        .hint("`wharfinger passwd` changes the passwords of `users`"));
    }
    let database = config.database.as_ref().map(Database::open).transpose();
    let database = database.map_err(|error| {
        Failure::system("the passwords cannot be reached")
            .caused_by(&error)
            .hint("run as the user that the server runs as; without `database`, the file is in $STATE_DIRECTORY")
    })?;
    let (clock, entropy) = (Arc::new(SystemClock) as _, Arc::new(SystemEntropy) as _);
    accounts_of(&config, database.as_ref(), &clock, &entropy)
}

fn counted(passwords: usize) -> String {
    match passwords {
        1 => "1 password revoked\n".to_owned(),
        count => format!("{count} passwords revoked\n"),
    }
}

fn unread(error: &SignInError) -> Failure {
    Failure::system("cannot read the passwords").caused_by(error)
}

/// A line for each password.
fn table(rows: &[Row]) -> String {
    let head = ["BACKEND", "USER", "ID", "NAME", "MADE"].map(str::to_owned);
    let lines = rows.iter().map(|row| {
        [
            row.backend.to_owned(),
            escape_line(&row.account).to_string(),
            row.password.id.clone(),
            escape_line(&row.password.name).to_string(),
            made(&row.password).unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let lines: Vec<_> = std::iter::once(head).chain(lines).collect();
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn json(rows: &[Row]) -> String {
    let rows = rows.iter().map(|row| {
        serde_json::json!({
            "backend": row.backend,
            "account": row.account,
            "id": row.password.id,
            "name": row.password.name,
            "created_at": made(&row.password),
        })
    });
    format!("{:#}\n", serde_json::Value::from_iter(rows))
}

/// When it was made, if that is known.
fn made(password: &NamedPassword) -> Option<String> {
    (password.created_at > 0).then(|| rfc3339(password.created_at))
}
