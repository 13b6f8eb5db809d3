//! `wharfinger registry`: what is done to a registry's data as a whole, beside a running server or
//! without one.
//!
//! Each command names the server's configuration, which says where the data are. Results go to
//! standard output, as text or (`--json`) as one JSON object; progress goes to standard error.

mod adopt;
mod backup;
mod copy;
mod export;
mod gc;
mod hold;
mod immutable;
mod migrate;
mod open;
mod progress;
mod retention;
mod undelete;
mod usage;
mod verify;

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;
use storage::ContentLocation;

use crate::failure::{FULL_DISK, Failure};
use crate::output;

/// Collect garbage, apply retention, show what is used, verify, adopt, export, back up or move the registry's
/// content, migrate its tables, or manage its immutable tags
///
/// All of these commands work while the server runs.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Gc(gc::Arguments),
    Retention(retention::Arguments),
    Undelete(undelete::Arguments),
    Usage(usage::Arguments),
    Verify(verify::Arguments),
    Adopt(adopt::Arguments),
    Export(export::Arguments),
    Backup(backup::Arguments),
    Copy(copy::Arguments),
    Migrate(migrate::Arguments),
    Immutable(immutable::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|error| Failure::system("cannot start the runtime").caused_by(&error))?;
    runtime.block_on(async {
        match &arguments.command {
            Command::Gc(arguments) => arguments.run().await,
            Command::Retention(arguments) => arguments.run().await,
            Command::Undelete(arguments) => arguments.run().await,
            Command::Usage(arguments) => arguments.run().await,
            Command::Verify(arguments) => arguments.run().await,
            Command::Adopt(arguments) => arguments.run().await,
            Command::Export(arguments) => arguments.run().await,
            Command::Backup(arguments) => arguments.run().await,
            Command::Copy(arguments) => arguments.run().await,
            Command::Migrate(arguments) => arguments.run().await,
            Command::Immutable(arguments) => arguments.run().await,
        }
    })
}

/// What to do about a data directory whose adoption is not complete.
fn half_read(failure: Failure, file: &Path, location: &ContentLocation) -> Failure {
    failure.hint(format!(
        "a server that reads it says in its log when it has; else run this first: wharfinger registry adopt {} {}",
        file.display(),
        location
    ))
}

/// What to do when `error` ended a copy of the content, if `usual` does not help.
fn copy_hint(error: &storage::Error, file: &Path, usual: &str) -> String {
    match error {
        storage::Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => format!(
            "content is missing: `wharfinger registry verify {}` says which images to push again",
            file.display()
        ),
        _ => usual.to_owned(),
    }
}

/// Why a command of the storage ended, and what to do before it is run again.
fn interrupted(message: &str, error: &storage::Error) -> Failure {
    let failure = Failure::system(message).caused_by(error);
    match error {
        storage::Error::Full => failure.hint(FULL_DISK),
        storage::Error::ReadOnly => failure.hint(
            "run as the user that the server runs as; while the registry is being copied to another place, wait",
        ),
        storage::Error::Unavailable { .. } => {
            failure.hint("`wharfinger check --connect FILE` says whether it can be reached")
        }
        storage::Error::Metadata(cause)
            if matches!(cause.downcast_ref(), Some(database::Error::Corrupt(_))) =>
        {
            failure.hint("the database is damaged: stop the server and restore a backup")
        }
        _ => failure,
    }
}

/// Prints a report in one of its two forms.
fn print(as_json: bool, json: &Value, human: &str) -> Result<(), Failure> {
    if as_json {
        output::print_json(json)
    } else {
        output::print(human)
    }
}

/// `1 blob`, `2 blobs`.
pub(super) fn count(number: u64, what: &str) -> String {
    match (number, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {what}s"),
    }
}

/// A number of bytes, in the largest unit that it fills.
pub(super) fn size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => count(bytes, "byte"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1_500_000, "1.4 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!(count(1, "repository"), "1 repository");
        assert_eq!(count(2, "repository"), "2 repositories");
        assert_eq!(count(0, "blob"), "0 blobs");
    }
}
