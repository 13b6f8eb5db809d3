//! What `pull`, `push` and `copy` share: two places and what lies between.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use client::{
    Archive, ArchiveWriter, Copy, Error, ImageName, Layout, Place, Report, Source, Target, copy,
};
use oci::{Reference, Tag};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{print_json, print_lines};
use crate::remote::{Bars, Connection, Part, Remote};

/// How to move.
#[derive(Debug, Args)]
pub(crate) struct Transfer {
    #[command(flatten)]
    part: Part,
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
    connection: Connection,
}

impl Transfer {
    /// Moves what `from` names to `to`.
    pub(crate) async fn run(&self, from: &Place, to: &Place) -> Result<(), Failure> {
        let remote = self.connection.open();
        let source = source(&remote, from).await?;
        let target = target(&remote, from, to).await?;
        let how = Copy {
            platform: self.part.platform.clone(),
            referrers: self.referrers,
            parallel: self.jobs,
            progress: Bars::fitting(self.quiet || self.json, self.connection.trace),
        };
        let mut reports = Vec::new();
        for (reference, tag) in self.images(&source, from, to).await? {
            expect_digest(&source, reference.as_ref(), to, &how).await?;
            let report = copy(&source, reference.as_ref(), &target, tag.as_ref(), &how).await?;
            let moved = Moved {
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
        source: &Source,
        from: &Place,
        to: &Place,
    ) -> Result<Vec<(Option<Reference>, Option<Tag>)>, Failure> {
        if !self.all_tags {
            // What is pulled keeps its tag where no other is named.
            let tag = to
                .tag()
                .filter(|_| is_named(to))
                .or_else(|| from.tag().filter(|_| !has_digest(to)));
            return Ok(vec![(from.reference(), tag.or_else(|| to.tag()))]);
        }
        if is_named(from) || is_named(to) || matches!(to, Place::Archive { .. }) {
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
struct Moved {
    from: String,
    to: String,
    report: Report,
}

impl Moved {
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

async fn source(remote: &Remote, place: &Place) -> Result<Source, Failure> {
    Ok(match place {
        Place::Registry(name) => Source::Repository(remote.repository(name).await?),
        Place::Layout { directory, .. } => Source::Layout(Layout::new(directory)),
        Place::Archive { path, .. } => Source::Archive(Arc::new(opened(path.clone()).await?)),
    })
}

/// An archive, read on a thread of its own: one that `docker save` wrote is hashed whole.
async fn opened(path: PathBuf) -> Result<Archive, Failure> {
    let opening = tokio::task::spawn_blocking(move || Archive::open(&path)).await;
    Ok(opening
        .map_err(|error| Failure::trouble("the archive cannot be read").caused_by(&error))??)
}

async fn target(remote: &Remote, from: &Place, to: &Place) -> Result<Target, Failure> {
    Ok(match to {
        Place::Registry(name) => Target::Repository(remote.repository(name).await?),
        Place::Layout { directory, .. } => Target::Layout(Layout::new(directory)),
        Place::Archive { path, .. } => {
            let name = match from {
                Place::Registry(ImageName {
                    host, repository, ..
                }) => Some(format!("{host}/{repository}")),
                Place::Layout { .. } | Place::Archive { .. } => None,
            };
            Target::Archive(Arc::new(ArchiveWriter::new(path, name)))
        }
    })
}

/// A digest at the target is a promise: it must be the source's.
async fn expect_digest(
    source: &Source,
    reference: Option<&Reference>,
    to: &Place,
    how: &Copy,
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
fn is_named(place: &Place) -> bool {
    match place {
        Place::Registry(name) => name.tag.is_some() || name.digest.is_some(),
        Place::Layout { reference, .. } | Place::Archive { reference, .. } => reference.is_some(),
    }
}

fn has_digest(place: &Place) -> bool {
    matches!(place.reference(), Some(Reference::Digest(_)))
}

fn named(place: &Place, reference: Option<&Reference>) -> String {
    match (place, reference) {
        (Place::Registry(name), Some(reference)) => name.with(reference.clone()).to_string(),
        _ => place.to_string(),
    }
}

fn tagged(place: &Place, tag: Option<&Tag>) -> String {
    match (place, tag) {
        (Place::Registry(name), Some(tag)) => name.with(Reference::Tag(tag.clone())).to_string(),
        (Place::Layout { directory, .. }, Some(tag)) => {
            format!("oci:{}:{tag}", directory.display())
        }
        _ => place.to_string(),
    }
}
