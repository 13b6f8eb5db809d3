//! Where keys are in the bucket.

use object_store::path::Path;

/// The prefix of all keys.
#[derive(Clone, Debug)]
pub(crate) struct KeyPrefix(String);

impl KeyPrefix {
    pub(crate) fn new(prefix: &str) -> Self {
        Self(prefix.trim_matches('/').to_owned())
    }

    /// The path of an object.
    pub(crate) fn path(&self, key: &str) -> Path {
        Path::from(self.key(key))
    }

    /// The key with the prefix.
    pub(crate) fn key(&self, key: &str) -> String {
        match self.0.as_str() {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        }
    }
}
