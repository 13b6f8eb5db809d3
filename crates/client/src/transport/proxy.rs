//! Which proxy a request goes through: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, read as Go's
//! programs read them (`golang.org/x/net/http/httpproxy`), docker, podman and containerd among them.

use std::net::IpAddr;

use common::{IpNetwork, parse_ip};
use reqwest::Url;

use crate::image_name::is_loopback;

/// The proxies of an environment.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    http: Option<Variable>,
    https: Option<Variable>,
    exceptions: Vec<Exception>,
}

/// A variable that names a proxy. Its value may hold a password.
#[derive(Clone)]
struct Variable {
    name: &'static str,
    value: String,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// An entry of `NO_PROXY`.
#[derive(Clone, Debug)]
enum Exception {
    Everything,
    Network(IpNetwork),
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    Domain {
        /// With a dot in front.
        suffix: String,
        /// Whether the domain itself is meant, besides the hosts below it.
        itself: bool,
        port: Option<u16>,
    },
}

impl ProxySettings {
    /// The settings of this process's environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// The settings of the environment that `variable` looks up.
    ///
    /// ```
    /// let proxies = client::ProxySettings::new(|name| match name {
    ///     "HTTPS_PROXY" => Some("http://proxy.example:3128".to_owned()),
    ///     "NO_PROXY" => Some("*.corp.example, registry.example:5000".to_owned()),
    ///     _ => None,
    /// });
    /// let variable = |url: &str| proxies.variable_for(&url.parse().unwrap());
    /// assert_eq!(variable("https://registry.example/"), Some("HTTPS_PROXY"));
    /// assert_eq!(variable("https://registry.example:5000/"), None);
    /// assert_eq!(variable("https://registry.corp.example/"), None);
    /// ```
    #[must_use]
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|&name| {
                let value = variable(name)?.trim().to_owned();
                (!value.is_empty()).then_some(Variable { name, value })
            })
        };
        // In a CGI program the client of the web server sets HTTP_PROXY.
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http: &[_] = match is_cgi {
            true => &["ALL_PROXY", "all_proxy"],
            false => &["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
        };
        let no_proxy = first(&["NO_PROXY", "no_proxy"]).map_or_else(String::new, |v| v.value);
        Self {
            http: first(http),
            https: first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
            exceptions: no_proxy.split(',').filter_map(Exception::parse).collect(),
        }
    }

    /// The variable that names the proxy for `url`; `None` when requests go there directly.
    #[must_use]
    pub fn variable_for(&self, url: &Url) -> Option<&'static str> {
        self.proxy(url).map(|proxy| proxy.name)
    }

    /// The proxy for `url`; an error in words if its variable is wrong.
    pub(super) fn for_url(&self, url: &Url) -> Result<Option<reqwest::Proxy>, String> {
        let Some(Variable { name, value }) = self.proxy(url) else {
            return Ok(None);
        };
        let wrong = || format!("{name} does not name an HTTP proxy: write http://HOST:PORT");
        let text = match value.contains("://") {
            true => value.clone(),
            false => format!("http://{value}"),
        };
        let proxy: Url = text.parse().map_err(|_| wrong())?;
        if !matches!(proxy.scheme(), "http" | "https") {
            return Err(wrong());
        }
        reqwest::Proxy::all(proxy).map(Some).map_err(|_| wrong())
    }

    fn proxy(&self, url: &Url) -> Option<&Variable> {
        let name = url.host_str()?;
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default();
        if is_loopback(bare) || self.exceptions.iter().any(|e| e.covers(bare, port)) {
            return None;
        }
        match url.scheme() {
            "https" => self.https.as_ref(),
            _ => self.http.as_ref(),
        }
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_lowercase();
        if entry == "*" {
            return Some(Self::Everything);
        }
        if entry.contains('/') {
            return entry.parse().ok().map(Self::Network);
        }
        let (host, port) = match entry.rsplit_once(':') {
            // An IPv6 address without brackets has colons and no port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().ok()?))
            }
            _ => (entry.as_str(), None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Some(address) = parse_ip(host) {
            return Some(Self::Address { address, port });
        }
        let domain = host.strip_prefix('*').filter(|rest| rest.starts_with('.'));
        let domain = domain.unwrap_or(host);
        let (itself, name) = match domain.strip_prefix('.') {
            Some(name) => (false, name),
            None => (true, domain),
        };
        // As the host of a URL is written: international names in Punycode.
        let url = Url::parse(&format!("http://{name}/")).ok()?;
        Some(Self::Domain {
            suffix: format!(".{}", url.host_str()?),
            itself,
            port,
        })
    }

    fn covers(&self, host: &str, at: Option<u16>) -> bool {
        let is_port = |port: &Option<u16>| port.is_none() || *port == at;
        match self {
            Self::Everything => true,
            Self::Network(network) => parse_ip(host).is_some_and(|ip| network.contains(ip)),
            Self::Address { address, port } => {
                parse_ip(host).is_some_and(|ip| ip == *address) && is_port(port)
            }
            Self::Domain {
                suffix,
                itself,
                port,
            } => (host.ends_with(suffix) || *itself && host == &suffix[1..]) && is_port(port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes_direct(no_proxy: &str, url: &str) -> bool {
        let proxies = ProxySettings::new(|name| match name {
            "HTTP_PROXY" | "HTTPS_PROXY" => Some("http://proxy.example:3128".to_owned()),
            "NO_PROXY" => Some(no_proxy.to_owned()),
            _ => None,
        });
        proxies.variable_for(&url.parse().unwrap()).is_none()
    }

    /// The rules that `httpproxy`'s own documentation and tests have.
    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        for (no_proxy, url) in [
            ("registry.invalid:5000", "http://registry.invalid:5000/v2/"),
            ("*.invalid", "https://registry.invalid/v2/"),
            ("*.invalid:5000", "https://registry.invalid:5000/v2/"),
            (".invalid", "https://registry.invalid/v2/"),
            ("invalid", "https://registry.invalid/v2/"),
            ("registry.invalid", "https://registry.invalid/v2/"),
            ("registry.invalid:443", "https://registry.invalid/v2/"),
            ("registry.invalid:80", "http://registry.invalid/v2/"),
            ("REGISTRY.INVALID", "https://registry.invalid/v2/"),
            ("a, registry.invalid ,b", "https://registry.invalid/v2/"),
            ("10.0.0.0/8", "https://10.1.2.3/v2/"),
            ("10.1.2.3", "https://10.1.2.3:5000/v2/"),
            ("10.1.2.3:5000", "https://10.1.2.3:5000/v2/"),
            ("2001:db8::/32", "https://[2001:db8::1]/v2/"),
            ("2001:db8::1", "https://[2001:db8::1]/v2/"),
            ("[2001:db8::1]:5000", "https://[2001:db8::1]:5000/v2/"),
            ("[2001:db8::1]", "https://[2001:db8::1]:5000/v2/"),
            ("b\u{fc}cher.example", "https://xn--bcher-kva.example/"),
            ("*", "https://registry.invalid/v2/"),
            ("", "http://localhost:5000/v2/"),
            ("", "http://127.0.0.1:5000/v2/"),
            ("", "http://[::1]:5000/v2/"),
        ] {
            assert!(goes_direct(no_proxy, url), "{no_proxy:?} {url}");
        }
        for (no_proxy, url) in [
            ("", "https://registry.invalid/v2/"),
            ("registry.invalid:5000", "https://registry.invalid/v2/"),
            ("*.invalid", "https://invalid/v2/"),
            (".invalid", "https://invalid/v2/"),
            ("nvalid", "https://registry.invalid/v2/"),
            ("10.0.0.0/8", "https://11.1.2.3/v2/"),
            ("10.1.2.3:5000", "https://10.1.2.3/v2/"),
            (":5000", "https://registry.invalid:5000/v2/"),
            ("registry.*", "https://registry.invalid/v2/"),
            ("registry.invalid:port", "https://registry.invalid/v2/"),
            ("10.0.0.0/99", "https://10.1.2.3/v2/"),
        ] {
            assert!(!goes_direct(no_proxy, url), "{no_proxy:?} {url}");
        }
    }

    #[test]
    fn each_scheme_has_its_variable_and_a_scheme_may_be_left_out() {
        let proxies = ProxySettings::new(|name| match name {
            "http_proxy" => Some("proxy.example:3128".to_owned()),
            "HTTPS_PROXY" => Some("socks5://proxy.example:1080".to_owned()),
            _ => None,
        });
        let url = |text: &str| text.parse::<Url>().unwrap();
        assert_eq!(
            proxies.variable_for(&url("http://r.example/")),
            Some("http_proxy")
        );
        assert!(
            proxies
                .for_url(&url("http://r.example/"))
                .unwrap()
                .is_some()
        );
        let error = proxies.for_url(&url("https://r.example/")).unwrap_err();
        assert!(error.starts_with("HTTPS_PROXY does not name"));
        assert!(!format!("{proxies:?}").contains("proxy.example"));
        let cgi = ProxySettings::new(|name| {
            matches!(name, "HTTP_PROXY" | "REQUEST_METHOD").then(|| "x".to_owned())
        });
        assert_eq!(cgi.variable_for(&url("http://r.example/")), None);
    }
}
