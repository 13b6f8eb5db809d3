//! `wharfinger push`: from files into a registry.

use std::process::ExitCode;

use clap::Args;
use client::{ImageLocation, ImageName};

use super::transfer::TransferArguments;
use crate::failure::Failure;
use crate::remote::run as run_async;

/// Push an image from a directory or an archive to a registry
///
/// Blobs that the registry has are not sent. Prints TARGET@DIGEST.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where from: oci:DIR[:TAG], an OCI layout, or FILE.tar[:TAG], an archive of one or what
    /// `docker save` wrote.
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
            "{} is a registry's image, not files",
            arguments.source
        ))
        .hint("write oci:DIR or FILE.tar; `wharfinger copy` moves from registry to registry"));
    }
    let to = ImageLocation::Registry(arguments.name.clone());
    run_async(arguments.transfer.run(&arguments.source, &to))
}
