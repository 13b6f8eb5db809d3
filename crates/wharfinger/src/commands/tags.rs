//! `wharfinger tags`: list tags.

use std::process::ExitCode;

use clap::Args;
use client::ImageName;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{print_json, print_names};
use crate::remote::{ConnectionArguments, PageArguments, run as run_async};

/// List the tags of a repository, sorted, one per line
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The repository: HOST/NAME.
    #[arg(value_name = "HOST/NAME")]
    name: ImageName,
    /// Print JSON: {name, tags}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pages: PageArguments,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let repository = arguments.connection.repository(&arguments.name).await?;
        let tags = repository.tags(arguments.pages.page)?.all().await?;
        if arguments.json {
            return print_json(&json!({ "name": repository.name().as_str(), "tags": tags }));
        }
        print_names(tags)
    })
}
