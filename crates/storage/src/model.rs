//! The words of this crate's seams.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use oci::{Digest, Manifest, ManifestError};

use crate::{DigestMismatch, Error, hash};

/// A manifest as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    /// Its name.
    pub digest: Digest,
    /// What it was pushed as.
    pub media_type: String,
    /// Exactly what was pushed.
    pub bytes: Bytes,
}

/// A manifest that has been read and has the digest that it was sent as.
#[derive(Clone, Debug)]
pub struct NewManifest {
    manifest: Manifest,
    bytes: Bytes,
    digest: Digest,
}

impl NewManifest {
    /// Reads a manifest that was sent as `content_type` and, where it was pushed by digest, as
    /// `claimed`. One that was pushed by tag is named by SHA-256.
    ///
    /// # Errors
    /// [`NewManifestError::Invalid`] or [`NewManifestError::Digest`].
    pub fn parse(
        content_type: Option<&str>,
        bytes: Bytes,
        claimed: Option<Digest>,
    ) -> Result<Self, NewManifestError> {
        let digest = checked_digest(&bytes, claimed)?;
        let manifest = Manifest::parse(content_type, &bytes)?;
        Ok(Self {
            manifest,
            bytes,
            digest,
        })
    }

    /// Reads a manifest that another registry stored under `digest`, as forgiving as that registry
    /// was.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_stored(bytes: Bytes, digest: Digest) -> Result<Self, NewManifestError> {
        let digest = checked_digest(&bytes, Some(digest))?;
        let manifest = Manifest::parse_stored(None, &bytes)?;
        Ok(Self {
            manifest,
            bytes,
            digest,
        })
    }

    /// What it says.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Exactly what was sent.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

fn checked_digest(bytes: &[u8], claimed: Option<Digest>) -> Result<Digest, NewManifestError> {
    let algorithm = claimed.map(|claimed| claimed.algorithm());
    let computed = hash::digest(algorithm.unwrap_or_default(), bytes);
    match claimed.filter(|claimed| *claimed != computed) {
        Some(claimed) => Err(NewManifestError::Digest(Box::new(DigestMismatch {
            claimed,
            computed,
        }))),
        None => Ok(computed),
    }
}

/// Why a manifest was not even tried to be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewManifestError {
    /// It is no manifest.
    #[error(transparent)]
    Invalid(#[from] ManifestError),
    /// It does not have the digest that it was sent as.
    #[error(transparent)]
    Digest(Box<DigestMismatch>),
}

/// One entry of a list of referrers (OCI distribution-spec, "Listing Referrers").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrerEntry {
    /// Its name.
    pub digest: Digest,
    /// Its type.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// What kind of artifact it is: its own word, or the type of its configuration.
    pub artifact_type: Option<String>,
    /// Its annotations: a JSON object, as it goes into the list.
    pub annotations: String,
}

/// A blob, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The number of its row. The same content stored again has another; none is ever used twice.
    pub generation: i64,
    /// Which store has it.
    pub store: StoreId,
    /// Where in that store it is. No key of our own store is ever used twice.
    pub key: String,
}

impl Blob {
    /// The key of a new blob: no other has it, because no other row has this generation.
    #[must_use]
    pub fn new_key(digest: &Digest, generation: i64) -> String {
        let encoded = digest.encoded();
        format!(
            "blobs/{}/{}/{encoded}.{generation}",
            digest.algorithm(),
            &encoded[..2]
        )
    }
}

/// Names a place that blobs lie in: our own files, or a data directory that was adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId(pub(crate) i64);

impl StoreId {
    /// The store that new blobs go to.
    pub const OWN: Self = Self(0);

    /// The store of this number.
    #[must_use]
    pub fn new(number: i64) -> Self {
        Self(number)
    }
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest<T> {
    /// What comes right before it; none for the beginning.
    pub after: Option<T>,
    /// How many at most.
    pub limit: u32,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage<T> {
    /// The entries, in order.
    pub entries: Vec<T>,
    /// Whether there are more after them.
    pub more: bool,
}

/// The name of an upload: a UUID (the specification wants one in its address).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId([u8; 16]);

impl UploadId {
    /// An id of version 4 from bytes that nobody can guess (RFC 9562 §5.4).
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl FromStr for UploadId {
    type Err = Error;

    /// Whatever is no id names no upload: [`Error::UploadUnknown`].
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut digits = text
            .bytes()
            .enumerate()
            .filter(|(at, byte)| !(DASHES.contains(at) && *byte == b'-'));
        let mut id = [0; 16];
        let mut digit = || {
            char::from(digits.next()?.1)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        for byte in &mut id {
            let (Some(high), Some(low)) = (digit(), digit()) else {
                return Err(Error::UploadUnknown);
            };
            *byte = high << 4 | low;
        }
        // Only the one way to write it: its file is named so.
        let id = Self(id);
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(Error::UploadUnknown)
        }
    }
}

const DASHES: [usize; 4] = [8, 13, 18, 23];

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u128::from_be_bytes(self.0);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            number >> 96,
            number >> 80 & 0xffff,
            number >> 64 & 0xffff,
            number >> 48 & 0xffff,
            number & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_id_is_a_uuid() {
        let id = UploadId::from_random([0xff; 16]);
        assert_eq!(id.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse::<UploadId>().unwrap(), id);
        let upper = id.to_string().to_uppercase();
        let long = format!("{id}0");
        for text in [
            "",
            "x",
            "../../etc/passwd",
            &upper,
            &long,
            "ffffffffffff4fffbfffffffffffffff",
            "é",
        ] {
            assert!(
                matches!(text.parse::<UploadId>(), Err(Error::UploadUnknown)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_manifest_has_the_digest_that_it_came_as() {
        let bytes = Bytes::from_static(br#"{"schemaVersion":2,"manifests":[]}"#);
        let parse =
            |claimed| NewManifest::parse(Some(oci::media_type::OCI_INDEX), bytes.clone(), claimed);
        let by_tag = parse(None).unwrap().digest();
        assert_eq!(by_tag.algorithm(), oci::DigestAlgorithm::Sha256);
        assert_eq!(parse(Some(by_tag)).unwrap().digest(), by_tag);
        let other = hash::digest(oci::DigestAlgorithm::Sha512, b"");
        let Err(NewManifestError::Digest(mismatch)) = parse(Some(other)) else {
            panic!()
        };
        assert_eq!(mismatch.claimed, other);
        assert_eq!(
            parse(Some(mismatch.computed)).unwrap().digest(),
            mismatch.computed
        );
    }
}
