//! Where an image is, as a command line names it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use oci::{Reference, Tag};

use crate::{ImageName, ImageNameError};

/// Source or target of a copy.
///
/// ```
/// use client::ImageLocation;
/// assert!(matches!("r.example/app:1".parse(), Ok(ImageLocation::Registry(_))));
/// assert!(matches!("oci:build/app:1".parse(), Ok(ImageLocation::Layout { .. })));
/// assert!(matches!("app.tar".parse(), Ok(ImageLocation::Archive { .. })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageLocation {
    /// `HOST/NAME[:TAG][@DIGEST]`.
    Registry(ImageName),
    /// `oci:DIR[:TAG]` or `oci:DIR@DIGEST`.
    Layout {
        /// The layout's directory.
        directory: PathBuf,
        /// The image in it.
        reference: Option<Reference>,
    },
    /// `FILE.tar[:TAG]`, or `archive:FILE[:TAG]` for a file of any name.
    Archive {
        /// The file.
        path: PathBuf,
        /// The image in it.
        reference: Option<Reference>,
    },
}

impl ImageLocation {
    /// The image in it, if one is named.
    #[must_use]
    pub fn reference(&self) -> Option<Reference> {
        match self {
            Self::Registry(name) => Some(name.reference()),
            Self::Layout { reference, .. } | Self::Archive { reference, .. } => reference.clone(),
        }
    }

    /// The tag of the image there, if one is named. In a registry it is `latest` by default.
    #[must_use]
    pub fn tag(&self) -> Option<Tag> {
        match self.reference() {
            Some(Reference::Tag(tag)) => Some(tag),
            Some(Reference::Digest(_)) | None => None,
        }
    }
}

impl FromStr for ImageLocation {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        if let Some(rest) = text.strip_prefix("oci:") {
            let (directory, reference) = split(rest);
            return Ok(Self::Layout {
                directory,
                reference,
            });
        }
        if let Some(rest) = text.strip_prefix("archive:") {
            let (path, reference) = split(rest);
            return Ok(Self::Archive { path, reference });
        }
        let (path, reference) = split(text);
        if path.extension().is_some_and(|extension| extension == "tar") {
            return Ok(Self::Archive { path, reference });
        }
        text.parse().map(Self::Registry)
    }
}

impl fmt::Display for ImageLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, path, reference) = match self {
            Self::Registry(name) => return name.fmt(f),
            Self::Layout {
                directory,
                reference,
            } => ("oci:", directory, reference),
            Self::Archive { path, reference } => ("", path, reference),
        };
        write!(f, "{kind}{}", path.display())?;
        match reference {
            Some(Reference::Tag(tag)) => write!(f, ":{tag}"),
            Some(Reference::Digest(digest)) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// A path, and the tag or digest after its last colon or `@`.
fn split(text: &str) -> (PathBuf, Option<Reference>) {
    if let Some((path, digest)) = text.rsplit_once('@')
        && let Ok(digest) = digest.parse()
    {
        return (path.into(), Some(Reference::Digest(digest)));
    }
    match text.rsplit_once(':') {
        Some((path, tag)) if !path.is_empty() => match tag.parse() {
            Ok(tag) => (path.into(), Some(Reference::Tag(tag))),
            Err(_) => (text.into(), None),
        },
        _ => (text.into(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<ImageLocation>() {
            Ok(ImageLocation::Registry(name)) => format!("registry {name}"),
            Ok(ImageLocation::Layout {
                directory,
                reference,
            }) => {
                format!(
                    "layout {} {}",
                    directory.display(),
                    reference.map_or_else(String::new, |r| r.to_string())
                )
            }
            Ok(ImageLocation::Archive { path, reference }) => {
                format!(
                    "archive {} {}",
                    path.display(),
                    reference.map_or_else(String::new, |r| r.to_string())
                )
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn three_kinds_of_locations() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(
            shown("r.example:5000/a.tar/b:1"),
            "registry r.example:5000/a.tar/b:1"
        );
        assert_eq!(shown("oci:dir"), "layout dir ");
        assert_eq!(shown("oci:/a/b:1.2"), "layout /a/b 1.2");
        assert_eq!(shown("oci:/a:b/c"), "layout /a:b/c ");
        assert_eq!(
            shown(&format!("oci:dir@{digest}")),
            format!("layout dir {digest}")
        );
        assert_eq!(shown("a/b.tar"), "archive a/b.tar ");
        assert_eq!(shown("b.tar:1"), "archive b.tar 1");
        assert_eq!(shown("archive:/tmp/x:1"), "archive /tmp/x 1");
        assert!(shown("ubuntu").contains("does not begin with a registry"));
    }

    #[test]
    fn printed_as_written() {
        for text in ["r.example/a:1", "oci:dir:1", "a.tar:1", "oci:dir"] {
            assert_eq!(text.parse::<ImageLocation>().unwrap().to_string(), text);
        }
    }
}
