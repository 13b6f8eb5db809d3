//! The types that the seams share.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, io};

use bytes::Bytes;
use oci::{Descriptor, Digest, Manifest, ManifestContent, ManifestError, Tag};

use crate::{DigestMismatch, Error, hash};

/// A manifest as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    /// Its digest.
    pub digest: Digest,
    /// The media type with which it was pushed.
    pub media_type: String,
    /// Exactly the bytes that were pushed.
    pub bytes: Bytes,
}

/// A parsed manifest whose digest was checked.
#[derive(Clone, Debug)]
pub struct NewManifest {
    manifest: Manifest,
    bytes: Bytes,
    digest: Digest,
    may_lack_blobs: bool,
}

impl NewManifest {
    /// Parses a manifest that was sent with `content_type`. `claimed` is its digest if it was pushed
    /// by digest. The digest of a manifest that was pushed by tag is SHA-256.
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
            may_lack_blobs: false,
        })
    }

    /// Accepts the manifest even if the repository lacks its blobs.
    #[must_use]
    pub fn without_requiring_blobs(self) -> Self {
        Self {
            may_lack_blobs: true,
            ..self
        }
    }

    /// Whether the repository may lack the manifest's blobs.
    #[must_use]
    pub fn may_lack_blobs(&self) -> bool {
        self.may_lack_blobs
    }

    /// Parses a manifest that another registry stored under `digest`, as leniently as that registry
    /// did.
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
            may_lack_blobs: false,
        })
    }

    /// The parsed manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Exactly the bytes that were sent.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All content that the manifest needs: configuration, layers and children. Foreign layers are
    /// included, because the client that pushed one of those wants it kept.
    pub fn references(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, rest) = match &self.manifest.content {
            ManifestContent::Image { config, layers } => (Some(config), layers),
            ManifestContent::Index { manifests } => (None, manifests),
        };
        config.into_iter().chain(rest)
    }

    /// Its entry in the list of its subject's referrers.
    #[must_use]
    pub fn referrer_entry(&self) -> ReferrerEntry {
        let Manifest {
            media_type,
            annotations,
            ..
        } = &self.manifest;
        ReferrerEntry {
            digest: self.digest,
            media_type: media_type.clone(),
            size: self.bytes.len() as u64,
            artifact_type: self.manifest.effective_artifact_type().map(str::to_owned),
            annotations: serde_json::Value::from_iter(annotations.clone()).to_string(),
        }
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

/// Why a manifest is rejected before it is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewManifestError {
    /// It is not a valid manifest.
    #[error(transparent)]
    Invalid(#[from] ManifestError),
    /// It does not have the digest that the caller claimed.
    #[error(transparent)]
    Digest(Box<DigestMismatch>),
}

/// One entry of a list of referrers (OCI distribution-spec, "Listing Referrers").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrerEntry {
    /// The referrer's digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its artifact type, or the media type of its configuration.
    pub artifact_type: Option<String>,
    /// Its annotations: a JSON object, as it goes into the list.
    pub annotations: String,
}

impl ReferrerEntry {
    /// What the entries of one page have, in bytes, at which it ends: an entry can be as large as a
    /// manifest.
    pub const PAGE_BYTES: usize = 1 << 20;

    /// About how many bytes it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        256 + self.annotations.len() + self.artifact_type.as_ref().map_or(0, String::len)
    }
}

/// A tag, and the manifest that it points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedManifest {
    /// The tag.
    pub tag: Tag,
    /// The digest of the manifest.
    pub digest: Digest,
}

/// A blob, and where its content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The number of its row, which is never used twice. The same content stored again gets another
    /// number.
    pub generation: i64,
    /// The store that has its content.
    pub store: StoreId,
    /// The key of its content in that store. Our own store never uses a key twice.
    pub key: String,
}

impl Blob {
    /// The key of a new blob. It is unique, because the generation is.
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

/// Identifies a store of content: our own, or an adopted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId(pub(crate) i64);

impl StoreId {
    /// Our own store, which new blobs go to.
    pub const OWN: Self = Self(0);

    /// The store of this number.
    #[must_use]
    pub fn new(number: i64) -> Self {
        Self(number)
    }
}

/// The location of a store's content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentLocation {
    /// A directory of this machine. A relative path begins in the directory of our own content, so
    /// that the two can be moved together.
    Directory(PathBuf),
    /// A bucket of an object store, and the prefix of all keys in it, as a URL such as
    /// `s3://bucket/prefix`.
    Bucket(String),
}

impl ContentLocation {
    /// The directory at `path`. A relative path begins in the working directory.
    ///
    /// # Errors
    /// If the path is empty, or the working directory is unknown.
    pub fn absolute(path: &Path) -> io::Result<Self> {
        std::path::absolute(path).map(Self::Directory)
    }
}

impl fmt::Display for ContentLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Bucket(url) => url.fmt(f),
        }
    }
}

/// The requested part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest<T> {
    /// The entry before the first one; without it, the list begins.
    pub after: Option<T>,
    /// The largest number of entries.
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

/// The id of an upload: a UUID (OCI distribution-spec, "Pushing a blob in chunks").
///
/// Written here, without the crate `uuid`: an id has one spelling only, because its file is named by
/// it. Checking that takes these lines anyway.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId([u8; 16]);

impl UploadId {
    /// An id of version 4 from random bytes (RFC 9562 §5.4).
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

    /// Any other text is the id of no upload: [`Error::UploadUnknown`].
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
        // One spelling only: the file is named by it.
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
    fn a_claimed_digest_is_checked() {
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
