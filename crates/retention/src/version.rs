//! Versions in tags.

use std::cmp::Ordering;

/// A tag that is a version.
///
/// These count: `1.2.3`, `1.2`, `v1.2.3`, `v1.2`, `v1`, each with a pre-release (`1.2.3-rc.1`) and with
/// build metadata, which clients write after `_` because a tag has no `+` (`1.2.3_build.5`). A number
/// without a point and a `v` is no version: it may be a date, a build or the beginning of a commit.
///
/// The order is that of Semantic Versioning 2.0.0 §11. A part that is missing is higher than any
/// number, because `1.2` usually points at the newest `1.2.x`. What follows a dash is a pre-release for
/// this order, `1.2.3-alpine` too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagVersion {
    major: u64,
    minor: VersionPart,
    patch: VersionPart,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum VersionPart {
    Number(u64),
    Missing,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    PreRelease(Vec<PreReleasePart>),
    Release,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PreReleasePart {
    /// Digits without leading zeros. The longer one is greater.
    Number(String),
    Text(String),
}

impl TagVersion {
    /// The version that a tag is.
    #[must_use]
    pub fn of(tag: &str) -> Option<Self> {
        let without_v = tag.strip_prefix(['v', 'V']);
        let text = without_v.unwrap_or(tag);
        let text = text.split_once('_').map_or(text, |(version, _)| version);
        let (numbers, stage) = match text.split_once('-') {
            Some((numbers, stage)) => (numbers, Stage::parse(stage)?),
            None => (text, Stage::Release),
        };
        let mut parts = numbers.split('.');
        let major = number(parts.next()?)?;
        let mut part = || match parts.next() {
            Some(text) => number(text).map(VersionPart::Number),
            None => Some(VersionPart::Missing),
        };
        let (minor, patch) = (part()?, part()?);
        let is_bare = minor == VersionPart::Missing && without_v.is_none();
        (!is_bare && parts.next().is_none()).then_some(Self {
            major,
            minor,
            patch,
            stage,
        })
    }
}

impl Stage {
    fn parse(text: &str) -> Option<Self> {
        let parts = text.split('.').map(|part| {
            let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
            (!part.is_empty()).then(|| match is_number {
                true => PreReleasePart::Number(part.trim_start_matches('0').to_owned()),
                false => PreReleasePart::Text(part.to_owned()),
            })
        });
        parts.collect::<Option<_>>().map(Self::PreRelease)
    }
}

impl Ord for PreReleasePart {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => {
                one.len().cmp(&two.len()).then_with(|| one.cmp(two))
            }
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
        }
    }
}

impl PartialOrd for PreReleasePart {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Leading zeros are allowed: `24.04`.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(tag: &str) -> TagVersion {
        TagVersion::of(tag).unwrap_or_else(|| panic!("{tag} is no version"))
    }

    #[test]
    fn versions_in_their_order() {
        let ascending = [
            "0.0.0",
            "v0.9.10",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1-alpine",
            "1.0.1",
            "1.0-rc",
            "v1.0",
            "1.2.3",
            "1.10.0",
            "v1",
            "22.04",
            "24.04.1",
            "24.04",
            "v100",
        ];
        for pair in ascending.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        for (one, two) in [
            ("v1.2.3", "1.2.3"),
            ("1.2.3_a", "1.2.3"),
            ("1.02", "1.2"),
            ("1.0-01", "1.0-1"),
        ] {
            assert_eq!(version(one), version(two));
        }
    }

    #[test]
    fn what_is_no_version() {
        for tag in [
            "latest",
            "main",
            "1",
            "20240131",
            "1234567",
            "v",
            "vv1.2",
            "1.2.3.4",
            "1..2",
            "1.2.",
            ".1",
            "1.2-",
            "1.2.3-a..b",
            "1.x",
            "v1.2x",
            "99999999999999999999.1",
            "_",
            "-",
            "sha256-00",
            "a1.2.3",
            "",
        ] {
            assert_eq!(TagVersion::of(tag), None, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(tag in "[v0-9a-z._-]{0,20}", other in "[v0-9._-]{0,12}") {
            if let (Some(one), Some(two)) = (TagVersion::of(&tag), TagVersion::of(&other)) {
                prop_assert_eq!(one.cmp(&two), two.cmp(&one).reverse());
            }
        }
    }
}
