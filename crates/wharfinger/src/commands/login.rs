//! `wharfinger login`: prove a password, and keep what docker would keep.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::Args;
use client::{Credentials, Error, Host};

use crate::failure::Failure;
use crate::output::print_lines;
use crate::remote::{ConnectionArguments, credential_store, password, run as run_async};

/// Log in to a registry, and keep the login where docker and podman find it
///
/// The login is tried before it is kept. Where the token server hands out a refresh token, that is
/// kept and the password is not. It goes to the file that REGISTRY_AUTH_FILE names, else to
/// docker's config.json (DOCKER_CONFIG), or to the credential helper that the file names.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The registry: HOST[:PORT].
    host: Host,
    /// The user's name; asked for on a terminal.
    #[arg(long, short, value_name = "NAME", visible_alias = "username")]
    user: Option<String>,
    /// Read the password from standard input.
    #[arg(long)]
    password_stdin: bool,
    #[arg(long, short, hide = true, value_name = "PASSWORD")]
    password: Option<String>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.password.is_some() {
        return Err(Failure::usage(
            "a password is not taken as an argument: every user of this machine could read it \
             (ps), and the shell keeps it in its history",
        )
        .hint("type it when asked, or pipe it in: --password-stdin < FILE"));
    }
    let user = match &arguments.user {
        Some(user) => user.clone(),
        None => asked_for()?,
    };
    let password = password(arguments.password_stdin, "Password: ")?;
    run_async(async {
        let host = &arguments.host;
        let login = Credentials::Password {
            user: user.clone(),
            password,
        };
        let session = arguments
            .connection
            .open()
            .session_as(host, login.clone())
            .await?;
        let granted = session.log_in().await?;
        let kept = match granted.and_then(|granted| granted.refresh_token) {
            Some(token) => Credentials::RefreshToken {
                user: Some(user.clone()),
                token,
            },
            None => login,
        };
        let place = credential_store()
            .store(host, &kept)
            .await
            .map_err(Error::from)?;
        print_lines([format!(
            "logged in to {host} as {user}: {} is kept in {place}",
            kept.kind()
        )])
    })
}

fn asked_for() -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(
            Failure::usage("who logs in? There is no terminal to ask at")
                .hint("name the user: --user NAME"),
        );
    }
    let failed = |error| {
        Failure::system("the user's name cannot be read from the terminal").caused_by(&error)
    };
    eprint!("User: ");
    io::stderr().flush().map_err(failed)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    match line.trim() {
        "" => Err(Failure::usage("the user's name is empty")),
        user => Ok(user.to_owned()),
    }
}
