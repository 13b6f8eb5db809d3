//! `wharfinger push`: copy an image from files into a registry.

use std::process::ExitCode;

use clap::Args;
use client::{ImageLocation, ImageName};

use super::transfer::{TransferArguments, files};
use crate::failure::Failure;
use crate::remote::run as run_async;

/// Push an image from a directory or an archive to a registry
///
/// Blobs that the registry already has are not sent. Prints TARGET@DIGEST.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The source: oci:DIR[:TAG], an OCI layout, or FILE.tar[:TAG], an archive of a layout or the
    /// output of `docker save`. An archive may be compressed with gzip or zstd.
    #[arg(value_parser = files)]
    source: ImageLocation,
    /// The image: HOST/NAME[:TAG].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    #[command(flatten)]
    transfer: TransferArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if matches!(arguments.source, ImageLocation::Registry(_)) {
        return Err(Failure::usage(format!(
            "the source {} is an image in a registry",
            arguments.source
        ))
        .hint("write oci:DIR or FILE.tar, or use `wharfinger copy` to copy between registries"));
    }
    let to = ImageLocation::Registry(arguments.name.clone());
    run_async(arguments.transfer.run(&arguments.source, &to))
}
