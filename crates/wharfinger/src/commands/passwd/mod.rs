//! `wharfinger passwd`: sets the password of an account, in the configuration or in an htpasswd file.
//!
//! - [`place`]: where the account's hash is written, and how it is replaced there.

mod place;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::place::PasswordPlace;
use super::{configuration, password};
use crate::failure::Failure;
use crate::output;

/// Set the password of an account
///
/// The account is in `users` of the configuration, or in the htpasswd file that it names. Only the hash
/// in that file changes. A running server reads the file again within a second.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The server's configuration.
    file: PathBuf,
    /// The account.
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// Read the password from standard input, one line.
    #[arg(long)]
    password_stdin: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (file, account) = (&arguments.file, &arguments.account);
    let loaded = configuration::load(file)?;
    let place = PasswordPlace::find(file, &loaded, account)?;
    let password = if arguments.password_stdin {
        password::piped(io::stdin().lock())?
    } else {
        password::prompted()?
    };
    place.replace(account, &password)?;
    output::print(&format!(
        "password of {account} set in {}\n\
         a running server uses it within a second; sessions of the old password end at their next \
         use\n",
        place.file().display()
    ))?;
    Ok(ExitCode::SUCCESS)
}
