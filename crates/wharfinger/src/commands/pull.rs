//! `wharfinger pull`: copy an image from a registry into files.

use std::process::ExitCode;

use clap::Args;
use client::{ImageLocation, ImageName};

use super::transfer::{TransferArguments, files};
use crate::failure::Failure;
use crate::remote::run as run_async;

/// Pull an image from a registry into a directory or an archive
///
/// A pull into a directory continues where an earlier one stopped. Prints TARGET@DIGEST.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: HOST/NAME[:TAG][@DIGEST].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    /// The target: oci:DIR[:TAG], an OCI layout, or FILE.tar, which `docker load` can read, too.
    #[arg(value_parser = files)]
    target: ImageLocation,
    #[command(flatten)]
    transfer: TransferArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if matches!(arguments.target, ImageLocation::Registry(_)) {
        return Err(Failure::usage(format!(
            "the target {} is an image in a registry",
            arguments.target
        ))
        .hint("write oci:DIR or FILE.tar, or use `wharfinger copy` to copy between registries"));
    }
    let from = ImageLocation::Registry(arguments.name.clone());
    run_async(arguments.transfer.run(&from, &arguments.target))
}
