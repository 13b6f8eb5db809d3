//! The buckets of adopted registries. They are in the same store as our own bucket, and are asked
//! with the same key.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::sync::{PoisonError, RwLock};

use object_store::aws::AmazonS3;
use storage::{ContentLocation, StoreId};

use crate::location::KeyPrefix;
use crate::settings::S3Settings;

/// What the URL of a bucket begins with.
const SCHEME: &str = "s3://";

/// A bucket, or a part of it.
#[derive(Clone, Debug)]
pub(crate) struct BucketLocation {
    pub(crate) client: AmazonS3,
    pub(crate) bucket: String,
    pub(crate) prefix: KeyPrefix,
    /// Whether it is where our own content is.
    pub(crate) is_own: bool,
}

/// The buckets of adopted registries.
pub(crate) struct AdoptedBuckets {
    /// Those of our own bucket.
    settings: S3Settings,
    stores: RwLock<HashMap<StoreId, BucketLocation>>,
}

impl AdoptedBuckets {
    pub(crate) fn new(settings: &S3Settings) -> Self {
        Self {
            settings: settings.clone(),
            stores: RwLock::default(),
        }
    }

    /// The bucket at a location.
    pub(crate) fn open(&self, location: &ContentLocation) -> io::Result<BucketLocation> {
        let own = || self.settings.url();
        let url = match location {
            ContentLocation::Bucket(url) => url.trim_end_matches('/').to_owned(),
            // Data that are where our own content is.
            ContentLocation::Directory(path) if path.as_os_str() == "." => own(),
            ContentLocation::Directory(_) => {
                return Err(io::Error::new(
                    ErrorKind::Unsupported,
                    "a registry with its content in a bucket reads no directories",
                ));
            }
        };
        let (bucket, prefix) = parse(&url).ok_or_else(|| {
            io::Error::new(
                ErrorKind::InvalidInput,
                "not the URL of a bucket: write s3://BUCKET/PREFIX",
            )
        })?;
        let is_own = url == own();
        let settings = S3Settings {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            ..self.settings.clone()
        };
        let client = settings.build(false).map_err(io::Error::other)?;
        Ok(BucketLocation {
            client,
            bucket: bucket.to_owned(),
            prefix: KeyPrefix::new(prefix),
            is_own,
        })
    }

    /// Whether `settings` are those of the same store.
    pub(crate) fn is_same_store(&self, settings: &S3Settings) -> bool {
        self.settings.endpoint == settings.endpoint && self.settings.region == settings.region
    }

    /// Whether `settings` name our own bucket.
    pub(crate) fn is_same_bucket(&self, settings: &S3Settings) -> bool {
        self.is_same_store(settings) && self.settings.bucket == settings.bucket
    }

    pub(crate) fn add(&self, store: StoreId, location: &ContentLocation) -> io::Result<()> {
        let opened = self.open(location)?;
        let mut stores = self.stores.write().unwrap_or_else(PoisonError::into_inner);
        stores.insert(store, opened);
        Ok(())
    }

    pub(crate) fn find(&self, store: StoreId) -> Option<BucketLocation> {
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner);
        stores.get(&store).cloned()
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
