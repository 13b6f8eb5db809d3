//! `wharfinger user`: the accounts in the database of a server.

mod accounts;
mod change;
mod view;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::managed_server::ManagedServerArguments;
use super::runtime;
use crate::failure::Failure;

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
    #[command(flatten)]
    server: ManagedServerArguments,
    /// The account.
    name: String,
    /// Print the account as a JSON object: {name, disabled, labels, created_at, changed_at}.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    runtime::print_report(async {
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
    })
}
