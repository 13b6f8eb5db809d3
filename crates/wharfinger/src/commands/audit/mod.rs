//! `wharfinger audit`: what happened, when, and who caused it.

mod changes;
mod events;
mod export;
mod what;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::runtime;
use crate::failure::Failure;
use crate::output;

/// Show what happened, when, and who caused it
///
/// A server with a section `audit` in its configuration records tokens, logins, pulls, pushes and deletions
/// in its database. Changes by commands and by the API are always recorded.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(events::ListEvents),
    Who(events::ImageEvents),
    What(events::AccountEvents),
    Export(export::Export),
    Changes(changes::Changes),
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let report = runtime::block_on(async {
        match arguments.command {
            Command::List(list) => list.run().await,
            Command::Who(who) => who.run().await,
            Command::What(what) => what.run().await,
            Command::Export(export) => export.run().await.map(|()| String::new()),
            Command::Changes(changes) => changes.run().await,
        }
    })??;
    if !report.is_empty() {
        output::print(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}
