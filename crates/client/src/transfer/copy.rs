//! Moving one image.

use std::sync::Arc;

use oci::{Descriptor, Digest, Reference, Tag};
use tokio::task::JoinSet;

use super::{BlobSource, CopyProgress, ImageGraph, ImageSource, ImageTarget, NoProgress};
use crate::{Error, Platform, UploadOutcome};

/// How many blobs move at once.
const PARALLEL: usize = 4;

/// What to move, and how.
#[derive(Clone)]
pub struct CopyOptions {
    /// Only the image for this platform, not the whole index.
    pub platform: Option<Platform>,
    /// With what is attached to it.
    pub referrers: bool,
    /// How many blobs move at once; at least one does.
    pub parallel: usize,
    /// Who looks on.
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

/// What was moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// The image's name at its target: its digest, or its SHA-256 where a registry takes no other.
    pub digest: Option<Digest>,
    /// Its type.
    pub media_type: String,
    /// How many manifests it has.
    pub manifests: usize,
    /// How many blobs moved.
    pub sent: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many blobs the registry took over from another repository of its own.
    pub mounted: usize,
    /// How many blobs were there already.
    pub present: usize,
}

/// Moves the image `reference` of `source` to `target`, and gives it `tag` there.
///
/// # Errors
/// When it cannot be moved whole. What has arrived by then is kept, and is nothing that looks like
/// an image.
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
    // A registry that has the manifest has its blobs, too; only the tag may be missing, or what is
    // attached.
    if how.referrers || !target.has(&image_graph.root.digest).await? {
        move_blobs(&image_graph.blobs, source, target, how, &mut report).await?;
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

/// Several at once; the first that fails ends the others.
async fn move_blobs(
    blobs: &[Descriptor],
    source: &ImageSource,
    target: &ImageTarget,
    how: &CopyOptions,
    report: &mut CopyReport,
) -> Result<(), Error> {
    let mut waiting = blobs.iter();
    let mut moving = JoinSet::new();
    loop {
        while moving.len() < how.parallel.max(1)
            && let Some(blob) = waiting.next()
        {
            moving.spawn(move_blob(
                blob.clone(),
                BlobSource::Source(source.clone()),
                target.clone(),
                how.progress.clone(),
            ));
        }
        let Some(finished) = moving.join_next().await else {
            return Ok(());
        };
        let (size, outcome) = finished
            .map_err(|error| Error::Unsupported(format!("a transfer broke off: {error}")))??;
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

async fn move_blob(
    blob: Descriptor,
    source: BlobSource,
    target: ImageTarget,
    progress: Arc<dyn CopyProgress>,
) -> Result<(u64, UploadOutcome), Error> {
    let meter = progress.blob(&blob);
    let outcome = target.put_blob(&blob, &source, &*meter).await?;
    meter.done(outcome);
    Ok((blob.size, outcome))
}
