//! Moving one image.

use std::sync::Arc;

use oci::{Descriptor, Digest, Reference, Tag};
use tokio::task::JoinSet;

use super::{BlobSource, Cargo, Progress, Silent, Source, Target};
use crate::{Error, Platform, Uploaded};

/// How many blobs move at once.
const PARALLEL: usize = 4;

/// What to move, and how.
#[derive(Clone)]
pub struct Copy {
    /// Only the image for this platform, not the whole index.
    pub platform: Option<Platform>,
    /// With what is attached to it.
    pub referrers: bool,
    /// How many blobs move at once; at least one does.
    pub parallel: usize,
    /// Who looks on.
    pub progress: Arc<dyn Progress>,
}

impl Default for Copy {
    fn default() -> Self {
        Self {
            platform: None,
            referrers: false,
            parallel: PARALLEL,
            progress: Arc::new(Silent),
        }
    }
}

/// What was moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
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
    source: &Source,
    reference: Option<&Reference>,
    target: &Target,
    tag: Option<&Tag>,
    how: &Copy,
) -> Result<Report, Error> {
    let root = source.image(reference, how.platform.as_ref()).await?;
    let cargo = Cargo::load(source, root, how.referrers).await?;
    let mut report = Report {
        digest: Some(cargo.root.digest),
        media_type: cargo.root.media_type.clone(),
        manifests: cargo.manifests.len(),
        ..Report::default()
    };
    target.prepare(&cargo, tag).await?;
    // A registry that has the manifest has its blobs, too; only the tag may be missing, or what is
    // attached.
    if how.referrers || !target.has(&cargo.root.digest).await? {
        move_blobs(&cargo.blobs, source, target, how, &mut report).await?;
        for manifest in cargo
            .manifests
            .iter()
            .filter(|manifest| manifest.digest != cargo.root.digest)
        {
            target.put_manifest(manifest).await?;
            how.progress
                .manifest(&manifest.digest, &manifest.media_type);
        }
    } else {
        report.present = cargo.blobs.len();
    }
    report.digest = Some(target.finish(&cargo.root, tag).await?);
    how.progress
        .manifest(&cargo.root.digest, &cargo.root.media_type);
    Ok(report)
}

/// Several at once; the first that fails ends the others.
async fn move_blobs(
    blobs: &[Descriptor],
    source: &Source,
    target: &Target,
    how: &Copy,
    report: &mut Report,
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
            .map_err(|error| Error::Unsuitable(format!("a transfer broke off: {error}")))??;
        match outcome {
            Uploaded::Present => report.present += 1,
            Uploaded::Mounted => report.mounted += 1,
            Uploaded::Sent => {
                report.sent += 1;
                report.bytes += size;
            }
        }
    }
}

async fn move_blob(
    blob: Descriptor,
    source: BlobSource,
    target: Target,
    progress: Arc<dyn Progress>,
) -> Result<(u64, Uploaded), Error> {
    let meter = progress.blob(&blob);
    let outcome = target.put_blob(&blob, &source, &*meter).await?;
    meter.done(outcome);
    Ok((blob.size, outcome))
}
