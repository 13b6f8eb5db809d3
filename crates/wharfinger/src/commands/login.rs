//! `wharfinger login`: verify a login, and store what docker would store.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::Args;
use client::{Error, Host, LoginCredentials};

use crate::failure::Failure;
use crate::output::print_lines;
use crate::remote::{ConnectionArguments, credential_store, password, run as run_async};

/// Log in to a registry, and store the login where docker and podman find it
///
/// The login is verified before it is stored. If the token server issues a refresh token, that is
/// stored instead of the password. It is stored in the file that REGISTRY_AUTH_FILE names, else in
/// docker's config.json (DOCKER_CONFIG), or in the credential helper that this file names.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The registry: HOST[:PORT].
    host: Host,
    /// The user name; asked for if it is missing.
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
            "a password is not accepted as an argument: every user of this machine could read it \
             (ps), and the shell stores it in its history",
        )
        .hint("type the password when asked, or pipe it in: --password-stdin < FILE"));
    }
    let user = match &arguments.user {
        Some(user) => user.clone(),
        None => ask_for_user()?,
    };
    let password = password(arguments.password_stdin, "Password: ")?;
    run_async(async {
        let host = &arguments.host;
        let login = LoginCredentials::Password {
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
            Some(token) => LoginCredentials::RefreshToken {
                user: Some(user.clone()),
                token,
            },
            None => login,
        };
        let location = credential_store()
            .store(host, &kept)
            .await
            .map_err(Error::from)?;
        print_lines([format!(
            "logged in to {host} as {user}: stored {} in {location}",
            kept.kind()
        )])
    })
}

fn ask_for_user() -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "user name required: standard input is not a terminal to ask for it",
        )
        .hint("name the user with --user NAME"));
    }
    let failed =
        |error| Failure::system("cannot read the user name from the terminal").caused_by(&error);
    eprint!("User: ");
    io::stderr().flush().map_err(failed)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    match line.trim() {
        "" => Err(Failure::usage("the user name is empty")),
        user => Ok(user.to_owned()),
    }
}
