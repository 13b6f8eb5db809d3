//! Whether anybody is there, and in which language: the registry, and the realm that it sends its callers to.

use std::net::{IpAddr, ToSocketAddrs};

use reqwest::Url;
use reqwest::header::LOCATION;

use super::{Examination, told};
use crate::image_name::is_loopback;
use crate::refusal::{host, origin};
use crate::transport::{Answer, Call, Trouble};
use crate::{Error, Step, Transport};

/// How many redirects are followed before it is called a loop.
const HOPS: usize = 10;

impl Examination<'_> {
    /// `registry-reachable`, `registry-scheme`.
    pub(super) async fn reach_registry(&mut self) {
        let server = self.patient.host.server().to_owned();
        let url = |scheme: &str| format!("{scheme}://{server}/v2/").parse::<Url>();
        let (Ok(https), Ok(http)) = (url("https"), url("http")) else {
            return self.fail("registry-reachable", format!("{server} makes no URL"), "check the spelling");
        };
        let wants_http = self.transport.options().plain_http;
        if !wants_http {
            match self.ask(&https).await {
                Ok(answer) => return self.reached(https, &answer),
                Err(Trouble::UnknownAuthority | Trouble::WrongName(_) | Trouble::Expired) => {
                    // Whose certificate it is comes later; whether it is there comes first.
                    if let Ok(answer) = self.lenient.send(&Call::get(https.clone())).await {
                        return self.reached(https, &answer);
                    }
                }
                Err(trouble) if !trouble.may_be_plain() => return self.out_of_reach(&https, &trouble),
                Err(_) => {}
            }
        }
        match self.ask(&http).await {
            Ok(answer) if is_tls_behind(&answer) => {
                self.ok("registry-reachable", format!("{} answers", origin(&http)));
                let evidence = format!("{} speaks TLS, and was asked in plain http", host(&http));
                self.fail("registry-scheme", evidence, "leave --plain-http out, and insecure-registries, too");
            }
            Ok(answer) => self.reached_plain(http, &answer),
            Err(trouble) => self.out_of_reach(&http, &trouble),
        }
    }

    /// `registry-redirects`.
    pub(super) async fn redirects(&mut self) {
        let Some(base) = self.base.clone() else { return };
        let (mut url, mut hops) = (base.clone(), vec![base.to_string()]);
        while hops.len() <= HOPS {
            let Ok(answer) = self.looking().send(&Call::get(url.clone())).await else { break };
            let next = answer.header(LOCATION.as_str()).filter(|_| answer.status().is_redirection());
            let Some(next) = next.and_then(|location| url.join(location).ok()) else { break };
            hops.push(next.to_string());
            if url.scheme() == "https" && next.scheme() == "http" {
                return self.fail(
                    "registry-redirects",
                    format!("from https to plain http: {}", hops.join(" -> ")),
                    "have the proxy pass on what it was asked: proxy_set_header X-Forwarded-Proto $scheme;",
                );
            }
            url = next;
        }
        match hops.len() {
            1 => self.ok("registry-redirects", "/v2/ answers without a redirect"),
            count if count > HOPS => self.fail(
                "registry-redirects",
                format!("a loop: {}", hops[..4].join(" -> ")),
                "let one side alone redirect: proxy and registry disagree about the slash at the end or the scheme",
            ),
            _ => self.warn(
                "registry-redirects",
                format!("/v2/ redirects: {}", hops.join(" -> ")),
                "name the registry by the host that answers: some clients do not follow a redirect of /v2/",
            ),
        }
    }

    /// `realm-address`, `realm-scheme`, `realm-reachable`.
    pub(super) async fn realm(&mut self) {
        let (Some(server), Some(base)) = (&self.server, &self.base) else { return };
        let (realm, base) = (server.realm.clone(), base.clone());
        self.realm_address(&realm, &base);
        match (base.scheme(), realm.scheme()) {
            ("https", "http") => self.fail(
                "realm-scheme",
                format!("the registry speaks https, its realm {realm} plain http: passwords go in clear"),
                "give the token server a certificate and write the realm with https:// (auth.token.realm); crane and regctl \
                 refuse it as it is",
            ),
            (_, scheme) => self.ok("realm-scheme", format!("the realm speaks {scheme}")),
        }
        match self.transport.send(&Call::get(realm.clone()).step(Step::Token)).await {
            Ok(answer) => self.realm_reached(&realm, &answer, true),
            Err(Error::Connection { trouble, source, .. }) => match trouble {
                Trouble::UnknownAuthority | Trouble::WrongName(_) | Trouble::Expired => {
                    if let Ok(answer) = self.lenient.send(&Call::get(realm.clone()).step(Step::Token)).await {
                        self.realm_reached(&realm, &answer, false);
                    }
                }
                Trouble::PlainHttp => self.fail(
                    "realm-reachable",
                    format!("{realm} speaks plain http"),
                    "write http:// in auth.token.realm, or better: give the token server a certificate",
                ),
                trouble => self.fail(
                    "realm-reachable",
                    format!("{} {trouble}: {source}", origin(&realm)),
                    "auth.token.realm must be an address that clients reach, not the one that the registry reaches; is the \
                     token server running?",
                ),
            },
            Err(error) => self.fail("realm-reachable", told(&error), "look at the token server"),
        }
    }

    /// A realm on this machine, or in a private network, that the registry is not in.
    fn realm_address(&mut self, realm: &Url, base: &Url) {
        let (name, own) = (realm.host_str().unwrap_or_default(), base.host_str().unwrap_or_default());
        let remedy = "write the address by which clients reach the token server into auth.token.realm";
        if name == own {
            return self.ok("realm-address", format!("the realm {realm} is on the registry's host"));
        }
        let is_here = |name: &str| is_loopback(name) || addresses(name).iter().any(IpAddr::is_loopback);
        if is_here(name) && !is_here(own) {
            let evidence = format!("the realm {realm} is each client's own machine");
            return self.fail("realm-address", evidence, remedy);
        }
        let is_private = |name: &str| is_here(name) || addresses(name).iter().any(is_private);
        if is_private(name) && !is_private(own) {
            let evidence = format!("the realm {realm} is in a private network, the registry is not");
            return self.warn("realm-address", evidence, remedy);
        }
        self.ok("realm-address", format!("the realm is {realm}"));
    }

    fn realm_reached(&mut self, realm: &Url, answer: &Answer, trusted: bool) {
        self.dates("token server", answer);
        self.realm_trusted = trusted;
        if answer.status().as_u16() == 404 {
            return self.fail(
                "realm-reachable",
                format!("{realm} answers 404"),
                "the path of auth.token.realm is wrong: docker_auth's is /auth, below server.path_prefix",
            );
        }
        self.ok("realm-reachable", format!("{} answers", origin(realm)));
    }

    async fn ask(&self, url: &Url) -> Result<Answer, Trouble> {
        match self.transport.send(&Call::get(url.clone())).await {
            Ok(answer) => Ok(answer),
            Err(Error::Connection { trouble, .. }) => Err(trouble),
            Err(_) => Err(Trouble::Tls),
        }
    }

    fn reached(&mut self, url: Url, answer: &Answer) {
        self.ok("registry-reachable", format!("{} answers", origin(&url)));
        self.ok("registry-scheme", format!("it speaks {}", url.scheme()));
        self.dates("registry", answer);
        self.base = Some(url);
    }

    fn reached_plain(&mut self, url: Url, answer: &Answer) {
        let host = self.host().to_owned();
        self.ok("registry-reachable", format!("{} answers", origin(&url)));
        self.dates("registry", answer);
        self.trusted = self.transport.options().plain_http || self.patient.host.is_loopback();
        self.base = Some(url);
        if self.trusted {
            return self.ok("registry-scheme", "it speaks plain http, as every client allows its own machine");
        }
        self.fail(
            "registry-scheme",
            format!("{host} speaks plain http where clients expect https"),
            format!(
                "give it a certificate (http.tls), or tell each engine: \"insecure-registries\": [\"{host}\"] in \
                 /etc/docker/daemon.json"
            ),
        );
    }

    fn out_of_reach(&mut self, url: &Url, trouble: &Trouble) {
        let remedy = trouble.hint(&origin(url)).unwrap_or_else(|| "look at the registry's log".to_owned());
        self.fail("registry-reachable", format!("{} {trouble}", host(url)), remedy);
    }

    /// What the lenient way was needed for; see [`Self::looking`].
    pub(super) fn realm_transport(&self) -> &Transport {
        if self.realm_trusted { &self.transport } else { &self.lenient }
    }
}

/// What Go and nginx say to plain HTTP on a TLS port.
fn is_tls_behind(answer: &Answer) -> bool {
    answer.status().as_u16() == 400 && answer.header("www-authenticate").is_none()
}

fn addresses(name: &str) -> Vec<IpAddr> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    (bare, 443).to_socket_addrs().map_or_else(|_| Vec::new(), |found| found.map(|address| address.ip()).collect())
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
        for address in ["10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.1.1", "fd00::1", "fe80::1"] {
            assert!(is_private(&address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "2001:db8::1"] {
            assert!(!is_private(&address.parse().unwrap()), "{address}");
        }
    }
}
