//! The command line: which words lead to which command.
//!
//! Three dialects come in before ours: `docker_auth`'s (`wharfinger FILE` with glog's flags), the token generator's
//! (`-key`, `-issuer`, … with one dash) and Distribution's (`registry serve FILE`). All are turned into ours here, and
//! nothing behind this file hears of them.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{certs, check, explain, hash, inspect, keys, registry, serve, sessions, token, up};
use crate::failure::Failure;
use crate::{docker_auth, registry_program, token_generator};

/// A private container registry with token authentication: token server, key tools and more in one program.
#[derive(Debug, Parser)]
#[command(name = "wharfinger", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Certs(certs::Arguments),
    Check(check::Arguments),
    Explain(explain::Arguments),
    Hash(hash::Arguments),
    Inspect(inspect::Arguments),
    Keys(keys::Arguments),
    Registry(registry::Arguments),
    Serve(serve::Arguments),
    Sessions(sessions::Arguments),
    Token(token::Arguments),
    Up(up::Arguments),
}

/// Runs the command that `arguments` (the program's own name first) ask for.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode, Failure> {
    if token_generator::is_called(&arguments) {
        return token_generator::run(arguments);
    }
    let arguments = docker_auth::translated(registry_program::translated(token_generator::translated(arguments))?);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // Help and version are errors to clap, on standard output and with exit code 0.
        Err(error) => error.exit(),
    };
    match cli.command {
        Command::Certs(arguments) => certs::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Hash(arguments) => hash::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Registry(arguments) => registry::run(&arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Sessions(arguments) => sessions::run(arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Up(arguments) => up::run(&arguments),
    }
}
