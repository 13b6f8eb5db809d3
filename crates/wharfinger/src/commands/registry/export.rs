//! `wharfinger registry export`: a data directory for registry 2.x or 3.x.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use storage::distribution::{ExportError, ExportReport};

use super::hold::while_held;
use super::progress::Progress;
use super::{copy_hint, count, half_read, open, print};
use crate::failure::Failure;

/// Write all images as a data directory for registry 2.x and 3.x
///
/// On the same file system, blobs are hard links to this registry's files; elsewhere, copies. Files
/// that the directory already has are kept, but tags are set as they are here. If it is interrupted,
/// run it again to continue.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server's configuration.
    file: PathBuf,
    /// The data directory to write; it is created if it is missing.
    directory: PathBuf,
    /// Print one JSON object: {directory, repositories, manifests, tags, blobs}.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        let opened = open::existing(&self.file).await?;
        let exported = {
            let mut progress = Progress::new("exporting");
            let told = |exported: &ExportReport| progress.so_far(|| summary(exported));
            while_held(
                &opened.storage,
                opened.storage.export(&self.directory, told),
            )
            .await?
        };
        let exported = exported.map_err(|error| match &error {
            ExportError::HalfRead(location) => half_read(
                Failure::system("nothing was exported"),
                &self.file,
                location,
            )
            .caused_by(&error),
            error => {
                const USUAL: &str = "run the command again to continue";
                let hint = match error {
                    ExportError::Write { source, .. } => copy_hint(source, &self.file, USUAL),
                    _ => USUAL.to_owned(),
                };
                let failure = Failure::system("the export is not complete");
                failure.caused_by(error).hint(hint)
            }
        })?;
        let directory = self.directory.display().to_string();
        let json = json!({
            "directory": directory,
            "repositories": exported.repositories,
            "manifests": exported.manifests,
            "tags": exported.tags,
            "blobs": exported.blobs,
        });
        print(
            self.json,
            &json,
            &format!("exported to {directory}: {}\n", summary(&exported)),
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

fn summary(exported: &ExportReport) -> String {
    format!(
        "{}, {}, {} and {}",
        count(exported.repositories, "repository"),
        count(exported.tags, "tag"),
        count(exported.manifests, "manifest"),
        count(exported.blobs, "blob"),
    )
}
