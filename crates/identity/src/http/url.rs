//! Addresses that passwords may be sent to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// The address of a server that gets passwords: `https`, or `http` on this machine. It prints
/// without its query, which may hold a secret.
///
/// ```
/// use identity::http::BackendUrl;
///
/// let url: BackendUrl = "https://accounts.example.com/login?tenant=acme".parse().unwrap();
/// assert_eq!(url.to_string(), "https://accounts.example.com/login");
/// assert!("http://127.0.0.1:8080/login".parse::<BackendUrl>().is_ok());
/// assert!("http://accounts.example.com/login".parse::<BackendUrl>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BackendUrl(Url);

impl BackendUrl {
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl FromStr for BackendUrl {
    type Err = BackendUrlError;

    fn from_str(text: &str) -> Result<Self, BackendUrlError> {
        let url: Url = text
            .parse()
            .map_err(|error| BackendUrlError::Malformed(format!("{error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BackendUrlError::Login);
        }
        if url.fragment().is_some() {
            return Err(BackendUrlError::Fragment);
        }
        match (url.scheme(), url.host_str()) {
            ("https", Some(_)) => Ok(Self(url)),
            ("http", Some(host)) if is_loopback(host) => Ok(Self(url)),
            ("http", Some(_)) => Err(BackendUrlError::Unencrypted),
            (scheme, _) => Err(BackendUrlError::Scheme(scheme.to_owned())),
        }
    }
}

impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_query(None);
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

/// An address that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendUrlError {
    /// It is not a URL.
    #[error("not a URL ({0}); write https://HOST/PATH")]
    Malformed(String),
    /// It is a URL of another kind.
    #[error("`{0}` is not supported; write https://HOST/PATH")]
    Scheme(String),
    /// Passwords would cross a network in clear text.
    #[error("plain http would send passwords unencrypted; use https (http is for localhost only)")]
    Unencrypted,
    /// It holds a login.
    #[error("a user name or password in the URL is not used; set token or headers")]
    Login,
    /// It ends in `#…`.
    #[error("`#` and what follows it is never sent; remove it")]
    Fragment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_and_local_addresses_are_taken() {
        for url in [
            "https://a.example",
            "https://a.example:8443/login?tenant=1",
            "http://localhost/login",
            "http://127.0.0.1:80/",
            "http://127.8.9.10:8080/",
            "http://[::1]:8080/",
        ] {
            assert!(url.parse::<BackendUrl>().is_ok(), "{url}");
        }
        use BackendUrlError as Wrong;
        for (url, expected) in [
            ("http://a.example/", Wrong::Unencrypted),
            ("http://localhost.example/", Wrong::Unencrypted),
            ("http://10.0.0.1/", Wrong::Unencrypted),
            ("http://[2001:db8::1]/", Wrong::Unencrypted),
            ("ldap://localhost/", Wrong::Scheme("ldap".into())),
            ("unix:/run/login", Wrong::Scheme("unix".into())),
            ("https://ann:secret@a.example/", Wrong::Login),
            ("https://ann@a.example/", Wrong::Login),
            ("https://a.example/#login", Wrong::Fragment),
        ] {
            assert_eq!(url.parse::<BackendUrl>(), Err(expected), "{url}");
        }
        for url in ["", "login", "//a.example/", "https://", "https://a b/"] {
            let wrong = url.parse::<BackendUrl>();
            assert!(matches!(wrong, Err(Wrong::Malformed(_))), "{url}");
        }
    }

    #[test]
    fn a_query_is_never_shown() {
        let url: BackendUrl = "https://a.example/login?key=SECRET".parse().unwrap();
        assert_eq!(format!("{url} {url:?}").matches("SECRET").count(), 0);
    }
}
