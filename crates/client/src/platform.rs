//! Which of an index's images is meant: `linux/amd64`, `linux/arm/v7`.

use std::fmt;
use std::str::FromStr;

use oci::Descriptor;
use serde::Deserialize;

/// An operating system and a processor (OCI image-spec, image-index.md, `platform`), in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct Platform {
    /// `linux`, `windows`, …
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v7`, `v8`, …
    #[serde(default)]
    pub variant: Option<String>,
}

impl Platform {
    /// The platform that this program runs on.
    #[must_use]
    pub fn here() -> Self {
        let os = if std::env::consts::OS == "macos" {
            "darwin"
        } else {
            std::env::consts::OS
        };
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        }
    }

    /// Whether an image for `offered` is what is meant: a variant counts only where one is asked
    /// for, and `arm64` is always `v8`.
    #[must_use]
    pub fn accepts(&self, offered: &Self) -> bool {
        let variant =
            |platform: &Self| match (platform.architecture.as_str(), platform.variant.as_deref()) {
                ("arm64", None | Some("")) => Some("v8".to_owned()),
                (_, variant) => variant
                    .filter(|variant| !variant.is_empty())
                    .map(str::to_owned),
            };
        self.os == offered.os
            && self.architecture == offered.architecture
            && (variant(self).is_none() || variant(self) == variant(offered))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => return Err(PlatformError(text.to_owned())),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(PlatformError(text.to_owned()));
        }
        Ok(Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant,
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .iter()
            .filter(|variant| !variant.is_empty())
            .try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// A text that is no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no platform: write OS/ARCHITECTURE[/VARIANT], such as linux/amd64 or linux/arm/v7"
)]
pub struct PlatformError(pub String);

/// The members of an index with the platform that each is for, where it says one.
pub(crate) fn members(index: &[u8]) -> Vec<(Descriptor, Option<Platform>)> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(default)]
        manifests: Vec<Member>,
    }
    #[derive(Deserialize)]
    struct Member {
        #[serde(flatten)]
        descriptor: Descriptor,
        platform: Option<Platform>,
    }
    let index =
        serde_json::from_slice::<Index>(index).map_or_else(|_| Vec::new(), |index| index.manifests);
    index
        .into_iter()
        .map(|member| (member.descriptor, member.platform))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn variants_count_where_they_are_asked_for() {
        assert!(platform("linux/arm").accepts(&platform("linux/arm/v7")));
        assert!(!platform("linux/arm/v6").accepts(&platform("linux/arm/v7")));
        assert!(platform("linux/arm64/v8").accepts(&platform("linux/arm64")));
        assert!(platform("linux/arm64").accepts(&platform("linux/arm64/v8")));
        assert!(!platform("linux/amd64").accepts(&platform("windows/amd64")));
        assert_eq!(Platform::here().to_string().split('/').count(), 2);
    }

    #[test]
    fn what_is_no_platform_says_how_one_is_written() {
        for text in ["", "linux", "linux/", "a/b/c/d"] {
            assert!(
                text.parse::<Platform>()
                    .unwrap_err()
                    .to_string()
                    .contains("write OS/ARCHITECTURE"),
                "{text}"
            );
        }
        assert_eq!(platform("linux/arm/v7").to_string(), "linux/arm/v7");
    }

    #[test]
    fn members_keep_their_order() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let index = format!(
            r#"{{"manifests":[{{"mediaType":"a/b","digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"arm","variant":"v7","os.version":"x"}}}},
               {{"mediaType":"a/b","digest":"{digest}","size":2}}]}}"#
        );
        let members = members(index.as_bytes());
        assert_eq!(members[0].1, Some(platform("linux/arm/v7")));
        assert_eq!((members[1].0.size, &members[1].1), (2, &None));
    }
}
