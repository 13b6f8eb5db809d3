//! `wharfinger tag`: add tags to an image.

use std::process::ExitCode;

use clap::Args;
use oci::{Reference, Tag};

use crate::failure::Failure;
use crate::output::print_lines;
use crate::remote::{ImageArguments, run as run_async};

/// Add tags to an image, without copying it
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    image: ImageArguments,
    /// The new tags, in the same repository.
    #[arg(required = true)]
    tags: Vec<Tag>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let repository = arguments.image.repository().await?;
        let manifest = repository
            .manifest(&arguments.image.name.reference())
            .await?;
        for tag in &arguments.tags {
            let reference = Reference::Tag(tag.clone());
            repository.put_manifest(&manifest, &reference).await?;
            print_lines([format!(
                "{}@{}",
                arguments.image.name.with(reference),
                manifest.digest
            )])?;
        }
        Ok(())
    })
}
