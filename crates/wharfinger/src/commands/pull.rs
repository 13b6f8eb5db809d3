//! `wharfinger pull`: from a registry into files.

use std::process::ExitCode;

use clap::Args;
use client::{ImageLocation, ImageName};

use super::transfer::TransferArguments;
use crate::failure::Failure;
use crate::remote::run as run_async;

/// Pull an image from a registry into a directory or an archive
///
/// A pull into a directory that was broken off goes on where it ended. Prints TARGET@DIGEST.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: HOST/NAME[:TAG][@DIGEST].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    /// Where to: oci:DIR[:TAG], an OCI layout, or FILE.tar, which `docker load` reads, too.
    target: ImageLocation,
    #[command(flatten)]
    transfer: TransferArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if matches!(arguments.target, ImageLocation::Registry(_)) {
        return Err(Failure::usage(format!(
            "{} is a registry's image, not a place for files",
            arguments.target
        ))
        .hint("write oci:DIR or FILE.tar; `wharfinger copy` moves from registry to registry"));
    }
    let from = ImageLocation::Registry(arguments.name.clone());
    run_async(arguments.transfer.run(&from, &arguments.target))
}
