//! `wharfinger tag`: add tags to an image.

use std::process::ExitCode;

use clap::Args;
use client::ImageName;
use oci::{Reference, Tag};

use crate::failure::Failure;
use crate::output::print_lines;
use crate::remote::{ConnectionArguments, run as run_async};

/// Add tags to an image, without copying it
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: HOST/NAME[:TAG][@DIGEST].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    /// The new tags, in the same repository.
    #[arg(required = true)]
    tags: Vec<Tag>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let repository = arguments.connection.repository(&arguments.name).await?;
        let manifest = repository.manifest(&arguments.name.reference()).await?;
        for tag in &arguments.tags {
            let reference = Reference::Tag(tag.clone());
            repository.put_manifest(&manifest, &reference).await?;
            print_lines([format!(
                "{}@{}",
                arguments.name.with(reference),
                manifest.digest
            )])?;
        }
        Ok(())
    })
}
