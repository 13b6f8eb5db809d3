//! The name of an image in a registry: `HOST/NAME[:TAG][@DIGEST]`.

use std::fmt;
use std::str::FromStr;

use oci::{Digest, DigestError, Reference, RepositoryName, RepositoryNameError, Tag, TagError};

/// The host of a registry, with its port if one is written: `registry.example`,
/// `127.0.0.1:5000`, `[::1]:5000`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

/// The name of Docker Hub in the names of images.
const DOCKER_HUB: &str = "docker.io";

impl Host {
    /// As it was written, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host to connect to: another one serves the images of `docker.io`.
    #[must_use]
    pub fn server(&self) -> &str {
        if self.is_docker_hub() {
            "registry-1.docker.io"
        } else {
            &self.0
        }
    }

    /// Whether it is Docker Hub.
    #[must_use]
    pub fn is_docker_hub(&self) -> bool {
        matches!(
            self.0.as_str(),
            DOCKER_HUB | "index.docker.io" | "registry-1.docker.io"
        )
    }

    /// The host without its port and without the brackets of an IPv6 address.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = match self.0.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => &self.0,
        };
        name.trim_start_matches('[').trim_end_matches(']')
    }

    /// Whether it is this machine: `localhost`, a name below it, or a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.name())
    }
}

/// Whether `name`, without port and brackets, is this machine.
pub(crate) fn is_loopback(name: &str) -> bool {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let address = name.parse::<std::net::IpAddr>();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let wrong = || HostError(text.to_owned());
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']').ok_or_else(wrong)?;
                address.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
                (
                    "",
                    if rest.is_empty() {
                        None
                    } else {
                        Some(rest.strip_prefix(':').ok_or_else(wrong)?)
                    },
                )
            }
            None => text
                .split_once(':')
                .map_or((text, None), |(name, port)| (name, Some(port))),
        };
        let is_port =
            |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+');
        let is_label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let is_name = text.starts_with('[') || name.split('.').all(is_label);
        if !is_name || !port.is_none_or(is_port) {
            return Err(wrong());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a host: write `registry.example` or `registry.example:5000`, without https:// and without a path"
)]
pub struct HostError(pub String);

/// A repository of a registry, with a tag, a digest, both or neither.
///
/// ```
/// let name: client::ImageName = "127.0.0.1:5000/team/app:1.2".parse().unwrap();
/// assert_eq!(name.host.as_str(), "127.0.0.1:5000");
/// assert_eq!(name.repository.as_str(), "team/app");
/// assert_eq!(name.reference().to_string(), "1.2");
/// assert!("ubuntu".parse::<client::ImageName>().is_err(), "a registry has to be named");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageName {
    /// The registry.
    pub host: Host,
    /// The repository there.
    pub repository: RepositoryName,
    /// The tag, if one is written.
    pub tag: Option<Tag>,
    /// The digest, if one is written. It takes precedence over the tag.
    pub digest: Option<Digest>,
}

impl ImageName {
    /// The digest, else the tag, else `latest`.
    #[must_use]
    pub fn reference(&self) -> Reference {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Reference::Digest(*digest),
            (None, Some(tag)) => Reference::Tag(tag.clone()),
            (None, None) => Reference::Tag(latest()),
        }
    }

    /// The same repository's image `reference`.
    #[must_use]
    pub fn with(&self, reference: Reference) -> Self {
        let (tag, digest) = match reference {
            Reference::Tag(tag) => (Some(tag), None),
            Reference::Digest(digest) => (None, Some(digest)),
        };
        Self {
            tag,
            digest,
            ..self.clone()
        }
    }
}

