//! Whether registry and token server respond, and whether they speak http or https.

use std::net::{IpAddr, ToSocketAddrs};

use common::{IpNetwork, with_causes};
use reqwest::Url;
use reqwest::header::LOCATION;
use serde_json::{Map, Value};

use super::ProbeRun;
use super::challenge::by;
use crate::http_error_response::{host, origin};
use crate::image_name::is_loopback;
use crate::transport::{ClientRequest, ClientResponse, ConnectionError, RootCause};
use crate::{Error, Host, Step, Transport, json};

/// How many redirects are followed before they count as a loop.
const MAX_REDIRECTS: usize = 10;

/// How a proxy tells the server what the client asked for.
pub(super) const FORWARDED: &str =
    "`proxy_set_header Host $http_host;` `proxy_set_header X-Forwarded-Proto $scheme;`";

impl ProbeRun<'_> {
    /// `registry-reachable`, `registry-scheme`.
    pub(super) async fn reach_registry(&mut self) {
        let (Ok(https), Ok(http)) = (self.address("https"), self.address("http")) else {
            return;
        };
        if self.transport.options().plain_http {
            return self.reach_in_clear(&http, &https).await;
        }
        let (problem, source) = match self.ask(&https).await {
            Ok(response) => return self.reached(https, &response),
            Err(failure) => failure,
        };
        // The certificate is another probe's.
        if problem.is_of_certificate()
            && let Ok(response) = self.lenient.send(&ClientRequest::get(https.clone())).await
        {
            return self.reached(https, &response);
        }
        if !problem.may_be_plain() {
            return self.out_of_reach(&https, &problem, &source);
        }
        match self.ask(&http).await {
            // It speaks TLS, but no version that this client speaks.
            Ok(response) if is_tls_behind(&response) => {
                self.out_of_reach(&https, &problem, &source);
            }
            Ok(response) => self.reached_plain(http, &response),
            Err((problem, source)) => self.out_of_reach(&http, &problem, &source),
        }
    }

    /// With `--plain-http`.
    async fn reach_in_clear(&mut self, http: &Url, https: &Url) {
        match self.ask(http).await {
            Ok(response) if is_tls_behind(&response) => self.needs_tls(https),
            Ok(response) => self.reached_plain(http.clone(), &response),
            // Some servers respond to plain HTTP on a TLS port in TLS, or not at all.
            Err((ConnectionError::NotHttp | ConnectionError::Broken, _))
                if self
                    .lenient
                    .send(&ClientRequest::get(https.clone()))
                    .await
                    .is_ok() =>
            {
                self.needs_tls(https);
            }
            Err((problem, source)) => self.out_of_reach(http, &problem, &source),
        }
    }

    fn needs_tls(&mut self, https: &Url) {
        let host = host(https);
        self.ok("registry-reachable", format!("{} responds", origin(https)));
        self.fail(
            "registry-scheme",
            format!("{host} speaks https, but was asked over plain http"),
            format!("leave out --plain-http, and remove {host} from insecure-registries"),
        );
    }

    /// `registry-redirects`.
    pub(super) async fn redirects(&mut self) {
        let Some(base) = self.base.clone() else {
            return;
        };
        let id = "registry-redirects";
        let (mut url, mut hops) = (base.clone(), vec![base.to_string()]);
        while hops.len() <= MAX_REDIRECTS {
            let request = ClientRequest::get(url.clone());
            let Ok(response) = self.open_transport().send(&request).await else {
                break;
            };
            let next = response
                .header(LOCATION.as_str())
                .filter(|_| response.status().is_redirection());
            let Some(next) = next.and_then(|location| url.join(location).ok()) else {
                break;
            };
            hops.push(next.to_string());
            if url.scheme() == "https" && next.scheme() == "http" {
                return self.fail(
                    id,
                    format!(
                        "/v2/ redirects from https to plain http: {}",
                        hops.join(" -> ")
                    ),
                    format!("have the proxy send the scheme to the registry: {FORWARDED}"),
                );
            }
            url = next;
        }
        match hops.len() {
            1 => self.ok(id, "/v2/ responds without a redirect"),
            count if count > MAX_REDIRECTS => self.fail(
                id,
                format!("/v2/ redirects in a loop: {}", hops[..4].join(" -> ")),
                "let either the proxy or the registry redirect, not both: they disagree about the \
                 slash at the end or about the scheme",
            ),
            _ => self.warn(
                id,
                format!("/v2/ redirects: {}", hops.join(" -> ")),
                format!(
                    "use the name {}, to which it redirects: some clients do not follow redirects \
                     of /v2/",
                    host(&url)
                ),
            ),
        }
    }

    /// `realm-address`, `realm-scheme`, `realm-reachable`.
    pub(super) async fn realm(&mut self) {
        let (Some(server), Some(base)) = (&self.server, &self.base) else {
            return;
        };
        let (realm, base) = (server.realm.clone(), base.clone());
        self.is_wharfinger = self.serves_jwks(&base).await;
        self.realm_address(&realm, &base);
        self.realm_scheme(&realm, &base);
        let request = ClientRequest::get(realm.clone()).step(Step::Token);
        let (problem, source) = match self.transport.send(&request).await {
            Ok(response) => return self.realm_reached(&realm, &response, true),
            Err(Error::Connection {
                problem, source, ..
            }) => (problem, source),
            Err(error) => {
                return self.fail(
                    "realm-reachable",
                    with_causes(&error),
                    "look at the token server's log",
                );
            }
        };
        // The certificate is another probe's.
        if problem.is_of_certificate()
            && let Ok(response) = self.lenient.send(&request).await
        {
            return self.realm_reached(&realm, &response, false);
        }
        let setting = self.realm_setting();
        match problem {
            ConnectionError::PlainHttp => self.fail(
                "realm-reachable",
                format!("{} speaks plain http instead of https", origin(&realm)),
                format!("give the token server a certificate, or write http:// in {setting}"),
            ),
            problem => self.fail(
                "realm-reachable",
                format!("{} {problem}: {source}", origin(&realm)),
                format!(
                    "check that the token server is running, and that {setting} is an address that \
                     clients can reach"
                ),
            ),
        }
    }

    /// Whether the registry's address also serves a token server's keys, as this project's servers
    /// do. Neither Distribution nor docker_auth does.
    async fn serves_jwks(&self, base: &Url) -> bool {
        let Ok(url) = base.join("/.well-known/jwks.json") else {
            return false;
        };
        let Ok(mut response) = self.open_transport().send(&ClientRequest::get(url)).await else {
            return false;
        };
        let is_ok = response.status().is_success();
        let body: Result<Map<String, Value>, _> = response.json(64 * 1024).await;
        is_ok && body.is_ok_and(|body| body.get("keys").is_some_and(Value::is_array))
    }

    /// The setting that the realm comes from.
    pub(super) fn realm_setting(&self) -> &'static str {
        match self.is_wharfinger {
            true => "server.public_url",
            false => "auth.token.realm",
        }
    }

    fn realm_scheme(&mut self, realm: &Url, base: &Url) {
        let id = "realm-scheme";
        if (base.scheme(), realm.scheme()) != ("https", "http") {
            return self.ok(id, format!("the token server speaks {}", realm.scheme()));
        }
        let evidence = format!(
            "the registry speaks https, but its realm {realm} is plain http: passwords would be sent \
             in clear"
        );
        let host = host(base);
        let is_same_host = realm.host_str() == base.host_str();
        let remedy = match (self.is_wharfinger, is_same_host) {
            (true, _) => format!(
                "have the proxy that ends TLS send the scheme: {FORWARDED} and list its address in \
                 server.trusted_proxies; or set server.public_url: https://{host}"
            ),
            (false, true) => format!(
                "write the realm with https:// (auth.token.realm); if the token server builds it from \
                 the request, have the proxy that ends TLS send the scheme: {FORWARDED}; crane and \
                 regctl refuse it as it is"
            ),
            (false, false) => {
                "give the token server a certificate, and write the realm with https:// \
                               (auth.token.realm); crane and regctl refuse it as it is"
                    .to_owned()
            }
        };
        self.fail(id, evidence, remedy);
    }

    /// A realm on this machine or in a private network, while the registry is not.
    fn realm_address(&mut self, realm: &Url, base: &Url) {
        let id = "realm-address";
        let (name, own) = (
            realm.host_str().unwrap_or_default(),
            base.host_str().unwrap_or_default(),
        );
        if name == own {
            return self.ok(id, format!("the realm {realm} is on the registry's host"));
        }
        let remedy = format!(
            "write the address at which clients reach the token server into {}",
            self.realm_setting()
        );
        let is_here =
            |name: &str| is_loopback(name) || addresses(name).iter().any(IpAddr::is_loopback);
        if is_here(name) && !is_here(own) {
            let evidence = format!("the realm {realm} points each client to its own machine");
            return self.fail(id, evidence, remedy);
        }
        let is_private = |name: &str| is_here(name) || addresses(name).iter().any(is_private);
        if is_private(name) && !is_private(own) {
            let evidence =
                format!("the realm {realm} is in a private network, but the registry is not");
            return self.warn(id, evidence, remedy);
        }
        self.ok(id, format!("the realm is {realm}"));
    }

    fn realm_reached(&mut self, realm: &Url, response: &ClientResponse, certified: bool) {
        let id = "realm-reachable";
        self.dates("token server", response);
        // Over plain http a password is sent only to this machine, or if the registry's own would.
        let private = realm.scheme() == "https" || realm.host_str().is_some_and(is_loopback);
        self.realm_trusted = certified && (private || !self.has_failed("realm-scheme"));
        if response.status().as_u16() == 404 {
            return self.fail(
                id,
                format!("{realm} responds 404"),
                format!(
                    "correct the path in {}: docker_auth's is /auth, after its server.path_prefix",
                    self.realm_setting()
                ),
            );
        }
        if response.status().is_server_error() {
            return self.fail(
                id,
                format!("{realm} responds {}{}", response.status(), by(response)),
                "start the token server, or look at its log; behind a proxy, compare its address \
                 with proxy_pass",
            );
        }
        self.ok(id, format!("{} responds", origin(realm)));
    }

    async fn ask(&self, url: &Url) -> Result<ClientResponse, (ConnectionError, RootCause)> {
        match self.transport.send(&ClientRequest::get(url.clone())).await {
            Ok(response) => Ok(response),
            Err(Error::Connection {
                problem, source, ..
            }) => Err((problem, source)),
            Err(error) => Err((ConnectionError::Tls, RootCause::of(&error))),
        }
    }

    fn reached(&mut self, url: Url, response: &ClientResponse) {
        self.ok("registry-reachable", format!("{} responds", origin(&url)));
        self.ok("registry-scheme", "the registry speaks https");
        self.dates("registry", response);
        self.base = Some(url);
    }

    fn reached_plain(&mut self, url: Url, response: &ClientResponse) {
        let id = "registry-scheme";
        let host = self.host().to_owned();
        self.ok("registry-reachable", format!("{} responds", origin(&url)));
        self.dates("registry", response);
        let is_here = self.target.host.is_loopback();
        self.trusted = self.transport.options().plain_http || is_here;
        self.base = Some(url);
        let file = self.target.docker_daemon.display();
        let line = format!("\"insecure-registries\": [\"{host}\"]");
        if !self.trusted {
            let remedy = format!(
                "give it a certificate (http.tls), or allow plain http for each docker: {line} in \
                 {file}"
            );
            let evidence = format!("{host} speaks plain http, but clients expect https");
            return self.fail(id, evidence, remedy);
        }
        if !is_here {
            return self.ok(id, "the registry speaks plain http, as --plain-http says");
        }
        // moby#53868
        match self.insecure_registries() {
            Some(list) if !list.iter().any(|entry| allows(entry, &self.target.host)) => {
                let evidence = format!(
                    "the registry speaks plain http on this machine, which Docker 29.10 and newer \
                     refuse: {file} has insecure-registries without {host}"
                );
                let remedy =
                    format!("add \"{host}\" to the list in {file}: {line}, and restart docker");
                self.warn(id, evidence, remedy);
            }
            Some(_) => self.ok(
                id,
                format!("the registry speaks plain http, which {file} allows"),
            ),
            None => self.ok(
                id,
                format!(
                    "the registry speaks plain http, which clients allow on this machine; if \
                     insecure-registries is set in {file}, Docker 29.10 and newer need {line} there"
                ),
            ),
        }
    }

    /// `insecure-registries` of docker's configuration on this machine, if it is set.
    fn insecure_registries(&self) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(&self.target.docker_daemon).ok()?;
        let members: Map<String, Value> = serde_json::from_str(&text).ok()?;
        let list = json::member(&members, "insecure-registries")?.as_array()?;
        let texts = list.iter().filter_map(Value::as_str);
        Some(texts.map(str::to_owned).collect())
    }

    fn out_of_reach(&mut self, url: &Url, problem: &ConnectionError, source: &RootCause) {
        let remedy = problem
            .hint(&origin(url))
            .unwrap_or_else(|| "look at the registry's log".to_owned());
        let tried = match problem {
            ConnectionError::NotHttp => ", neither over TLS nor without",
            _ => "",
        };
        self.fail(
            "registry-reachable",
            format!("{} {problem}{tried}: {source}", host(url)),
            remedy,
        );
    }

    /// The transport for requests to the token server.
    pub(super) fn realm_transport(&self) -> &Transport {
        if self.realm_trusted {
            &self.transport
        } else {
            &self.lenient
        }
    }
}

