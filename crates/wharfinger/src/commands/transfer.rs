//! What `pull`, `push` and `copy` share.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use client::{
    Archive, ArchiveWriter, CopyOptions, CopyReport, Error, ImageLocation, ImageName,
    ImageNameError, ImageSource, ImageTarget, OciLayout, copy,
};
use oci::{Reference, Tag};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{print_json, print_lines};
use crate::remote::{ConnectionArguments, PlatformArguments, ProgressBars, Remote};

/// The options of a copy.
#[derive(Debug, Args)]
pub(crate) struct TransferArguments {
    #[command(flatten)]
    part: PlatformArguments,
    /// Copy what is attached to the image, too.
    #[arg(long)]
    referrers: bool,
    /// Copy all tags of the source.
    #[arg(long)]
    all_tags: bool,
    /// How many blobs to copy at once.
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// Do not show progress.
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
    /// Copies `from` to `to`.
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
            progress: ProgressBars::fitting(self.quiet || self.json, self.connection.https.trace),
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

    /// The images to copy, and their tags at the target.
    async fn images(
        &self,
        source: &ImageSource,
        from: &ImageLocation,
        to: &ImageLocation,
    ) -> Result<Vec<(Option<Reference>, Option<Tag>)>, Failure> {
        if !self.all_tags {
            // The image keeps its tag unless another is named.
            let tag = to
                .tag()
                .filter(|_| is_named(to))
                .or_else(|| from.tag().filter(|_| !has_digest(to)));
            return Ok(vec![(from.reference(), tag.or_else(|| to.tag()))]);
        }
        if is_named(from) || is_named(to) || matches!(to, ImageLocation::Archive { .. }) {
            return Err(
                Failure::usage("--all-tags copies every tag under its own name").hint(
                    "name a repository or a layout as source and as target, without tag and digest",
                ),
            );
        }
        let tags = source.tags().await?;
        Ok(tags
            .into_iter()
            .map(|tag| (Some(Reference::Tag(tag.clone())), Some(tag)))
            .collect())
    }
}

/// One image that was copied.
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

/// Opens an archive on a thread of its own: the output of `docker save` is hashed whole.
async fn opened(path: PathBuf) -> Result<Archive, Failure> {
    let opening = tokio::task::spawn_blocking(move || Archive::open(&path)).await;
    Ok(opening.map_err(|error| Failure::system("cannot read the archive").caused_by(&error))??)
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

/// A digest at the target must be the source's.
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
    let what = "the image to copy".to_owned();
    Err(Error::Digest {
        what,
        expected: expected.into(),
        found: found.into(),
    }
    .into())
}

/// Whether a location names a tag or a digest.
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

/// Reads a location of files for the command line. A name without `oci:` or `.tar` is taken for an
/// image in a registry, so its error is explained.
pub(crate) fn files(text: &str) -> Result<ImageLocation, String> {
    text.parse().map_err(|error: ImageNameError| match error {
        ImageNameError::NoHost(_) | ImageNameError::Host(_) if is_path(text, &error) => {
            format!(
                "{text:?} is neither a directory nor an archive: {}",
                as_files(text)
            )
        }
        error => error.to_string(),
    })
}

/// Reads a location of any kind for the command line.
pub(crate) fn location(text: &str) -> Result<ImageLocation, String> {
    text.parse().map_err(|error: ImageNameError| match error {
        ImageNameError::NoHost(_) | ImageNameError::Host(_) if is_path(text, &error) => {
            format!("{error}; for files, {}", as_files(text))
        }
        error => error.to_string(),
    })
}

/// Whether a text may mean a file: it has no host, or begins like a path.
fn is_path(text: &str, error: &ImageNameError) -> bool {
    matches!(error, ImageNameError::NoHost(_)) || text.starts_with(['.', '/', '~'])
}

/// How a text is written as a location of files.
fn as_files(text: &str) -> String {
    if std::path::Path::new(text).is_file() {
        return format!("write `archive:{text}`");
    }
    format!("write `oci:{text}` for an OCI layout, or `{text}.tar` for an archive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_location_is_told_how_files_are_written() {
        let error = files("lay2").unwrap_err();
        assert_eq!(
            error,
            "\"lay2\" is neither a directory nor an archive: write `oci:lay2` for an OCI layout, or \
             `lay2.tar` for an archive"
        );
        for word in ["oci:lay2", "lay2.tar"] {
            assert!(error.contains(word) && files(word).is_ok(), "{word}");
        }
        assert!(files("./lay2").unwrap_err().contains("write `oci:./lay2`"));
        assert!(location("lay2").unwrap_err().contains("write `oci:lay2`"));
        let file = tempfile::NamedTempFile::with_suffix(".tgz").unwrap();
        let name = file.path().to_str().unwrap();
        let error = files(&name[1..]).unwrap_err();
        assert!(error.contains("write `oci:"), "{error}");
        let error = files("a.example/b:").unwrap_err();
        assert!(!error.contains("oci:"), "{error}");
    }
}
