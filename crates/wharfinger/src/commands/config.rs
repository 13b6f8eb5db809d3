//! `wharfinger config`: print an image's configuration.

use std::process::ExitCode;

use clap::Args;
use client::{ImageName, Platform};

use crate::failure::Failure;
use crate::output::print_bytes;
use crate::remote::{ConnectionArguments, run as run_async};

/// Print an image's configuration, byte for byte: command, environment, platform, history
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: HOST/NAME[:TAG][@DIGEST].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    /// Choose the image of an index for this platform (default: this machine's).
    #[arg(long)]
    platform: Option<Platform>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let repository = arguments.connection.repository(&arguments.name).await?;
        let platform = arguments.platform.clone().unwrap_or_else(Platform::here);
        let manifest = repository
            .image(&arguments.name.reference(), Some(&platform))
            .await?;
        print_bytes(&repository.config(&manifest).await?)
    })
}
