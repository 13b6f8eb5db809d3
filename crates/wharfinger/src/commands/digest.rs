//! `wharfinger digest`: print the digest of a tag.

use std::process::ExitCode;

use clap::Args;
use client::ImageName;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{print_json, print_lines};
use crate::remote::{ConnectionArguments, PlatformArguments, run as run_async};

/// Print the digest that a tag points to
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: HOST/NAME[:TAG].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    #[command(flatten)]
    part: PlatformArguments,
    /// Print JSON: {digest}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let repository = arguments.connection.repository(&arguments.name).await?;
        let reference = arguments.name.reference();
        let digest = match &arguments.part.platform {
            None => repository.digest(&reference).await?,
            platform => {
                repository
                    .image(&reference, platform.as_ref())
                    .await?
                    .digest
            }
        };
        if arguments.json {
            return print_json(&json!({ "digest": digest.to_string() }));
        }
        print_lines([digest])
    })
}