/// Whether an entry of `insecure-registries` means the host: it is a host or a network.
fn allows(entry: &str, host: &Host) -> bool {
    let network = entry.parse::<IpNetwork>().ok();
    let address = host.name().parse::<IpAddr>().ok();
    let is_within = network
        .zip(address)
        .is_some_and(|(network, address)| network.contains(address));
    is_within || entry.eq_ignore_ascii_case(host.as_str())
}

/// How Go and nginx respond to plain HTTP on a TLS port.
fn is_tls_behind(response: &ClientResponse) -> bool {
    response.status().as_u16() == 400 && response.header("www-authenticate").is_none()
}

fn addresses(name: &str) -> Vec<IpAddr> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    (bare, 443).to_socket_addrs().map_or_else(
        |_| Vec::new(),
        |found| found.map(|address| address.ip()).collect(),
    )
}

/// RFC 1918, RFC 4193, and link-local addresses.
fn is_private(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses() {
        for address in [
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.1.1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(is_private(&address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "2001:db8::1"] {
            assert!(!is_private(&address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn entries_of_insecure_registries() {
        let host = "127.0.0.1:5000".parse().unwrap();
        for entry in ["127.0.0.1:5000", "127.0.0.0/8"] {
            assert!(allows(entry, &host), "{entry}");
        }
        for entry in ["127.0.0.1:5001", "10.0.0.0/8", "registry.example", ""] {
            assert!(!allows(entry, &host), "{entry}");
        }
    }
}
