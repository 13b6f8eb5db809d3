//! `wharfinger hash`: a password's hash, for `users` in the configuration or for an htpasswd file.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use common::{Entropy, Secret, SystemEntropy};
use identity::password::{Argon2id, Argon2idError, Bcrypt, BcryptError};

use super::password;
use crate::failure::Failure;
use crate::output;

/// Hash a password, for `users` in the configuration or for an htpasswd file
///
/// On a terminal it asks for the password twice. Otherwise it reads one line of standard input.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The algorithm
    #[arg(long, value_enum, value_name = "NAME", default_value = "bcrypt")]
    algorithm: Algorithm,
    /// The cost: for bcrypt the power of two of its rounds, 4 to 17 (default 10); for argon2id the
    /// number of passes (default 2)
    #[arg(long, value_name = "N")]
    cost: Option<u32>,
    /// The memory of argon2id, in KiB (default 19456)
    #[arg(long, value_name = "KIB")]
    memory: Option<u32>,
    /// Print a line of an htpasswd file for this user, instead of the hash alone
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Algorithm {
    Bcrypt,
    Argon2id,
}

/// bcrypt's rounds by default, as a power of two: what OWASP's password storage cheat sheet calls
/// the least.
const COST: u32 = 10;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    // Errors in the command line are reported before the user types a password.
    let name = arguments.user.as_deref().map(htpasswd_name).transpose()?;
    let password = if io::stdin().is_terminal() {
        password::prompted()?
    } else {
        password::piped(io::stdin().lock())?
    };
    let hash = hash(arguments, &password, &SystemEntropy)?;
    let line = name.map_or_else(|| hash.clone(), |name| format!("{name}:{hash}"));
    output::print(&format!("{line}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// `name`, when a line of an htpasswd file can hold it.
fn htpasswd_name(name: &str) -> Result<&str, Failure> {
    let wrong = match name {
        "" => "it is empty",
        _ if name.contains(':') => "it holds a colon, which ends the name in an htpasswd file",
        _ if name.chars().any(char::is_control) => "it holds a control character",
        _ if name.starts_with('#') => {
            "it begins with #, which begins a comment in an htpasswd file"
        }
        _ if name.trim() != name => "it begins or ends with white space",
        _ => return Ok(name),
    };
    Err(Failure::usage(format!(
        "{name:?} cannot be a user's name: {wrong}"
    )))
}

/// A hash with the default cost.
pub(super) fn with_defaults(
    algorithm: Algorithm,
    password: &Secret,
    entropy: &dyn Entropy,
) -> Result<String, Failure> {
    let arguments = Arguments {
        algorithm,
        cost: None,
        memory: None,
        user: None,
    };
    hash(&arguments, password, entropy)
}

fn hash(
    arguments: &Arguments,
    password: &Secret,
    entropy: &dyn Entropy,
) -> Result<String, Failure> {
    let mut salt = [0; 16];
    entropy
        .fill(&mut salt)
        .map_err(|error| Failure::system("no salt can be made").caused_by(&error))?;
    let password = password.expose().as_bytes();
    match (arguments.algorithm, arguments.memory) {
        (Algorithm::Bcrypt, Some(_)) => Err(Failure::usage(
            "--memory is for --algorithm argon2id; bcrypt has none",
        )),
        (Algorithm::Bcrypt, None) => Bcrypt::hash(password, salt, arguments.cost.unwrap_or(COST))
            .map_err(|error| bcrypt_failure(&error)),
        (Algorithm::Argon2id, memory) => {
            let passes = arguments.cost.unwrap_or(Argon2id::USUAL_PASSES);
            Argon2id::hash(
                password,
                &salt,
                memory.unwrap_or(Argon2id::USUAL_MEMORY),
                passes,
            )
            .map_err(|error| argon2id_failure(&error))
        }
    }
}

fn bcrypt_failure(error: &BcryptError) -> Failure {
    match error {
        BcryptError::Cost | BcryptError::TooCostly { .. } => {
            Failure::usage("--cost must lie between 4 and 17 for bcrypt")
        }
        BcryptError::TooLong { .. } => Failure::usage("the password is too long for bcrypt")
            .caused_by(error)
            .hint("use --algorithm argon2id, or a shorter password"),
        _ => Failure::system("the password cannot be hashed").caused_by(error),
    }
}

fn argon2id_failure(error: &Argon2idError) -> Failure {
    let wrong = match error {
        Argon2idError::Memory => "--memory is out of bounds",
        Argon2idError::Passes => "--cost is out of bounds",
        _ => "the password cannot be hashed",
    };
    Failure::usage(wrong).caused_by(error)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use identity::{PasswordHash, htpasswd};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(line: &str) -> Arguments {
        Line::parse_from(std::iter::once("hash").chain(line.split_whitespace())).arguments
    }

    fn made(line: &str, password: &str) -> Result<String, String> {
        hash(&arguments(line), &password.into(), &SystemEntropy)
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_is_made_is_taken_by_the_server() {
        for (line, start) in [
            ("--cost 4", "$2b$04$"),
            ("--algorithm bcrypt --cost 5", "$2b$05$"),
            (
                "--algorithm argon2id --memory 64 --cost 1",
                "$argon2id$v=19$m=64,t=1,p=1$",
            ),
        ] {
            let (one, two) = (made(line, "sesame").unwrap(), made(line, "sesame").unwrap());
            assert!(one.starts_with(start), "{one}");
            assert_ne!(one, two, "the salt is another each time");
            assert!(one.parse::<PasswordHash>().unwrap().verify("sesame"));
            assert!(
                htpasswd::parse(&format!("ann:{one}"))
                    .accounts
                    .find("ann")
                    .is_some()
            );
        }
    }

    #[test]
    fn has_careful_defaults() {
        assert!(made("", "sesame").unwrap().starts_with("$2b$10$"));
        assert!(
            made("--algorithm argon2id", "sesame")
                .unwrap()
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
    }

    #[test]
    fn says_what_is_out_of_bounds() {
        assert_eq!(
            made("--cost 3", "x").unwrap_err(),
            "error: --cost must lie between 4 and 17 for bcrypt\n"
        );
        assert_eq!(
            made("--memory 64", "x").unwrap_err(),
            "error: --memory is for --algorithm argon2id; bcrypt has none\n"
        );
        let too_long = made("--cost 4", &"p".repeat(73)).unwrap_err();
        assert_eq!(
            too_long,
            "error: the password is too long for bcrypt: the password has 73 bytes, and bcrypt counts only the first \
             72\nhint: use --algorithm argon2id, or a shorter password\n"
        );
        assert!(made("--algorithm argon2id --memory 64 --cost 1", &"p".repeat(73)).is_ok());
        assert!(
            made("--algorithm argon2id --memory 7", "x")
                .unwrap_err()
                .starts_with("error: --memory is out of")
        );
        assert!(
            made("--algorithm argon2id --cost 0", "x")
                .unwrap_err()
                .starts_with("error: --cost is out of bounds")
        );
    }

    #[test]
    fn a_name_must_fit_an_htpasswd_line() {
        for name in ["ann", "ann@example.com", "Ann Smith", "ü"] {
            assert_eq!(htpasswd_name(name).ok(), Some(name));
        }
        for name in ["", "a:b", "a\nb", "a\tb", "#a", " a", "a "] {
            assert!(htpasswd_name(name).is_err(), "{name:?}");
        }
    }
}
