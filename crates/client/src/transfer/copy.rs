//! Copying one image.

use std::sync::Arc;

use oci::{Descriptor, Digest, Reference, Tag};
use tokio::task::JoinSet;

use super::{ImageSource, ImageTarget};
use crate::content::{CopyProgress, NoProgress};
use crate::manifest::ImageGraph;
use crate::{Error, Platform, UploadOutcome};

/// How many blobs are copied at once.
const PARALLEL: usize = 4;

/// What to copy, and how.
#[derive(Clone)]
pub struct CopyOptions {
    /// Only the image for this platform, not the whole index.
    pub platform: Option<Platform>,
    /// Copy what is attached to the image, too.
    pub referrers: bool,
    /// How many blobs are copied at once, at least one.
    pub parallel: usize,
    /// Sees the progress.
    pub progress: Arc<dyn CopyProgress>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            platform: None,
            referrers: false,
            parallel: PARALLEL,
            progress: Arc::new(NoProgress),
        }
    }
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// The image's digest at the target. It is a SHA-256 if the registry accepts no other.
    pub digest: Option<Digest>,
    /// Its media type.
    pub media_type: String,
    /// How many manifests it has.
    pub manifests: usize,
    /// How many blobs were sent.
    pub sent: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many blobs the registry mounted from another repository.
    pub mounted: usize,
    /// How many blobs were there already.
    pub present: usize,
}

/// Copies the image `reference` of `source` to `target`, under `tag`.
///
/// # Errors
/// When it cannot be copied completely. What has arrived by then is kept, but is not visible as an
/// image.
pub async fn copy(
    source: &ImageSource,
    reference: Option<&Reference>,
    target: &ImageTarget,
    tag: Option<&Tag>,
    how: &CopyOptions,
) -> Result<CopyReport, Error> {
    let root = source.image(reference, how.platform.as_ref()).await?;
    let image_graph = ImageGraph::load(source, root, how.referrers).await?;
    let mut report = CopyReport {
        digest: Some(image_graph.root.digest),
        media_type: image_graph.root.media_type.clone(),
        manifests: image_graph.manifests.len(),
        ..CopyReport::default()
    };
    target.prepare(&image_graph, tag).await?;
    // A registry that has the manifest has its blobs, too. Only the tag may be missing, or what is
    // attached. Asking only saves time: when it fails, everything is sent.
    let digest = &image_graph.root.digest;
    if how.referrers || !target.has(digest).await.unwrap_or(false) {
        copy_blobs(&image_graph.blobs, source, target, how, &mut report).await?;
        for manifest in image_graph
            .manifests
            .iter()
            .filter(|manifest| manifest.digest != image_graph.root.digest)
        {
            target.put_manifest(manifest).await?;
            how.progress
                .manifest(&manifest.digest, &manifest.media_type);
        }
    } else {
        report.present = image_graph.blobs.len();
    }
    report.digest = Some(target.finish(&image_graph.root, tag).await?);
    how.progress
        .manifest(&image_graph.root.digest, &image_graph.root.media_type);
    Ok(report)
}

/// Copies several blobs at once. The first failure ends the others.
async fn copy_blobs(
    blobs: &[Descriptor],
    source: &ImageSource,
    target: &ImageTarget,
    how: &CopyOptions,
    report: &mut CopyReport,
) -> Result<(), Error> {
    let mut waiting = blobs.iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < how.parallel.max(1)
            && let Some(blob) = waiting.next()
        {
            running.spawn(copy_blob(
                blob.clone(),
                source.clone(),
                target.clone(),
                how.progress.clone(),
            ));
        }
        let Some(finished) = running.join_next().await else {
            return Ok(());
        };
        let (size, outcome) = finished
            .map_err(|error| Error::Unsupported(format!("a transfer stopped: {error}")))??;
        match outcome {
            UploadOutcome::Present => report.present += 1,
            UploadOutcome::Mounted => report.mounted += 1,
            UploadOutcome::Sent => {
                report.sent += 1;
                report.bytes += size;
            }
        }
    }
}

async fn copy_blob(
    blob: Descriptor,
    source: ImageSource,
    target: ImageTarget,
    progress: Arc<dyn CopyProgress>,
) -> Result<(u64, UploadOutcome), Error> {
    let meter = progress.blob(&blob);
    let outcome = target.put_blob(&blob, &source, &*meter).await?;
    meter.done(outcome);
    Ok((blob.size, outcome))
}
