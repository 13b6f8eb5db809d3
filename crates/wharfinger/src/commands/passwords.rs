//! `wharfinger passwords`: the passwords of users who sign in by a provider's page, with or without a
//! running server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use common::rfc3339;
use sign_in::{NamedPassword, SignInError};

use super::table::table;
use super::{runtime, sign_ins};
use crate::failure::Failure;
use crate::output;

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
    runtime::print_report(async {
        match arguments.command {
            Command::List(list) => list.run().await,
            Command::Revoke(revoke) => revoke.run().await,
        }
    })
}

impl List {
    async fn run(self) -> Result<String, Failure> {
        let mut rows = Vec::new();
        for accounts in sign_ins::open(&self.file)?.1 {
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
        Ok(if self.json {
            json(&rows)
        } else {
            listing(&rows)
        })
    }
}

impl Revoke {
    async fn run(self) -> Result<String, Failure> {
        let mut found = Vec::new();
        for accounts in sign_ins::open(&self.file)?.1 {
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
fn listing(rows: &[Row]) -> String {
    let lines = rows.iter().map(|row| {
        [
            row.backend.to_owned(),
            row.account.clone(),
            row.password.id.clone(),
            row.password.name.clone(),
            made(&row.password).unwrap_or_else(|| "-".to_owned()),
        ]
    });
    table(["BACKEND", "USER", "ID", "NAME", "MADE"], lines.collect())
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
    output::json(&serde_json::Value::from_iter(rows))
}

/// When it was made, if that is known.
fn made(password: &NamedPassword) -> Option<String> {
    (password.created_at > 0).then(|| rfc3339(password.created_at))
}
