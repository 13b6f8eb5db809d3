//! Copying one image.

use std::sync::Arc;

use oci::{Descriptor, Digest, Reference, Tag};
use tokio::task::JoinSet;

use super::{ImageSource, ImageTarget};
use crate::content::{CopyProgress, NoProgress, Reuse};
use crate::manifest::ImageGraph;
use crate::{Error, FetchedManifest, Platform, UploadOutcome};

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
    let graph = ImageGraph::load(source, root, how.referrers).await?;
    target.prepare(&graph, tag).await?;
    // Asking only saves time: when it fails, everything is copied. What is attached may be missing
    // although the image is there.
    let has_root = !how.referrers && target.has(&graph.root.digest).await.unwrap_or(false);
    let mut reuse = if has_root {
        Reuse::Manifests
    } else {
        Reuse::Blobs
    };
    loop {
        let copied = copy_graph(&graph, source, target, tag, reuse, how).await;
        reuse = match (copied, reuse) {
            (Err(error), Reuse::Manifests) if error.is_incomplete_push() => Reuse::Blobs,
            (Err(error), Reuse::Blobs) if error.is_incomplete_push() => Reuse::Nothing,
            (copied, _) => return copied,
        };
    }
}

/// Copies what the target does not have, as far as `reuse` relies on it.
async fn copy_graph(
    graph: &ImageGraph,
    source: &ImageSource,
    target: &ImageTarget,
    tag: Option<&Tag>,
    reuse: Reuse,
    how: &CopyOptions,
) -> Result<CopyReport, Error> {
    let root = &graph.root;
    let mut report = CopyReport {
        media_type: root.media_type.clone(),
        manifests: graph.manifests.len(),
        ..CopyReport::default()
    };
    if reuse == Reuse::Manifests {
        report.present = graph.blobs.len();
    } else {
        copy_blobs(&graph.blobs, source, target, reuse, how, &mut report).await?;
        let is_root = |manifest: &&FetchedManifest| manifest.digest == root.digest;
        for manifest in graph.manifests.iter().filter(|manifest| !is_root(manifest)) {
            target.put_manifest(manifest).await?;
            how.progress
                .manifest(&manifest.digest, &manifest.media_type);
        }
    }
    report.digest = Some(target.finish(root, tag).await?);
    how.progress.manifest(&root.digest, &root.media_type);
    Ok(report)
}

/// Copies several blobs at once. The first failure ends the others.
async fn copy_blobs(
    blobs: &[Descriptor],
    source: &ImageSource,
    target: &ImageTarget,
    reuse: Reuse,
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
                reuse,
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
    reuse: Reuse,
    progress: Arc<dyn CopyProgress>,
) -> Result<(u64, UploadOutcome), Error> {
    let meter = progress.blob(&blob);
    let outcome = target.put_blob(&blob, &source, reuse, &*meter).await?;
    meter.done(outcome);
    Ok((blob.size, outcome))
}
