//! Tags that name the manifest to which their own one belongs.

use oci::{Digest, Tag};

/// A tag that names the manifest to which its own one belongs: a signature, an attestation, a bill of
/// materials, or a list of referrers.
///
/// cosign writes `sha256-HEX.sig`, `.att` and `.sbom`, other clients use the same form with other ends,
/// and the tag of a list of referrers is `sha256-HEX` (OCI distribution-spec, "Referrers Tag Schema").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferrerTag {
    /// It belongs to this manifest.
    Of(Digest),
    /// It has the form, but names the manifest only in part: a list of referrers cuts SHA-512 off.
    Truncated,
}

/// How much of a hash a list of referrers has in its tag, in characters.
const TRUNCATED: usize = 64;

impl ReferrerTag {
    /// Whether `tag` is one.
    #[must_use]
    pub fn of(tag: &Tag) -> Option<Self> {
        let (algorithm, rest) = tag.as_str().split_once('-')?;
        let hash = rest.split('.').next()?;
        if let Ok(digest) = format!("{algorithm}:{hash}").parse() {
            return Some(Self::Of(digest));
        }
        let is_hash = hash
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_truncated = algorithm == "sha512" && hash.len() >= TRUNCATED && is_hash;
        is_truncated.then_some(Self::Truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_signatures_are_known_by_their_form() {
        let hash = "0123456789abcdef".repeat(4);
        let of = |text: String| ReferrerTag::of(&text.parse().unwrap());
        let subject = Some(ReferrerTag::Of(format!("sha256:{hash}").parse().unwrap()));
        for end in ["", ".sig", ".att", ".sbom", ".0123456789abcdef.meta"] {
            assert_eq!(of(format!("sha256-{hash}{end}")), subject, "{end}");
        }
        assert_eq!(of(format!("sha512-{hash}")), Some(ReferrerTag::Truncated));
        for other in [
            format!("sha256-{}", &hash[1..]),
            format!("sha256-{hash}a.sig"),
            format!("sha256-{hash}-sig"),
            format!("sha512-{}", &hash[1..]),
            format!("md5-{hash}"),
            "sha256".to_owned(),
            "1.2-3".to_owned(),
        ] {
            assert_eq!(of(other.clone()), None, "{other}");
        }
    }
}
