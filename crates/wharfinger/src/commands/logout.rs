//! `wharfinger logout`: forget a login.

use std::process::ExitCode;

use clap::Args;
use client::{Error, Host};

use crate::failure::Failure;
use crate::output::print_lines;
use crate::remote::{credential_store, run as run_async};

/// Forget the login to a registry, in every file and helper that has one
///
/// Nothing is told to a server: a refresh token stays good until it is revoked there.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The registry: HOST[:PORT].
    host: Host,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let host = &arguments.host;
        let erased = credential_store().erase(host).await.map_err(Error::from)?;
        match erased.as_slice() {
            [] => print_lines([format!("there was no login to {host}")]),
            places => print_lines(
                places
                    .iter()
                    .map(|place| format!("the login to {host} is gone from {place}")),
            ),
        }
    })
}
