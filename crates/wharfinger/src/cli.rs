//! The command line: which words lead to which command.
//!
//! Three dialects are translated into ours first: `docker_auth`'s (`wharfinger FILE` with glog's
//! flags), the token generator's (`-key`, `-issuer`, … with one dash) and Distribution's (`registry
//! serve FILE`). The commands do not know them.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    attach, audit, blob, catalog, certs, check, completions, config, copy, credential_helper,
    credential_provider, delete, digest, doctor, explain, hash, history, import, inspect, keys,
    login, logout, manifest, notifications, passwd, passwords, personal_token, policy, pull, push,
    referrers, registry, replicas, restore, robot, rule, serve, sessions, tag, tags, token, trust,
    up, user,
};
use crate::failure::Failure;
use crate::{docker_auth, output, registry_program, server_option, token_generator};

/// A private container registry with token authentication: registry, token server, client and tools
/// in one program.
#[derive(Debug, Parser)]
#[command(name = "wharfinger", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Attach(attach::Arguments),
    Audit(audit::Arguments),
    Blob(blob::Arguments),
    Catalog(catalog::Arguments),
    Certs(certs::Arguments),
    Check(check::Arguments),
    Completions(completions::Completions),
    Config(config::Arguments),
    Copy(copy::Arguments),
    CredentialHelper(credential_helper::Arguments),
    CredentialProvider(credential_provider::Arguments),
    Delete(delete::Arguments),
    Digest(digest::Arguments),
    Doctor(doctor::Arguments),
    Explain(explain::Arguments),
    Hash(hash::Arguments),
    History(history::Arguments),
    Import(import::Arguments),
    Inspect(inspect::Arguments),
    Keys(keys::Arguments),
    Login(login::Arguments),
    Logout(logout::Arguments),
    Man(completions::Man),
    Manifest(manifest::Arguments),
    Notifications(notifications::Arguments),
    Passwd(passwd::Arguments),
    Passwords(passwords::Arguments),
    PersonalToken(personal_token::Arguments),
    Policy(policy::Arguments),
    Pull(pull::Arguments),
    Push(push::Arguments),
    Referrers(referrers::Arguments),
    Registry(registry::Arguments),
    Replicas(replicas::Arguments),
    Restore(restore::Arguments),
    Robot(robot::Arguments),
    Rule(rule::Arguments),
    Serve(serve::Arguments),
    Sessions(sessions::Arguments),
    Tag(tag::Arguments),
    Tags(tags::Arguments),
    Token(token::Arguments),
    Trust(trust::Arguments),
    Up(up::Arguments),
    User(user::Arguments),
}

/// Whether `word` is the name of a command.
fn is_command(word: &OsStr) -> bool {
    Cli::command()
        .get_subcommands()
        .any(|command| command.get_name() == word)
}

/// All commands, for their documentation.
fn documented() -> clap::Command {
    server_option::documented(Cli::command())
}

/// Runs the command that `arguments` (the program's own name first) ask for.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode, Failure> {
    if token_generator::is_called(&arguments) {
        return token_generator::run(arguments);
    }
    let arguments = credential_helper::translated(arguments);
    let arguments = registry_program::translated(token_generator::translated(arguments))?;
    let arguments = docker_auth::translated(arguments, is_command);
    let command = server_option::fitted(Cli::command(), &arguments);
    let matches = command.try_get_matches_from(arguments);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        // Help and version are errors to clap, on standard output and with exit code 0.
        Err(error) => return Ok(output::usage(&error)),
    };
    match cli.command {
        Command::Attach(arguments) => attach::run(&arguments),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Blob(arguments) => blob::run(&arguments),
        Command::Catalog(arguments) => catalog::run(&arguments),
        Command::Certs(arguments) => certs::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments, documented()),
        Command::Config(arguments) => config::run(&arguments),
        Command::Copy(arguments) => copy::run(&arguments),
        Command::CredentialHelper(arguments) => credential_helper::run(&arguments),
        Command::CredentialProvider(arguments) => credential_provider::run(&arguments),
        Command::Delete(arguments) => delete::run(&arguments),
        Command::Digest(arguments) => digest::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Hash(arguments) => hash::run(&arguments),
        Command::History(arguments) => history::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Login(arguments) => login::run(&arguments),
        Command::Logout(arguments) => logout::run(&arguments),
        Command::Man(arguments) => completions::man(&arguments, documented()),
        Command::Manifest(arguments) => manifest::run(&arguments),
        Command::Notifications(arguments) => notifications::run(arguments),
        Command::Passwd(arguments) => passwd::run(&arguments),
        Command::Passwords(arguments) => passwords::run(arguments),
        Command::PersonalToken(arguments) => personal_token::run(arguments),
        Command::Policy(arguments) => policy::run(arguments),
        Command::Pull(arguments) => pull::run(&arguments),
        Command::Push(arguments) => push::run(&arguments),
        Command::Referrers(arguments) => referrers::run(&arguments),
        Command::Registry(arguments) => registry::run(&arguments),
        Command::Replicas(arguments) => replicas::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::Robot(arguments) => robot::run(arguments),
        Command::Rule(arguments) => rule::run(arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Sessions(arguments) => sessions::run(arguments),
        Command::Tag(arguments) => tag::run(&arguments),
        Command::Tags(arguments) => tags::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Trust(arguments) => trust::run(arguments),
        Command::Up(arguments) => up::run(&arguments),
        Command::User(arguments) => user::run(arguments),
    }
}
