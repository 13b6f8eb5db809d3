//! `wharfinger restore`: an earlier manifest under its tag again.

use std::process::ExitCode;

use clap::Args;
use client::{Error, ImageName};
use oci::Reference;

use crate::failure::Failure;
use crate::output::print_lines;
use crate::remote::{ConnectionArguments, run as run_async};

/// Point a tag at an earlier manifest again, which `wharfinger history` shows
///
/// The manifest must still be in the repository. It is pushed again under the tag, so the
/// login needs the right to push. An immutable tag stays as it is.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The tag and the earlier manifest: HOST/NAME:TAG@DIGEST.
    #[arg(value_name = "IMAGE@DIGEST")]
    name: ImageName,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let name = &arguments.name;
        let (Some(tag), Some(digest)) = (&name.tag, name.digest) else {
            return Err(
                Failure::usage(format!("{name} names no tag with an earlier digest"))
                    .hint("write HOST/NAME:TAG@DIGEST"),
            );
        };
        let repository = arguments.connection.open().repository(name).await?;
        let earlier = repository.manifest(&Reference::Digest(digest)).await;
        let earlier = earlier.map_err(|error| match error {
            Error::NotFound { .. } => Failure::from(error).hint(
                "the manifest is no longer in the repository: push the image again from where you \
                 have it",
            ),
            error => error.into(),
        })?;
        let reference = Reference::Tag(tag.clone());
        repository.put_manifest(&earlier, &reference).await?;
        print_lines([format!("{}@{digest}", name.with(reference))])
    })
}
