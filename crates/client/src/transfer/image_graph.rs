//! The graph of an image: a manifest, and all manifests and blobs that it refers to.

use std::collections::HashSet;

use oci::{Descriptor, Digest, ManifestContent, Reference};

use super::ImageSource;
use crate::content::ContentSource;
use crate::manifest::ImageGraph;
use crate::platform::members;
use crate::{Error, FetchedManifest, Platform, RepositoryClient};

/// How deep indexes may be nested.
const MAX_DEPTH: usize = 8;
/// The largest configuration that is read to find the platform of an image, in bytes.
const MAX_CONFIG_BYTES: u64 = 8 * 1024 * 1024;
/// How many bytes all manifests of an image may have together: they are held in memory until its
/// blobs are transferred.
const MAX_MANIFEST_BYTES: usize = 256 * 1024 * 1024;

impl ImageGraph {
    /// Loads the graph of `root`; with `referrers`, what is attached to it, too.
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
        if depth > MAX_DEPTH {
            return Err(Error::Unsupported(format!(
                "{} is nested in more than {MAX_DEPTH} indexes",
                manifest.digest
            )));
        }
        if !self.seen.insert(manifest.digest) {
            return Ok(());
        }
        self.bytes += manifest.bytes.len();
        if self.bytes > MAX_MANIFEST_BYTES {
            return Err(Error::Unsupported(format!(
                "the manifests of the image have more than {MAX_MANIFEST_BYTES} bytes"
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

impl ImageSource {
    /// [`manifest`](Self::manifest), and of an index the image for `platform`.
    ///
    /// # Errors
    /// When there is no such image.
    pub async fn image(
        &self,
        reference: Option<&Reference>,
        platform: Option<&Platform>,
    ) -> Result<FetchedManifest, Error> {
        let manifest = self.manifest(reference).await?;
        match platform {
            Some(platform) => pick(self, manifest, platform).await,
            None => Ok(manifest),
        }
    }
}

impl RepositoryClient {
    /// [`manifest`](Self::manifest), and of an index the image for `platform`.
    ///
    /// # Errors
    /// When there is no such image.
    pub async fn image(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
    ) -> Result<FetchedManifest, Error> {
        ImageSource::Repository(self.clone())
            .image(Some(reference), platform)
            .await
    }
}

/// The image of an index that runs on `platform` best. An image that is not an index is returned as
/// it is.
async fn pick(
    source: &ImageSource,
    root: FetchedManifest,
    platform: &Platform,
) -> Result<FetchedManifest, Error> {
    let mut picked = root;
    for _ in 0..MAX_DEPTH {
        if picked.parsed()?.children().is_empty() {
            return Ok(picked);
        }
        let mut members = members(&picked.bytes);
        let is_named = |(_, offered): &(Descriptor, Option<Platform>)| {
            let offered = offered.as_ref();
            offered.is_some_and(|offered| platform.distance(offered).is_some())
        };
        if !members.iter().any(is_named) {
            // An index need not name platforms; the configurations of its images do.
            for (descriptor, offered) in members.iter_mut().filter(|(_, named)| named.is_none()) {
                *offered = configured_platform(source, descriptor).await;
            }
        }
        let fitting = members.iter().filter_map(|(descriptor, offered)| {
            Some((platform.distance(offered.as_ref()?)?, descriptor))
        });
        let Some((_, descriptor)) = fitting.min_by_key(|(distance, _)| *distance) else {
            return Err(Error::Unsupported(no_image(platform, &members)));
        };
        picked = source.described(descriptor).await?;
    }
    Err(Error::Unsupported(format!(
        "more than {MAX_DEPTH} indexes are nested in each other"
    )))
}

/// The platform in an image's configuration; `None` if that cannot be read.
async fn configured_platform(source: &ImageSource, image: &Descriptor) -> Option<Platform> {
    let manifest = source.described(image).await.ok()?;
    let ManifestContent::Image { config, .. } = manifest.parsed().ok()?.content else {
        return None;
    };
    if config.size > MAX_CONFIG_BYTES {
        return None;
    }
    let mut reader = ContentSource::open(source, &config, 0).await.ok()?;
    let mut bytes = Vec::new();
    while let Some(piece) = reader.chunk().await.ok()? {
        bytes.extend_from_slice(&piece);
    }
    Platform::of(&crate::json::parse(&bytes).ok()?)
}

fn no_image(platform: &Platform, members: &[(Descriptor, Option<Platform>)]) -> String {
    let offered: Vec<_> = members
        .iter()
        .filter_map(|(_, offered)| offered.as_ref().map(Platform::to_string))
        .collect();
    if offered.is_empty() {
        format!("the index does not say which of its images is for {platform}")
    } else {
        format!(
            "there is no image for {platform}, only for: {}",
            offered.join(", ")
        )
    }
}
