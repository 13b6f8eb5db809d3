//! What has to be moved: a manifest and all that it leads to.

use std::collections::HashSet;

use oci::{Descriptor, Digest};

use super::ImageSource;
use crate::platform::members;
use crate::{Error, FetchedManifest, Platform};

/// How deep indexes may lie in each other.
const DEEPEST: usize = 8;
/// How many bytes all manifests of an image may have together: they are held until its blobs have
/// moved.
const LARGEST: usize = 256 * 1024 * 1024;

/// Manifests and blobs, each once.
pub(crate) struct ImageGraph {
    /// The manifest that was asked for.
    pub(crate) root: FetchedManifest,
    /// All manifests, children before their parents, the root among them; referrers after what they
    /// refer to.
    pub(crate) manifests: Vec<FetchedManifest>,
    /// All blobs that they cannot be without.
    pub(crate) blobs: Vec<Descriptor>,
}

impl ImageGraph {
    /// Finds out what `root` leads to; `referrers` takes what is attached along.
    pub(crate) async fn load(
        source: &ImageSource,
        root: FetchedManifest,
        referrers: bool,
    ) -> Result<Self, Error> {
        let mut loader = Loader {
            source,
            referrers,
            ..Loader::new(source)
        };
        loader.load(root.clone(), 0).await?;
        Ok(Self {
            root,
            manifests: loader.manifests,
            blobs: loader.blobs,
        })
    }
}

struct Loader<'a> {
    source: &'a ImageSource,
    referrers: bool,
    seen: HashSet<Digest>,
    bytes: usize,
    manifests: Vec<FetchedManifest>,
    blobs: Vec<Descriptor>,
}

impl<'a> Loader<'a> {
    fn new(source: &'a ImageSource) -> Self {
        Self {
            source,
            referrers: false,
            seen: HashSet::new(),
            bytes: 0,
            manifests: Vec::new(),
            blobs: Vec::new(),
        }
    }

    async fn load(&mut self, manifest: FetchedManifest, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(Error::Unsupported(format!(
                "{} lies under more than {DEEPEST} indexes",
                manifest.digest
            )));
        }
        if !self.seen.insert(manifest.digest) {
            return Ok(());
        }
        self.bytes += manifest.bytes.len();
        if self.bytes > LARGEST {
            return Err(Error::Unsupported(format!(
                "the manifests of the image have more than {LARGEST} bytes"
            )));
        }
        let parsed = manifest.parsed()?;
        for child in parsed.children() {
            if !self.seen.contains(&child.digest) {
                let child = self.source.described(child).await?;
                Box::pin(self.load(child, depth + 1)).await?;
            }
        }
        for blob in parsed.blobs() {
            if self.seen.insert(blob.digest) {
                self.blobs.push(blob.clone());
            }
        }
        let digest = manifest.digest;
        self.manifests.push(manifest);
        if self.referrers {
            for referrer in self.source.referrers(&digest).await? {
                if !self.seen.contains(&referrer.digest) {
                    let referrer = self.source.described(&referrer).await?;
                    Box::pin(self.load(referrer, depth + 1)).await?;
                }
            }
        }
        Ok(())
    }
}

/// The image of an index that is for `platform`; an image that is no index is what it is.
pub(super) async fn pick(
    source: &ImageSource,
    root: FetchedManifest,
    platform: &Platform,
) -> Result<FetchedManifest, Error> {
    let mut picked = root;
    for _ in 0..DEEPEST {
        if picked.parsed()?.children().is_empty() {
            return Ok(picked);
        }
        let members = members(&picked.bytes);
        let offers = |offered: &Option<Platform>| {
            offered
                .as_ref()
                .is_some_and(|offered| platform.accepts(offered))
        };
        let Some((descriptor, _)) = members.iter().find(|(_, offered)| offers(offered)) else {
            let offered: Vec<_> = members
                .iter()
                .filter_map(|(_, p)| p.as_ref().map(Platform::to_string))
                .collect();
            return Err(Error::Unsupported(format!(
                "there is no image for {platform}, only for: {}",
                if offered.is_empty() {
                    "no platform by name".to_owned()
                } else {
                    offered.join(", ")
                }
            )));
        };
        picked = source.described(descriptor).await?;
    }
    Err(Error::Unsupported("the index leads to itself".to_owned()))
}
