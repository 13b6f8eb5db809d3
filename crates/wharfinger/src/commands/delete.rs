//! `wharfinger delete`: delete a tag, or an image with all its tags.

use std::process::ExitCode;

use clap::Args;
use client::ImageName;

use crate::failure::Failure;
use crate::output::print_lines;
use crate::remote::{ConnectionArguments, run as run_async};

/// Delete a tag, or an image by its digest with all its tags
///
/// Registry 2 deletes only by digest. The space is freed when the registry collects its garbage.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to delete: HOST/NAME:TAG or HOST/NAME@DIGEST.
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let name = &arguments.name;
    if name.tag.is_none() && name.digest.is_none() {
        return Err(Failure::usage(format!("{name}: tag or digest required"))
            .hint("write HOST/NAME:TAG or HOST/NAME@DIGEST"));
    }
    run_async(async {
        let repository = arguments.connection.open().repository(name).await?;
        repository.delete_manifest(&name.reference()).await?;
        print_lines([format!("deleted {name}")])
    })
}
