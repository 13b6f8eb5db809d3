//! The dialect of the token generator that this program replaces.
//!
//! `docker-registry-token-genarator` (its name was misspelt, and scripts call it so) is written in
//! Go: its flags have one dash, and so has its help. Under its name, or under the right spelling,
//! this program is `wharfinger token`.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Command, FromArgMatches};

use crate::commands::token;
use crate::failure::Failure;
use crate::output;

const NAMES: [&str; 2] = [
    "docker-registry-token-genarator",
    "docker-registry-token-generator",
];

/// Whether the program was called by the generator's name.
pub(crate) fn is_called(arguments: &[OsString]) -> bool {
    let name = arguments
        .first()
        .and_then(|program| Path::new(program).file_name());
    name.is_some_and(|name| NAMES.iter().any(|known| name == *known))
}

/// Runs `wharfinger token` as the generator.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode, Failure> {
    let program = arguments
        .first()
        .map(|program| program.to_string_lossy().into_owned())
        .unwrap_or_default();
    let command = token::Arguments::augment_args(Command::new("docker-registry-token-generator"));
    let command = command.no_binary_name(true);
    let help = help(&program, &command);
    let matches = command
        .override_help(help)
        .try_get_matches_from(two_dashes(arguments).into_iter().skip(1));
    match matches.and_then(|matches| token::Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => token::run(&arguments),
        Err(error) => Ok(output::usage(&error)),
    }
}

/// `wharfinger token -key FILE` with two dashes; any other command line as it is.
pub(crate) fn translated(arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(|command| command == "token") {
        two_dashes(arguments)
    } else {
        arguments
    }
}

/// `-key` and `-key=…` as `--key` and `--key=…`, for every flag of `wharfinger token` and for
/// `-help`.
fn two_dashes(arguments: Vec<OsString>) -> Vec<OsString> {
    let command = token::Arguments::augment_args(Command::new("token"));
    let flags: Vec<&str> = command
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .chain(["help"])
        .collect();
    arguments
        .into_iter()
        .map(|argument| with_two_dashes(&argument, &flags).unwrap_or(argument))
        .collect()
}

fn with_two_dashes(argument: &OsStr, flags: &[&str]) -> Option<OsString> {
    let flag = argument.to_str()?.strip_prefix('-')?;
    let name = flag.split('=').next()?;
    // A word that is no flag of ours gets two dashes as well, so that the parser names all of it.
    let is_word = name.len() > 1
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-');
    let is_flag = flags.contains(&name) || (is_word && !name.starts_with('-'));
    is_flag.then(|| format!("--{flag}").into())
}

/// The help in the form of Go's `flag` package.
fn help(program: &str, command: &Command) -> String {
    let mut help = format!("Usage of {program}:\n");
    let mut arguments: Vec<_> = command.get_arguments().collect();
    arguments.sort_by_key(|argument| argument.get_long());
    for argument in arguments {
        let Some(name) = argument.get_long() else {
            continue;
        };
        let kind = if argument.get_action().takes_values() {
            " string"
        } else {
            ""
        };
        let about = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let default = argument
            .get_default_values()
            .first()
            .map(|value| value.to_string_lossy());
        let default = default
            .filter(|value| !value.is_empty())
            .map(|value| format!(" (default \"{value}\")"));
        let _ = write!(
            help,
            "  -{name}{kind}\n        {about}{}\n",
            default.unwrap_or_default()
        );
    }
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn one_dash_becomes_two_for_flags_only() {
        let given = words(
            "token -key ./cert.key -issuer=I --service S -scope repository:a:pull -username -x -help -h",
        );
        let read = words(
            "token --key ./cert.key --issuer=I --service S --scope repository:a:pull --username -x --help -h",
        );
        assert_eq!(two_dashes(given), read);
    }

    #[test]
    fn both_spellings_are_the_generator() {
        for (program, expected) in [
            ("./docker-registry-token-genarator", true),
            ("/usr/bin/docker-registry-token-generator", true),
            ("wharfinger", false),
            ("docker-registry-token-generator/wharfinger", false),
        ] {
            assert_eq!(is_called(&words(program)), expected, "{program}");
        }
        assert!(!is_called(&[]));
    }
}
