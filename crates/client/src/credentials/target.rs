//! What a login is for, and the keys under which files and helpers hold it.

use crate::{ApiAddress, Host};

/// The key of the login to Docker Hub.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What a login is for.
#[derive(Clone, Copy, Debug)]
pub enum CredentialTarget<'a> {
    /// A registry.
    Registry(&'a Host),
    /// The API of a server. A registry at the same host has a login of its own.
    Api(&'a ApiAddress),
}

impl<'a> From<&'a Host> for CredentialTarget<'a> {
    fn from(host: &'a Host) -> Self {
        Self::Registry(host)
    }
}

impl<'a> From<&'a ApiAddress> for CredentialTarget<'a> {
    fn from(address: &'a ApiAddress) -> Self {
        Self::Api(address)
    }
}

impl CredentialTarget<'_> {
    /// The key under which a file or a helper holds the login.
    pub(super) fn key(self) -> String {
        match self {
            Self::Registry(host) if host.is_docker_hub() => DOCKER_HUB_KEY.to_owned(),
            Self::Registry(host) => host.to_string(),
            Self::Api(address) => address.credential_key(),
        }
    }

    /// The key of a part of a registry, for which podman holds a login of its own.
    pub(super) fn key_below(self, path: &str) -> Option<String> {
        match self {
            Self::Registry(host) => Some(format!("{host}/{path}")),
            Self::Api(_) => None,
        }
    }

    /// How far a key is from the one that clients write today; `None` if it is for something else. Old
    /// versions of Docker wrote keys with a scheme and a path.
    pub(super) fn distance(self, key: &str) -> Option<(bool, u8, u8)> {
        if key == self.key() {
            return Some((false, 0, 0));
        }
        let Self::Registry(host) = self else {
            return None;
        };
        let (scheme, bare) = key.split_once("://").unwrap_or(("", key));
        let (name, path) = bare.split_once('/').unwrap_or((bare, ""));
        let path = match path.trim_end_matches('/') {
            "" => 0,
            "v2" => 1,
            "v1" => 2,
            // Without a scheme, podman's key for a part of a registry.
            _ if scheme.is_empty() => return None,
            _ => 3,
        };
        let scheme = match scheme {
            "" => 1,
            "https" => 2,
            _ => 3,
        };
        let named: Host = name.parse().ok()?;
        let is_alias = named != *host;
        let is_same = !is_alias || named.is_docker_hub() && host.is_docker_hub();
        is_same.then_some((is_alias, scheme, path))
    }
}
