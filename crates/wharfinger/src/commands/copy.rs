//! `wharfinger copy`: from any place to any other.

use std::process::ExitCode;

use clap::Args;
use client::ImageLocation;

use super::transfer::TransferArguments;
use crate::failure::Failure;
use crate::remote::run as run_async;

/// Copy an image between registries, directories and archives
///
/// Between repositories of one registry nothing is sent: blobs are mounted. Prints TARGET@DIGEST.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where from: HOST/NAME[:TAG][@DIGEST], oci:DIR[:TAG] or FILE.tar[:TAG].
    source: ImageLocation,
    /// Where to: HOST/NAME[:TAG], oci:DIR[:TAG] or FILE.tar.
    target: ImageLocation,
    #[command(flatten)]
    transfer: TransferArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(arguments.transfer.run(&arguments.source, &arguments.target))
}
