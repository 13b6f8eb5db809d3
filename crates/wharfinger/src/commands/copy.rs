//! `wharfinger copy`: copy images.

use std::process::ExitCode;

use clap::Args;
use client::ImageLocation;

use super::transfer::{TransferArguments, location};
use crate::failure::Failure;
use crate::remote::run as run_async;

/// Copy an image between registries, directories and archives
///
/// Between repositories of one registry, blobs are mounted instead of sent. Prints TARGET@DIGEST.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The source: HOST/NAME[:TAG][@DIGEST], oci:DIR[:TAG] or FILE.tar[:TAG].
    #[arg(value_parser = location)]
    source: ImageLocation,
    /// The target: HOST/NAME[:TAG], oci:DIR[:TAG] or FILE.tar.
    #[arg(value_parser = location)]
    target: ImageLocation,
    #[command(flatten)]
    transfer: TransferArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(arguments.transfer.run(&arguments.source, &arguments.target))
}
