//! What stands after `/manifests/`.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, DigestError, Tag, TagError};

/// Which manifest of a repository is meant: by tag or by digest, never anything else (OCI
/// distribution-spec, "Pulling manifests").
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// The one that a tag points at now.
    Tag(Tag),
    /// The one with this digest.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        // No tag has a colon, and every digest has one.
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

/// Why a text is neither a tag nor a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Without a colon it could only be a tag.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// With a colon it could only be a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_tells_them_apart() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        assert!(matches!(digest.parse(), Ok(Reference::Digest(d)) if d.to_string() == digest));
        // A tag may look much like a digest.
        let tag = digest.replace(':', "-");
        assert!(matches!(tag.parse(), Ok(Reference::Tag(t)) if t.as_str() == tag));
        assert_eq!(
            "sha256:0f".parse::<Reference>().unwrap_err().to_string(),
            "after `sha256:` come 64 lower-case hexadecimal digits"
        );
        assert_eq!(
            "a b".parse::<Reference>(),
            Err(TagError::Character(' ').into())
        );
    }
}
