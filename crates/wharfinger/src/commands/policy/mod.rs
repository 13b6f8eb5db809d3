//! `wharfinger policy`: what a change of the rules would do.

mod diff;
mod requests;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::failure::Failure;

/// Find out what a change of the rules would do, before it is made
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Diff(diff::Diff),
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Diff(diff) => diff.run(),
    }
}
