//! `wharfinger referrers`: list what is attached to an image.

use std::process::ExitCode;

use clap::Args;
use client::{ImageName, Referrer};
use serde_json::json;

use crate::failure::Failure;
use crate::output::{print_json, print_names};
use crate::remote::{ConnectionArguments, bytes, run as run_async};

/// List what is attached to an image: signatures, bills of materials, …
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: HOST/NAME[:TAG][@DIGEST].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    /// List only artifacts of this type.
    #[arg(long = "type", value_name = "TYPE")]
    artifact_type: Option<String>,
    /// Print JSON: {subject, referrers}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let repository = arguments.connection.repository(&arguments.name).await?;
        let subject = match arguments.name.digest {
            Some(digest) => digest,
            None => repository.digest(&arguments.name.reference()).await?,
        };
        let mut referrers = repository
            .referrers(&subject, arguments.artifact_type.as_deref())
            .await?;
        referrers.sort_by(|a, b| (&a.artifact_type, a.digest).cmp(&(&b.artifact_type, b.digest)));
        if arguments.json {
            return print_json(&json!({ "subject": subject, "referrers": referrers }));
        }
        print_names(referrers.iter().map(line))
    })
}

fn line(referrer: &Referrer) -> String {
    let artifact_type = referrer
        .artifact_type
        .as_deref()
        .unwrap_or(&referrer.media_type);
    format!(
        "{}  {:>9}  {}",
        referrer.digest,
        bytes(referrer.size),
        artifact_type
    )
}
