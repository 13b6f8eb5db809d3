//! The buckets of adopted registries. They are in the same store as our own bucket, and are asked
//! with the same key.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, PoisonError, RwLock};

use common::{Clock, Entropy};
use object_store::path::Path;
use storage::{ContentLocation, StoreId};

use crate::clients::open_store;
use crate::settings::S3Settings;
use crate::shared_store::SharedStore;

/// What the URL of a bucket begins with.
const SCHEME: &str = "s3://";

/// The buckets of adopted registries.
pub(crate) struct AdoptedBuckets {
    /// Those of our own bucket.
    settings: S3Settings,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    stores: RwLock<HashMap<StoreId, Arc<SharedStore>>>,
}

impl AdoptedBuckets {
    pub(crate) fn new(
        settings: S3Settings,
        entropy: Arc<dyn Entropy>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            settings,
            entropy,
            clock,
            stores: RwLock::default(),
        }
    }

    /// The bucket at a location, which may be that of our own content.
    pub(crate) fn open(
        &self,
        own: &Arc<SharedStore>,
        location: &ContentLocation,
    ) -> io::Result<Arc<SharedStore>> {
        let url = match location {
            ContentLocation::Bucket(url) => url.trim_end_matches('/'),
            // Data that are where our own content is.
            ContentLocation::Directory(path) if path.as_os_str() == "." => own.url.as_str(),
            ContentLocation::Directory(_) => {
                return Err(io::Error::new(
                    ErrorKind::Unsupported,
                    "a registry with its content in a bucket reads no directories",
                ));
            }
        };
        if url == own.url {
            return Ok(Arc::clone(own));
        }
        let (bucket, prefix) = parse(url).ok_or_else(|| {
            io::Error::new(
                ErrorKind::InvalidInput,
                "not the URL of a bucket: write s3://BUCKET/PREFIX",
            )
        })?;
        let settings = S3Settings {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            ..self.settings.clone()
        };
        let opened = open_store(&settings, &self.entropy, &self.clock);
        opened.map(Arc::new).map_err(io::Error::other)
    }

    pub(crate) fn add(&self, store: StoreId, opened: Arc<SharedStore>) {
        let mut stores = self.stores.write().unwrap_or_else(PoisonError::into_inner);
        stores.insert(store, opened);
    }

    pub(crate) fn find(&self, store: StoreId) -> Option<Arc<SharedStore>> {
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner);
        stores.get(&store).cloned()
    }

    /// The path of an object of `store`, if it is in the bucket of `settings`.
    pub(crate) fn path_in(
        &self,
        settings: &S3Settings,
        store: &SharedStore,
        key: &str,
    ) -> Option<Path> {
        let is_same_store =
            self.settings.endpoint == settings.endpoint && self.settings.region == settings.region;
        let (bucket, _) = parse(&store.url)?;
        (is_same_store && bucket == settings.bucket).then(|| store.path(key))
    }
}

/// The bucket and the prefix of a URL.
fn parse(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix(SCHEME)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_bucket = !bucket.is_empty() && bucket.chars().all(is_allowed);
    let is_segment =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.chars().all(is_allowed);
    let is_prefix = prefix.is_empty() || prefix.split('/').all(is_segment);
    (is_bucket && is_prefix).then_some((bucket, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_bucket_and_a_prefix() {
        assert_eq!(parse("s3://b"), Some(("b", "")));
        assert_eq!(parse("s3://b/a/c"), Some(("b", "a/c")));
        for url in [
            "b",
            "s3://",
            "s3:///a",
            "gs://b",
            "s3://b/../a",
            "s3://b//a",
            "s3://b/a?x",
        ] {
            assert_eq!(parse(url), None, "{url}");
        }
    }
}
