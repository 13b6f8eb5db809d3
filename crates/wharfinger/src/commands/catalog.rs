//! `wharfinger catalog`: list repositories.

use std::process::ExitCode;

use clap::Args;
use client::{Host, RegistryClient};
use serde_json::json;

use crate::failure::Failure;
use crate::output::{print_json, print_names};
use crate::remote::{ListArguments, run as run_async};

/// List the repositories of a registry, sorted, one per line
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The registry: HOST[:PORT].
    host: Host,
    /// Print JSON: {repositories}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    list: ListArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let session = arguments
            .list
            .connection
            .open()
            .session(&arguments.host, "")
            .await?;
        let repositories = RegistryClient::new(session)
            .catalog(arguments.list.page)?
            .all()
            .await?;
        if arguments.json {
            return print_json(&json!({ "repositories": repositories }));
        }
        print_names(repositories)
    })
}
