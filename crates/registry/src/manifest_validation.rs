//! What pushed manifests may say, beyond the specification: Distribution's `validation`.

use oci::{Descriptor, DescriptorPlatform, Manifest};
use regex::RegexSet;

/// What pushed manifests may say.
#[derive(Clone, Debug, Default)]
pub struct ManifestValidation {
    /// Which manifests may refer to content that is not here.
    pub sparse: SparseManifests,
    /// With [`SparseManifests::None`], the platforms whose images an index needs; empty for all.
    pub platforms: Vec<DescriptorPlatform>,
    /// The URLs that layers may have.
    pub urls: LayerUrls,
}

/// Which manifests may refer to content that their repository does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SparseManifests {
    /// None. A push of an index whose images are missing is refused, too.
    None,
    /// Indexes only. A push of an image whose blobs are missing is refused, as Distribution does.
    #[default]
    Indexes,
    /// All, images without their blobs too.
    All,
}

/// The URLs that layers of a pushed manifest may have.
#[derive(Clone, Debug, Default)]
pub enum LayerUrls {
    /// Any. They are stored, and never followed.
    #[default]
    Any,
    /// Those that the first set matches, if there is one, and the second does not.
    Restricted {
        /// Without it, every URL.
        allow: Option<RegexSet>,
        /// What is refused of these.
        deny: RegexSet,
    },
}

/// A URL that a layer may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a layer has the URL {0}, which this registry does not allow")]
pub(crate) struct RefusedUrl(String);

impl ManifestValidation {
    /// Fails if a layer has a URL that is not allowed.
    pub(crate) fn check_urls(&self, manifest: &Manifest) -> Result<(), RefusedUrl> {
        let mut urls = manifest.layers().iter().flat_map(|layer| &layer.urls);
        match urls.find(|url| !self.urls.allows(url)) {
            Some(url) => Err(RefusedUrl(url.clone())),
            None => Ok(()),
        }
    }

    /// The manifests that must be there before an index that lists them.
    pub(crate) fn needed_children<'m>(
        &'m self,
        manifest: &'m Manifest,
    ) -> impl Iterator<Item = &'m Descriptor> {
        let children = manifest.children().iter();
        children.filter(move |child| self.sparse == SparseManifests::None && self.is_needed(child))
    }

    fn is_needed(&self, child: &Descriptor) -> bool {
        let named = child.platform.as_deref();
        self.platforms.is_empty() || named.is_some_and(|platform| self.platforms.contains(platform))
    }
}

impl LayerUrls {
    fn allows(&self, url: &str) -> bool {
        let Self::Restricted { allow, deny } = self else {
            return true;
        };
        // As in Distribution: a URL of the web, without a fragment.
        let is_of_web = url.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
        });
        is_of_web
            && !url.contains('#')
            && allow.as_ref().is_none_or(|allow| allow.is_match(url))
            && !deny.is_match(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(patterns: &[&str]) -> RegexSet {
        RegexSet::new(patterns).unwrap()
    }

    #[test]
    fn urls_are_allowed_and_denied_as_in_distribution() {
        let restricted = |allow: Option<&[&str]>, deny: &[&str]| LayerUrls::Restricted {
            allow: allow.map(set),
            deny: set(deny),
        };
        let example = restricted(
            Some(&[r"^https?://([^/]+\.)*example\.com/", "^https://b/"]),
            &[r"^https?://www\.example\.com/"],
        );
        let (nothing, all_but) = (
            restricted(Some(&["^$"]), &[]),
            restricted(None, &["^https://b/"]),
        );
        for (urls, url, allowed) in [
            (&LayerUrls::Any, "ftp://x", true),
            (&example, "https://a.example.com/x", true),
            (&example, "https://www.example.com/x", false),
            (&example, "https://b/x", true),
            (&example, "https://c/x", false),
            (&example, "https://a.example.com/x#y", false),
            (&nothing, "https://a/", false),
            (&all_but, "https://a/", true),
            (&all_but, "https://b/", false),
            (&all_but, "ftp://a/", false),
            (&all_but, "/a", false),
        ] {
            assert_eq!(urls.allows(url), allowed, "{url} {urls:?}");
        }
    }
}
