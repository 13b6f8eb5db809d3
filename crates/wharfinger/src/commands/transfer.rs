//! What `pull`, `push` and `copy` share: two places and what lies between.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use client::{
    Archive, ArchiveWriter, CopyOptions, CopyReport, Error, ImageLocation, ImageName, ImageSource,
    ImageTarget, OciLayout, copy,
};
use oci::{Reference, Tag};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{print_json, print_lines};
use crate::remote::{ConnectionArguments, PlatformArguments, ProgressBars, Remote};

/// How to move.
#[derive(Debug, Args)]
pub(crate) struct TransferArguments {
    #[command(flatten)]
    part: PlatformArguments,
    /// With what is attached to the image.
    #[arg(long)]
    referrers: bool,
    /// All tags of the source.
    #[arg(long)]
    all_tags: bool,
    /// How many blobs move at once.
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
    /// Print JSON: {images: [{source, target, digest, mediaType, manifests, blobs: {sent, mounted,
    /// present}, bytes}]}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl TransferArguments {
    /// Moves what `from` names to `to`.
    pub(crate) async fn run(
        &self,
        from: &ImageLocation,
        to: &ImageLocation,
    ) -> Result<(), Failure> {
        let remote = self.connection.open();
        let source = source(&remote, from).await?;
        let target = target(&remote, from, to).await?;
        let how = CopyOptions {
            platform: self.part.platform.clone(),
            referrers: self.referrers,
            parallel: self.jobs,
            progress: ProgressBars::fitting(self.quiet || self.json, self.connection.trace),
        };
        let mut reports = Vec::new();
        for (reference, tag) in self.images(&source, from, to).await? {
            expect_digest(&source, reference.as_ref(), to, &how).await?;
            let report = copy(&source, reference.as_ref(), &target, tag.as_ref(), &how).await?;
            let moved = MovedImage {
                from: named(from, reference.as_ref()),
                to: tagged(to, tag.as_ref()),
                report,
            };
            if !self.json {
                print_lines([moved.line()])?;
            }
            reports.push(moved.json());
        }
        if self.json {
            print_json(&json!({ "images": reports }))
        } else {
            Ok(())
        }
    }

    /// What to move, and what it is called at the target.
    async fn images(
        &self,
        source: &ImageSource,
        from: &ImageLocation,
        to: &ImageLocation,
    ) -> Result<Vec<(Option<Reference>, Option<Tag>)>, Failure> {
        if !self.all_tags {
            // What is pulled keeps its tag where no other is named.
            let tag = to
                .tag()
                .filter(|_| is_named(to))
                .or_else(|| from.tag().filter(|_| !has_digest(to)));
            return Ok(vec![(from.reference(), tag.or_else(|| to.tag()))]);
        }
        if is_named(from) || is_named(to) || matches!(to, ImageLocation::Archive { .. }) {
            return Err(
                Failure::usage("--all-tags moves every tag under its own name")
                    .hint("name a repository or a layout on both sides, without tag and digest"),
            );
        }
        let tags = source.tags().await?;
        Ok(tags
            .into_iter()
            .map(|tag| (Some(Reference::Tag(tag.clone())), Some(tag)))
            .collect())
    }
}

/// One image that was moved.
struct MovedImage {
    from: String,
    to: String,
    report: CopyReport,
}

impl MovedImage {
    fn line(&self) -> String {
        let digest = self
            .report
            .digest
            .map(|digest| digest.to_string())
            .unwrap_or_default();
        match self.to.contains('@') {
            true => self.to.clone(),
            false => format!("{}@{digest}", self.to),
        }
    }

    fn json(&self) -> Value {
        let report = &self.report;
        json!({
            "source": self.from,
            "target": self.to,
            "digest": report.digest,
            "mediaType": report.media_type,
            "manifests": report.manifests,
            "blobs": { "sent": report.sent, "mounted": report.mounted, "present": report.present },
            "bytes": report.bytes,
        })
    }
}

async fn source(remote: &Remote, place: &ImageLocation) -> Result<ImageSource, Failure> {
    Ok(match place {
        ImageLocation::Registry(name) => ImageSource::Repository(remote.repository(name).await?),
        ImageLocation::Layout { directory, .. } => ImageSource::Layout(OciLayout::new(directory)),
        ImageLocation::Archive { path, .. } => {
            ImageSource::Archive(Arc::new(opened(path.clone()).await?))
        }
    })
}

/// An archive, read on a thread of its own: one that `docker save` wrote is hashed whole.
async fn opened(path: PathBuf) -> Result<Archive, Failure> {
    let opening = tokio::task::spawn_blocking(move || Archive::open(&path)).await;
    Ok(opening
        .map_err(|error| Failure::system("the archive cannot be read").caused_by(&error))??)
}

async fn target(
    remote: &Remote,
    from: &ImageLocation,
    to: &ImageLocation,
) -> Result<ImageTarget, Failure> {
    Ok(match to {
        ImageLocation::Registry(name) => ImageTarget::Repository(remote.repository(name).await?),
        ImageLocation::Layout { directory, .. } => ImageTarget::Layout(OciLayout::new(directory)),
        ImageLocation::Archive { path, .. } => {
            let name = match from {
                ImageLocation::Registry(ImageName {
                    host, repository, ..
                }) => Some(format!("{host}/{repository}")),
                ImageLocation::Layout { .. } | ImageLocation::Archive { .. } => None,
            };
            ImageTarget::Archive(Arc::new(ArchiveWriter::new(path, name)))
        }
    })
}

/// A digest at the target is a promise: it must be the source's.
async fn expect_digest(
    source: &ImageSource,
    reference: Option<&Reference>,
    to: &ImageLocation,
    how: &CopyOptions,
) -> Result<(), Failure> {
    let Some(Reference::Digest(expected)) = to.reference() else {
        return Ok(());
    };
    let found = source.image(reference, how.platform.as_ref()).await?.digest;
    if found == expected {
        return Ok(());
    }
    let what = "what is to be sent".to_owned();
    Err(Error::Digest {
        what,
        expected: expected.into(),
        found: found.into(),
    }
    .into())
}

/// Whether a tag or a digest is written.
fn is_named(place: &ImageLocation) -> bool {
    match place {
        ImageLocation::Registry(name) => name.tag.is_some() || name.digest.is_some(),
        ImageLocation::Layout { reference, .. } | ImageLocation::Archive { reference, .. } => {
            reference.is_some()
        }
    }
}

fn has_digest(place: &ImageLocation) -> bool {
    matches!(place.reference(), Some(Reference::Digest(_)))
}

fn named(place: &ImageLocation, reference: Option<&Reference>) -> String {
    match (place, reference) {
        (ImageLocation::Registry(name), Some(reference)) => {
            name.with(reference.clone()).to_string()
        }
        _ => place.to_string(),
    }
}

fn tagged(place: &ImageLocation, tag: Option<&Tag>) -> String {
    match (place, tag) {
        (ImageLocation::Registry(name), Some(tag)) => {
            name.with(Reference::Tag(tag.clone())).to_string()
        }
        (ImageLocation::Layout { directory, .. }, Some(tag)) => {
            format!("oci:{}:{tag}", directory.display())
        }
        _ => place.to_string(),
    }
}
