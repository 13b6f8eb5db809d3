//! `wharfinger login`: verify a login, and store what docker would store.

pub(super) mod server;

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::Args;
use client::{ApiAddress, Error, Host, LoginCredentials};
use common::{Secret, escape_line};

use crate::failure::Failure;
use crate::output::{note, print_lines};
use crate::remote::{ConnectionArguments, credential_store, password, run as run_async};

/// Log in to a registry, and store the login where docker and podman find it
///
/// The login is verified before it is stored. If the token server issues a refresh token, that is
/// stored instead of the password. It is stored in the file that REGISTRY_AUTH_FILE names, else in
/// docker's config.json (DOCKER_CONFIG), or in the credential helper that this file names.
///
/// With --web, the password is typed in a browser, on any machine: open the address that is printed,
/// compare the code, sign in and approve. The token server must support that (RFC 8628).
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The registry: HOST[:PORT].
    #[arg(required = true)]
    host: Option<Host>,
    /// Log in to the API of the server at this URL instead, for other commands with --server. The login
    /// is stored beside that of a registry at the same host.
    #[arg(long, value_name = "URL", conflicts_with_all = ["web", "plain_http", "anonymous"])]
    server: Option<ApiAddress>,
    /// The user name; asked for if it is missing.
    #[arg(long, short, value_name = "NAME", visible_alias = "username")]
    user: Option<String>,
    /// Read the password from standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Sign in by a page in a browser, which this command does not open.
    #[arg(long, conflicts_with_all = ["user", "password_stdin", "anonymous"])]
    web: bool,
    #[arg(long, short, hide = true, value_name = "PASSWORD")]
    password: Option<Secret>,
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
    if let (true, Some(host)) = (arguments.web, &arguments.host) {
        return run_async(log_in_by_browser(host, &arguments.connection));
    }
    let user = match &arguments.user {
        Some(user) => user.clone(),
        None => ask_for_user()?,
    };
    let password = password(arguments.password_stdin, "Password: ")?;
    if let Some(server) = &arguments.server {
        let https = &arguments.connection.https;
        return run_async(server::log_in(server, https, user, password));
    }
    run_async(async {
        // The parser wants it unless there is a server.
        let Some(host) = &arguments.host else {
            return Err(Failure::usage("neither HOST nor --server is given"));
        };
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
        store(host, &kept).await
    })
}

/// Device authorization (RFC 8628): a person approves in a browser, and this command polls.
async fn log_in_by_browser(host: &Host, connection: &ConnectionArguments) -> Result<(), Failure> {
    let remote = connection.open();
    let session = remote.session_as(host, LoginCredentials::Anonymous).await?;
    let device = rustix::system::uname();
    let device = device.nodename().to_string_lossy();
    let login = session.begin_device_login(&device).await?;
    let page = login.verification_uri_complete.as_ref();
    note(format_args!(
        "open this page in a browser, on any machine:\n\n    {}\n\nand compare or enter this \
         code:\n\n    {}\n\nwaiting up to {} minutes for you to approve (Ctrl-C ends it)",
        escape_line(page.unwrap_or(&login.verification_uri)),
        escape_line(&login.user_code),
        login.lifetime.as_secs().div_ceil(60),
    ));
    let issued = session.finish_device_login(&login).await?;
    match issued.stored_login() {
        Some(kept) => store(host, &kept).await,
        None => Err(Failure::system("the token server gave no refresh token")),
    }
}

async fn store(host: &Host, login: &LoginCredentials) -> Result<(), Failure> {
    let location = credential_store()
        .store(host, login)
        .await
        .map_err(Error::from)?;
    let user = login.user().map(|user| format!(" as {user}"));
    print_lines([format!(
        "logged in to {host}{}: stored {} in {location}",
        user.unwrap_or_default(),
        login.kind()
    )])
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
