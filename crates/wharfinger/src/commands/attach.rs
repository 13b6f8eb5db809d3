//! `wharfinger attach`: attach files to an image.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use client::{Artifact, Attachment, ImageName};
use serde_json::json;

use crate::failure::Failure;
use crate::output::{print_json, print_lines};
use crate::remote::{ConnectionArguments, run as run_async};

/// The largest file that is attached, in bytes: files are held in memory.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Attach files to an image, as an artifact that refers to it
///
/// Prints the artifact's digest. If the registry does not keep the list of what is attached, the list
/// is kept under a tag, as the specification says.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: HOST/NAME[:TAG][@DIGEST].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    /// The files; FILE:TYPE sets a media type other than application/octet-stream.
    #[arg(value_name = "FILE[:TYPE]")]
    files: Vec<String>,
    /// The type of the artifact, as a media type: application/spdx+json, …
    #[arg(long = "type", value_name = "TYPE")]
    artifact_type: String,
    /// An annotation of the artifact; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// Print JSON: {digest, subject}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let artifact = Artifact {
        artifact_type: arguments.artifact_type.clone(),
        files: arguments
            .files
            .iter()
            .map(|file| read(file))
            .collect::<Result<_, _>>()?,
        annotations: arguments
            .annotation
            .iter()
            .map(|text| annotation(text))
            .collect::<Result<BTreeMap<_, _>, _>>()?,
    };
    run_async(async {
        let repository = arguments.connection.repository(&arguments.name).await?;
        let subject = repository.manifest(&arguments.name.reference()).await?;
        let attached = repository.attach(&artifact, &subject.descriptor()).await?;
        if arguments.json {
            return print_json(&json!({ "digest": attached.digest, "subject": subject.digest }));
        }
        print_lines([attached.digest])
    })
}

fn read(text: &str) -> Result<Attachment, Failure> {
    // A media type has one slash; a file name with a colon and a slash after it is unlikely.
    let typed = text
        .rsplit_once(':')
        .filter(|(path, kind)| !path.is_empty() && kind.split('/').count() == 2);
    let (path, media_type) = typed.unwrap_or((text, "application/octet-stream"));
    let failed = |error| Failure::usage(format!("cannot read {path}")).caused_by(&error);
    let path = PathBuf::from(path);
    let length = std::fs::metadata(&path).map_err(failed)?.len();
    if length > LARGEST {
        return Err(Failure::usage(format!(
            "{} has {length} bytes; at most {LARGEST} can be attached",
            path.display()
        )));
    }
    let content = std::fs::read(&path).map_err(failed)?;
    let title = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    Ok(Attachment {
        media_type: media_type.to_owned(),
        title,
        content: content.into(),
    })
}

fn annotation(text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!("{text:?} is not an annotation")).hint("write KEY=VALUE")),
    }
}
