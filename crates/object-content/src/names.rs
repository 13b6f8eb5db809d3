//! The keys of new objects, and the names of multipart uploads.

use std::fmt::Write;

use common::Entropy;
use storage::Error;

/// The object that says which database has the content.
pub(crate) const IDENTITY: &str = "wharfinger-content";
/// Between the key of a multipart upload and its id, as in S3's own URLs. No key has it.
const SEPARATOR: &str = "?uploadId=";

/// A key that was never used: 128 random bits. The first byte is a directory of its own, because
/// stores spread their load by the beginning of keys.
pub(crate) fn new_key(entropy: &dyn Entropy) -> Result<String, Error> {
    let mut random = [0; 16];
    entropy
        .fill(&mut random)
        .map_err(|error| Error::Metadata(std::sync::Arc::new(error)))?;
    let mut key = format!("blobs/{:02x}/", random[0]);
    for byte in random {
        let _ = write!(key, "{byte:02x}");
    }
    Ok(key)
}

/// The name of a multipart upload.
pub(crate) fn multipart_name(key: &str, id: &str) -> String {
    format!("{key}{SEPARATOR}{id}")
}

/// The key and the id of a multipart upload's name. `None` if it is the name of an object.
pub(crate) fn parse_multipart(name: &str) -> Option<(&str, &str)> {
    name.split_once(SEPARATOR)
}
