//! Platforms: which image of an index is meant, as containerd decides it (`github.com/containerd/
//! platforms`).

use std::fmt;
use std::str::FromStr;

use oci::Descriptor;
use serde_json::{Map, Value};

use crate::json;

/// An operating system and a processor architecture, in Go's words (OCI image-spec, image-index.md,
/// `platform`). It is normalised: `LINUX/x86_64` is `linux/amd64`.
///
/// ```
/// let platform = |text: &str| text.parse::<client::Platform>().unwrap().to_string();
/// assert_eq!(platform("linux/aarch64"), "linux/arm64");
/// assert_eq!(platform("armhf"), "linux/arm/v7");
/// assert_eq!(platform("amd64/v1"), "linux/amd64");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    /// `v6`, `v7`, …; `None` for the architecture's basic variant.
    variant: Option<String>,
}

/// Operating systems that Go knows: a single word is one of these, or an architecture.
const SYSTEMS: [&str; 14] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "js",
    "linux",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
];

impl Platform {
    /// The platform that this program runs on. Images for macOS are Linux images, as docker has it.
    #[must_use]
    pub fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self::new(Self::system_here(), architecture, "")
    }

    fn system_here() -> &'static str {
        match std::env::consts::OS {
            "macos" => "linux",
            other => other,
        }
    }

    /// A normalised platform.
    fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let os = os.trim().to_ascii_lowercase();
        let architecture = architecture.trim().to_ascii_lowercase();
        let variant = variant.trim().to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386" | "x86" | "i686", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1" | "1") => ("amd64", ""),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8" | "v8.0" | "8.0") => ("arm64", ""),
            ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
            ("aarch64" | "arm64", variant) => ("arm64", variant),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "" | "7") => ("arm", "v7"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "6") => ("arm", "v6"),
            ("arm", "8") => ("arm", "v8"),
            other => other,
        };
        Self {
            os: match os.as_str() {
                "macos" => "darwin".to_owned(),
                _ => os,
            },
            architecture: architecture.to_owned(),
            variant: (!variant.is_empty()).then(|| variant.to_owned()),
        }
    }

    /// Reads the `platform` of an index's entry, or the configuration of an image. `None` if it
    /// names no platform.
    pub(crate) fn of(object: &Map<String, Value>) -> Option<Self> {
        let text = |name| json::text(object, name).unwrap_or_default();
        let (os, architecture) = (text("os"), text("architecture"));
        let is_named = !os.is_empty() && !architecture.is_empty();
        is_named.then(|| Self::new(os, architecture, text("variant")))
    }

    /// How well an image for `offered` runs on this platform: `Some(0)` is the same platform, then
    /// the variants below it, the highest first; `None` if it does not run.
    #[must_use]
    pub fn distance(&self, offered: &Self) -> Option<u32> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        if self.variant == offered.variant {
            return Some(0);
        }
        let (own, other) = (self.level()?, offered.level()?);
        own.checked_sub(other)
    }

    /// The number of the variant, in tenths; `None` if it is not a number.
    fn level(&self) -> Option<u32> {
        let Some(variant) = &self.variant else {
            return match self.architecture.as_str() {
                "amd64" => Some(10),
                "arm64" => Some(80),
                _ => None,
            };
        };
        let number = variant.strip_prefix('v')?;
        let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
        let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
        major.checked_mul(10)?.checked_add(minor.min(9))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let wrong = || PlatformError(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(wrong());
        }
        let is_system = |part: &str| SYSTEMS.contains(&part) || part == "macos";
        match parts[..] {
            [os] if is_system(os) => Ok(Self::new(os, &Self::here().architecture, "")),
            [architecture] if is_architecture(architecture) => {
                Ok(Self::new(Self::system_here(), architecture, ""))
            }
            [architecture, variant]
                if is_architecture(architecture) && !is_system(architecture) =>
            {
                Ok(Self::new(Self::system_here(), architecture, variant))
            }
            [os, architecture] => Ok(Self::new(os, architecture, "")),
            [os, architecture, variant] => Ok(Self::new(os, architecture, variant)),
            _ => Err(wrong()),
        }
    }
}