#[expect(clippy::expect_used, reason = "six letters are a tag")]
fn latest() -> Tag {
    "latest".parse().expect("a tag")
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        if text.contains("://") {
            return Err(ImageNameError::Scheme(text.to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (host, path) = rest.split_once('/').unwrap_or(("", rest));
        // As Docker tells a host from a name's first component: a host has a dot or a port, or is
        // localhost.
        if !(host.contains(['.', ':']) || host.eq_ignore_ascii_case("localhost")) {
            return Err(ImageNameError::NoHost(text.to_owned()));
        }
        let host: Host = host.parse()?;
        let (name, tag) = match path.split_once(':') {
            Some((name, tag)) => (name, Some(tag.parse()?)),
            None => (path, None),
        };
        let official = host.is_docker_hub() && !name.contains('/');
        let repository = if official {
            format!("library/{name}").parse()?
        } else {
            name.parse()?
        };
        Ok(Self {
            host,
            repository,
            tag,
            digest,
        })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest
            .iter()
            .try_for_each(|digest| write!(f, "@{digest}"))
    }
}

/// Why a text is not the name of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageNameError {
    /// The registry is missing.
    #[error(
        "{0:?} does not begin with a registry: write HOST/NAME[:TAG][@DIGEST]; images of Docker Hub are docker.io/library/NAME"
    )]
    NoHost(String),
    /// A URL.
    #[error("{0:?} is a URL: write HOST/NAME[:TAG][@DIGEST], without a scheme")]
    Scheme(String),
    /// The host is invalid.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The repository is invalid.
    #[error(transparent)]
    Repository(#[from] RepositoryNameError),
    /// The tag is invalid.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// The digest is invalid.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Result<ImageName, String> {
        text.parse()
            .map_err(|error: ImageNameError| error.to_string())
    }

    #[test]
    fn names_as_people_write_them() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for text in [
            "localhost/a",
            "r.example/a/b:1",
            "127.0.0.1:5000/a",
            "[::1]:5000/a:t",
            "R.example/a",
        ] {
            assert_eq!(name(text).unwrap().to_string(), text.to_lowercase());
        }
        let both = name(&format!("r.example/a:1@{digest}")).unwrap();
        assert_eq!(both.reference().to_string(), digest);
        assert_eq!(
            name("r.example/a").unwrap().reference().to_string(),
            "latest"
        );
    }

    #[test]
    fn docker_hub_has_names_of_its_own() {
        let image = name("docker.io/ubuntu:24.04").unwrap();
        assert_eq!(image.to_string(), "docker.io/library/ubuntu:24.04");
        assert_eq!(image.host.server(), "registry-1.docker.io");
        assert_eq!(
            name("docker.io/odewahn/myalpine")
                .unwrap()
                .repository
                .as_str(),
            "odewahn/myalpine"
        );
    }

    #[test]
    fn an_invalid_name_says_why() {
        assert!(
            name("ubuntu")
                .unwrap_err()
                .starts_with("\"ubuntu\" does not begin with a registry")
        );
        assert!(
            name("library/ubuntu")
                .unwrap_err()
                .contains("does not begin with a registry")
        );
        assert!(
            name("https://r.example/a")
                .unwrap_err()
                .contains("is a URL")
        );
        assert!(name("r.example:0/a").unwrap_err().contains("is not a host"));
        assert!(
            name("r.example:99999/a")
                .unwrap_err()
                .contains("is not a host")
        );
        assert!(name("r..example/a").unwrap_err().contains("is not a host"));
        assert!(name("[::1/a").unwrap_err().contains("is not a host"));
        assert_eq!(
            name("r.example/A").unwrap_err(),
            RepositoryNameError::Character('A').to_string()
        );
        assert_eq!(
            name("r.example/a:").unwrap_err(),
            TagError::Empty.to_string()
        );
        assert_eq!(
            name("r.example/a@sha256").unwrap_err(),
            DigestError::Form.to_string()
        );
    }

    #[test]
    fn this_machine_by_all_its_names() {
        for host in [
            "localhost",
            "localhost:5000",
            "a.localhost",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:5000",
        ] {
            assert!(host.parse::<Host>().unwrap().is_loopback(), "{host}");
        }
        for host in ["r.example", "10.0.0.1", "[::2]", "localhost.example"] {
            assert!(!host.parse::<Host>().unwrap().is_loopback(), "{host}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            if let Ok(name) = text.parse::<ImageName>() {
                prop_assert_eq!(name.to_string().parse(), Ok(name));
            }
        }
    }
}
