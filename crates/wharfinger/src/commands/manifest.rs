//! `wharfinger manifest`: print a manifest.

use std::process::ExitCode;

use clap::Args;
use client::ImageName;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{print_bytes, print_json};
use crate::remote::{ConnectionArguments, PlatformArguments, run as run_async};

/// Print a manifest, byte for byte as the registry has it
///
/// With --trace it shows every step: the challenge, the token request and the token's claims.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: HOST/NAME[:TAG][@DIGEST].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    #[command(flatten)]
    part: PlatformArguments,
    /// Print JSON: {digest, mediaType, size, manifest}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let repository = arguments.connection.repository(&arguments.name).await?;
        let manifest = repository
            .image(
                &arguments.name.reference(),
                arguments.part.platform.as_ref(),
            )
            .await?;
        if !arguments.json {
            return print_bytes(&manifest.bytes);
        }
        print_json(&json!({
            "digest": manifest.digest.to_string(),
            "mediaType": manifest.media_type,
            "size": manifest.bytes.len(),
            "manifest": serde_json::from_slice::<Value>(&manifest.bytes).unwrap_or_default(),
        }))
    })
}