/// Whether a word without an operating system is known as an architecture.
fn is_architecture(word: &str) -> bool {
    const KNOWN: [&str; 21] = [
        "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
        "ppc64le", "riscv64", "s390x", "wasm", "x86_64", "x86-64", "i386", "aarch64", "armhf",
        "armel", "x86",
    ];
    KNOWN.contains(&word)
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .iter()
            .try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// A text that is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a platform: write OS/ARCHITECTURE[/VARIANT], such as linux/amd64 or linux/arm/v7"
)]
pub struct PlatformError(pub String);

/// The entries of an index, each with the platform that it names.
pub(crate) fn members(index: &[u8]) -> Vec<(Descriptor, Option<Platform>)> {
    let index: Map<String, Value> = json::parse(index).unwrap_or_default();
    let member = |entry: &Value| {
        let descriptor = serde_json::from_value(entry.clone()).ok()?;
        let platform = json::member(entry.as_object()?, "platform");
        Some((
            descriptor,
            platform.and_then(Value::as_object).and_then(Platform::of),
        ))
    };
    json::list(&index, "manifests")
        .iter()
        .filter_map(member)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn platforms_are_normalised_as_containerd_does() {
        for (written, normal) in [
            ("LINUX/AMD64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/x86-64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v2", "linux/amd64/v2"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm64/v9.0", "linux/arm64/v9"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/7", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
            ("Windows/amd64", "windows/amd64"),
            ("linux/s390x", "linux/s390x"),
        ] {
            assert_eq!(platform(written).to_string(), normal, "{written}");
        }
    }

    #[test]
    fn a_part_is_completed_from_this_machine() {
        let os = Platform::system_here();
        for (written, normal) in [
            ("x86_64", "amd64"),
            ("aarch64", "arm64"),
            ("armhf", "arm/v7"),
            ("amd64/v1", "amd64"),
            ("arm64/v8", "arm64"),
            ("arm/v6", "arm/v6"),
        ] {
            assert_eq!(platform(written).to_string(), format!("{os}/{normal}"));
        }
        assert!(platform("linux").to_string().starts_with("linux/"));
        assert_eq!(
            platform("linux").architecture,
            Platform::here().architecture
        );
    }

    #[test]
    fn a_lower_variant_runs_too_and_the_nearest_is_preferred() {
        let distance = |own: &str, offered: &str| platform(own).distance(&platform(offered));
        assert_eq!(distance("linux/arm/v7", "linux/arm"), Some(0));
        assert!(
            distance("linux/arm/v7", "linux/arm/v6") < distance("linux/arm/v7", "linux/arm/v5")
        );
        assert_eq!(distance("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(distance("linux/arm64/v8", "linux/arm64"), Some(0));
        assert_eq!(distance("linux/amd64/v3", "linux/amd64"), Some(20));
        assert_eq!(distance("linux/amd64", "linux/amd64/v3"), None);
        assert_eq!(distance("linux/amd64", "windows/amd64"), None);
        assert_eq!(
            distance("linux/ppc64le/power9", "linux/ppc64le/power9"),
            Some(0)
        );
        assert_eq!(
            distance("linux/ppc64le/power9", "linux/ppc64le/power8"),
            None
        );
    }

    #[test]
    fn another_text_is_told_how_a_platform_is_written() {
        for text in ["", "unheard-of", "linux/", "/amd64", "a/b/c/d"] {
            let error = text.parse::<Platform>().unwrap_err().to_string();
            assert!(error.contains("write OS/ARCHITECTURE"), "{text}");
        }
    }

    #[test]
    fn members_keep_their_order_and_bad_ones_are_left_out() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let index = format!(
            r#"{{"manifests":[{{"mediaType":"a/b","digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"ARM","variant":"v7","os.version":"x"}}}},
               {{"mediaType":"a/b","digest":"none","size":1}}, null,
               {{"mediaType":"a/b","digest":"{digest}","size":2,"platform":{{"os":"linux"}}}}]}}"#
        );
        let members = members(index.as_bytes());
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].1, Some(platform("linux/arm/v7")));
        assert_eq!((members[1].0.size, &members[1].1), (2, &None));
    }
}
