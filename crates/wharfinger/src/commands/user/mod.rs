//! `wharfinger user`: the accounts in the database, with or without a running server.

mod change;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use accounts::AccountError;
use clap::{Args, Subcommand};

use super::managed_database::failed;
use super::runtime;
use crate::failure::{Failure, FailureKind};
use crate::output;

/// Manage the accounts in the database
///
/// Each change takes effect in a running server within a second, and is written to the administration
/// log, which `wharfinger audit list` shows. The accounts of `users` in the configuration are not
/// among these; `wharfinger passwd` sets their passwords.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(change::Add),
    List(view::ListAccounts),
    Show(view::Show),
    Passwd(change::Passwd),
    Label(change::Label),
    Disable(change::Disable),
    Enable(change::Enable),
    Remove(change::Remove),
}

/// The account that a command is about.
#[derive(Debug, Args)]
struct Target {
    /// The server's configuration.
    file: PathBuf,
    /// The account.
    name: String,
    /// Print the account as a JSON object: {name, disabled, labels, created_at, changed_at}.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let report = runtime::block_on(async {
        match arguments.command {
            Command::Add(add) => add.run().await,
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Passwd(passwd) => passwd.run().await,
            Command::Label(label) => label.run().await,
            Command::Disable(disable) => disable.run().await,
            Command::Enable(enable) => enable.run().await,
            Command::Remove(remove) => remove.run().await,
        }
    })??;
    output::print(&report)?;
    Ok(ExitCode::SUCCESS)
}

/// What to do when an operation failed.
fn refused(error: &AccountError) -> Failure {
    match error {
        AccountError::Database(error) => failed(error),
        AccountError::Unknown(_) => Failure::new(FailureKind::NotFound, error.to_string())
            .hint("`wharfinger user list FILE` shows the accounts"),
        AccountError::Exists(_) => Failure::negative(error.to_string())
            .hint("`wharfinger user passwd` sets another password"),
        AccountError::Hash(_) | AccountError::Entropy(_) => {
            Failure::system("nothing has changed").caused_by(error)
        }
        _ => Failure::usage(error.to_string()),
    }
}
