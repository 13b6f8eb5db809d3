//! The command line: which words lead to which command.
//!
//! Two dialects come in before ours: `docker_auth`'s (`wharfinger FILE` with glog's flags) and the token generator's
//! (`-key`, `-issuer`, … with one dash). Both are turned into ours here, and nothing behind this file hears of them.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{check, hash, serve};
use crate::failure::Failure;

/// A private container registry with token authentication: token server, key tools and more in one program.
#[derive(Debug, Parser)]
#[command(name = "wharfinger", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
    Hash(hash::Arguments),
    Serve(serve::Arguments),
}

/// Runs the command that `arguments` (the program's own name first) ask for.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode, Failure> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // Help and version are errors to clap, on standard output and with exit code 0.
        Err(error) => error.exit(),
    };
    match cli.command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Hash(arguments) => hash::run(&arguments),
        Command::Serve(arguments) => serve::run(arguments),
    }
}
