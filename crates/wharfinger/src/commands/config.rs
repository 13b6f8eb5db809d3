//! `wharfinger config`: what an image's configuration says.

use std::process::ExitCode;

use clap::Args;
use client::{ImageName, Platform};

use crate::failure::Failure;
use crate::output::print_bytes;
use crate::remote::{ConnectionArguments, run as run_async};

/// Print an image's configuration, byte for byte: what it runs, for which platform, how it was made
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: HOST/NAME[:TAG][@DIGEST].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    /// Of an index, the image for this platform; this machine's without.
    #[arg(long)]
    platform: Option<Platform>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let repository = arguments
            .connection
            .open()
            .repository(&arguments.name)
            .await?;
        let platform = arguments.platform.clone().unwrap_or_else(Platform::here);
        let manifest = repository
            .image(&arguments.name.reference(), Some(&platform))
            .await?;
        print_bytes(&repository.config(&manifest).await?)
    })
}
