//! `wharfinger tag`: another name for an image that is there.

use std::process::ExitCode;

use clap::Args;
use client::ImageName;
use oci::{Reference, Tag};

use crate::failure::Failure;
use crate::output::print_lines;
use crate::remote::{ConnectionArguments, run as run_async};

/// Give an image more tags, without moving anything
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: HOST/NAME[:TAG][@DIGEST].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    /// Its new tags, in the same repository.
    #[arg(required = true)]
    tags: Vec<Tag>,
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
