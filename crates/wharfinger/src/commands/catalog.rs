//! `wharfinger catalog`: which repositories a registry has.

use std::process::ExitCode;

use clap::Args;
use client::{Host, Registry};
use serde_json::json;

use crate::failure::Failure;
use crate::output::{print_json, print_lines};
use crate::remote::{Connection, run as run_async};

/// List the repositories of a registry, sorted, one a line
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The registry: HOST[:PORT].
    host: Host,
    /// How many to ask for at once; the registry's own measure without.
    #[arg(long, value_name = "N")]
    page: Option<usize>,
    /// Print JSON: {repositories}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let session = arguments.connection.open().session(&arguments.host, "").await?;
        let repositories = Registry::new(session).catalog(arguments.page)?.all().await?;
        if arguments.json {
            return print_json(&json!({ "repositories": repositories }));
        }
        print_lines(repositories)
    })
}
