//! Where the API of a server is.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::http_error_response::{host, origin};
use crate::image_name::is_loopback;
use crate::{Host, HostError};

/// Where the routes of the API are, below a server's address.
const PATH: &str = "/api/v1";
/// What the key of a login to an API begins with, in docker's `config.json`. No registry has this
/// name (RFC 6761 §6.4). A key such as `HOST/api/v1` would be taken for an old one of the registry
/// HOST: docker and crane read keys up to the first slash.
const KEY_HOST: &str = "wharfinger-api.invalid";

/// The address of a server that has an API: `https://auth.example.com`, with a port and with the path
/// in front of the server's own, if it has them.
///
/// ```
/// let address: client::ApiAddress = "https://auth.example.com/tokens/".parse().unwrap();
/// assert_eq!(address.to_string(), "https://auth.example.com/tokens");
/// assert!("http://auth.example.com".parse::<client::ApiAddress>().is_err(), "in clear text");
/// assert!("http://127.0.0.1:5001".parse::<client::ApiAddress>().is_ok(), "on this machine");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAddress {
    /// Without a slash at its end.
    prefix: String,
    host: Host,
    base: Url,
}

/// A text that is not the address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiAddressError {
    /// It is not a URL.
    #[error("{0:?} is not a URL: write https://auth.example.com")]
    Url(String),
    /// It would be asked in clear text.
    #[error(
        "{0:?} does not begin with https://: only a server on this machine is asked over plain http"
    )]
    Scheme(String),
    /// It has parts that an address does not have.
    #[error("{0} has a user, a query or a fragment: write https://auth.example.com")]
    Parts(String),
    /// Its host is not one.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl ApiAddress {
    /// Host and port; without the port if it is the scheme's own.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What the routes are joined to; it ends with a slash.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The address of what a caller may see of its own account.
    pub(super) fn account(&self) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}account", self.base.path()));
        url
    }

    /// The name under which docker's `config.json` and credential helpers hold a login to this API.
    /// It is another than a registry's at the same host.
    #[must_use]
    pub fn credential_key(&self) -> String {
        format!("{KEY_HOST}/{}{}", self.host, self.prefix)
    }

    /// Whether a key of `config.json` is that of a login to an API.
    #[must_use]
    pub fn is_credential_key(key: &str) -> bool {
        key.split_once('/')
            .is_some_and(|(host, _)| host == KEY_HOST)
    }
}

impl FromStr for ApiAddress {
    type Err = ApiAddressError;

    fn from_str(text: &str) -> Result<Self, ApiAddressError> {
        let wrong = || ApiAddressError::Url(text.to_owned());
        if !text.contains("://") {
            return Err(wrong());
        }
        let url: Url = text.parse().map_err(|_| wrong())?;
        let name = url.host_str().ok_or_else(wrong)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(name) => {}
            _ => return Err(ApiAddressError::Scheme(text.to_owned())),
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || url.query().is_some() || url.fragment().is_some() {
            // The text may hold a password.
            return Err(ApiAddressError::Parts(origin(&url)));
        }
        let path = url.path().trim_end_matches('/');
        let prefix = path.strip_suffix(PATH).unwrap_or(path).to_owned();
        let host = host(&url).parse()?;
        let mut base = url;
        base.set_path(&format!("{prefix}{PATH}/"));
        Ok(Self { prefix, host, base })
    }
}

impl fmt::Display for ApiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", origin(&self.base), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_api_address() {
        let seeds = ["https://auth.example.com/a/b", "http://[::1]:5001/api/v1/"];
        fuzz::target("addresses of servers", &seeds, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return false;
            };
            let Ok(address) = text.parse::<ApiAddress>() else {
                return false;
            };
            assert_eq!(address.to_string().parse(), Ok(address));
            true
        });
    }

    #[test]
    fn addresses_as_people_write_them() {
        for (text, shown, key) in [
            ("https://a.example", "https://a.example", "a.example"),
            ("https://A.example:443/", "https://a.example", "a.example"),
            (
                "https://a.example:5001/t/api/v1/",
                "https://a.example:5001/t",
                "a.example:5001/t",
            ),
            ("http://localhost:1", "http://localhost:1", "localhost:1"),
            ("http://[::1]:5001", "http://[::1]:5001", "[::1]:5001"),
        ] {
            let address: ApiAddress = text.parse().unwrap();
            let key = format!("wharfinger-api.invalid/{key}");
            assert_eq!(
                (address.to_string().as_str(), address.credential_key()),
                (shown, key)
            );
            assert!(address.base().as_str().ends_with("/api/v1/"));
            assert!(ApiAddress::is_credential_key(&address.credential_key()));
        }
        assert!(!ApiAddress::is_credential_key("a.example/api/v1"));
        for (text, said) in [
            ("auth.example.com", "is not a URL: write https://"),
            ("auth.example.com:5001", "is not a URL: write https://"),
            ("/etc/wharfinger.yml", "is not a URL"),
            ("https://", "is not a URL"),
            ("http://a.example", "only a server on this machine"),
            ("ftp://a.example", "does not begin with https://"),
            (
                "https://ann:secret@a.example",
                "https://a.example has a user",
            ),
            ("https://a.example/?token=secret", "has a user, a query"),
            ("https://a..example", "is not a host"),
        ] {
            let error = text.parse::<ApiAddress>().unwrap_err().to_string();
            assert!(
                error.contains(said) && !error.contains("secret"),
                "{text}: {error}"
            );
        }
    }
}
