//! `wharfinger catalog`: list repositories.

use std::process::ExitCode;

use clap::Args;
use client::{Host, RegistryClient};
use serde_json::json;

use crate::failure::Failure;
use crate::output::{print_json, print_names};
use crate::remote::{ConnectionArguments, PageArguments, run as run_async};

/// List the repositories of a registry, sorted, one per line
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The registry: HOST[:PORT].
    host: Host,
    /// Print JSON: {repositories}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pages: PageArguments,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let session = arguments
            .connection
            .open()
            .session(&arguments.host, "")
            .await?;
        let repositories = RegistryClient::new(session)
            .catalog(arguments.pages.page)?
            .all()
            .await?;
        if arguments.json {
            return print_json(&json!({ "repositories": repositories }));
        }
        print_names(repositories)
    })
}
