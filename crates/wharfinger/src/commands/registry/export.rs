//! `wharfinger registry export`: a data directory for registry 2.x or 3.x.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use common::{Clock, SystemClock};
use object_content::BucketExport;
use serde_json::json;
use storage::distribution::{ExportError, ExportReport};

use super::hold::while_held;
use super::open::{Content, Opened};
use super::progress::Progress;
use super::{copy_hint, count, half_read, open, print};
use crate::failure::Failure;
use crate::serve::bucket::settings;

/// Write all images as the data of a registry 2.x or 3.x
///
/// The target is a data directory, or the configuration of the other registry, which names a directory
/// or a bucket. On the same file system, blobs are hard links to this registry's files; in the same
/// bucket, the store copies them; elsewhere, they are copied. Files that the target already has are
/// kept, but tags are set as they are here. If it is interrupted, run it again to continue.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server's configuration.
    file: PathBuf,
    /// The data directory to write, which is created if it is missing; or the configuration file of
    /// the registry that is to serve the images, with `storage.s3` or `storage.filesystem`.
    target: PathBuf,
    /// Print one JSON object: {directory, repositories, manifests, tags, blobs}.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        let opened = open::existing(&self.file).await?;
        let target = self.target(&opened)?;
        let exported = {
            let mut progress = Progress::new("exporting");
            let told = |exported: &ExportReport| progress.so_far(|| summary(exported));
            let work = async {
                match &target {
                    Target::Directory(directory) => opened.storage.export(directory, told).await,
                    Target::Bucket(bucket) => {
                        opened
                            .storage
                            .export_to(Arc::clone(bucket) as _, told)
                            .await
                    }
                }
            };
            while_held(&opened.storage, work).await?
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
        let directory = match &target {
            Target::Directory(directory) => directory.display().to_string(),
            Target::Bucket(bucket) => bucket.url(),
        };
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

    /// Where the export goes.
    fn target(&self, opened: &Opened) -> Result<Target, Failure> {
        if !self.target.is_file() {
            return Ok(Target::Directory(self.target.clone()));
        }
        match open::content_of(&self.target)? {
            Content::Directory(root) => Ok(Target::Directory(root)),
            Content::Bucket(bucket) => {
                let settings = settings(&bucket)?;
                let clock: Arc<dyn Clock> = Arc::new(SystemClock);
                let exported = BucketExport::new(&settings, opened.bucket.as_ref(), &clock);
                let exported = exported
                    .map_err(|error| Failure::usage("nothing was exported").caused_by(&error))?;
                Ok(Target::Bucket(Arc::new(exported)))
            }
        }
    }
}

/// Where an export goes.
enum Target {
    Directory(PathBuf),
    Bucket(Arc<BucketExport>),
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
