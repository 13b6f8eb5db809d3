//! Whether anybody is there, and in which language: the registry, and the realm that it sends its
//! callers to.

use std::net::{IpAddr, ToSocketAddrs};

use reqwest::Url;
use reqwest::header::LOCATION;

use super::challenge::by;
use super::{ProbeRun, told};
use crate::error_response::{host, origin};
use crate::image_name::is_loopback;
use crate::transport::{ConnectionError, HttpRequest, HttpResponse};
use crate::{Error, Step, Transport};

/// How many redirects are followed before it is called a loop.
const HOPS: usize = 10;

impl ProbeRun<'_> {
    /// `registry-reachable`, `registry-scheme`.
    pub(super) async fn reach_registry(&mut self) {
        let (Ok(https), Ok(http)) = (self.address("https"), self.address("http")) else {
            return;
        };
        if self.transport.options().plain_http {
            return self.reach_in_clear(&http, &https).await;
        }
        let problem = match self.ask(&https).await {
            Ok(answer) => return self.reached(https, &answer),
            Err(problem) => problem,
        };
        // Whose certificate it is comes later; whether it is there comes first.
        if problem.is_of_certificate()
            && let Ok(answer) = self.lenient.send(&HttpRequest::get(https.clone())).await
        {
            return self.reached(https, &answer);
        }
        if !problem.may_be_plain() {
            return self.out_of_reach(&https, &problem);
        }
        match self.ask(&http).await {
            // It is TLS that it speaks, but none that is spoken here.
            Ok(answer) if is_tls_behind(&answer) => self.out_of_reach(&https, &problem),
            Ok(answer) => self.reached_plain(http, &answer),
            Err(problem) => self.out_of_reach(&http, &problem),
        }
    }

    /// As `--plain-http` says.
    async fn reach_in_clear(&mut self, http: &Url, https: &Url) {
        match self.ask(http).await {
            Ok(answer) if is_tls_behind(&answer) => self.needs_tls(https),
            Ok(answer) => self.reached_plain(http.clone(), &answer),
            // Others answer plain HTTP on a TLS port in TLS, or not at all.
            Err(ConnectionError::NotHttp | ConnectionError::Broken)
                if self
                    .lenient
                    .send(&HttpRequest::get(https.clone()))
                    .await
                    .is_ok() =>
            {
                self.needs_tls(https);
            }
            Err(problem) => self.out_of_reach(http, &problem),
        }
    }

    fn needs_tls(&mut self, https: &Url) {
        self.ok("registry-reachable", format!("{} answers", origin(https)));
        let evidence = format!("{} speaks TLS, and was asked in plain http", host(https));
        self.fail(
            "registry-scheme",
            evidence,
            "leave --plain-http out, and insecure-registries, too",
        );
    }

    /// `registry-redirects`.
    pub(super) async fn redirects(&mut self) {
        let Some(base) = self.base.clone() else {
            return;
        };
        let (mut url, mut hops) = (base.clone(), vec![base.to_string()]);
        while hops.len() <= HOPS {
            let Ok(answer) = self.looking().send(&HttpRequest::get(url.clone())).await else {
                break;
            };
            let next = answer
                .header(LOCATION.as_str())
                .filter(|_| answer.status().is_redirection());
            let Some(next) = next.and_then(|location| url.join(location).ok()) else {
                break;
            };
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
        let (Some(server), Some(base)) = (&self.server, &self.base) else {
            return;
        };
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
        let call = HttpRequest::get(realm.clone()).step(Step::Token);
        let (problem, source) = match self.transport.send(&call).await {
            Ok(answer) => return self.realm_reached(&realm, &answer, true),
            Err(Error::Connection {
                problem, source, ..
            }) => (problem, source),
            Err(error) => {
                return self.fail("realm-reachable", told(&error), "look at the token server");
            }
        };
        // Whose certificate it is comes later, here, too.
        if problem.is_of_certificate()
            && let Ok(answer) = self.lenient.send(&call).await
        {
            return self.realm_reached(&realm, &answer, false);
        }
        match problem {
            ConnectionError::PlainHttp => self.fail(
                "realm-reachable",
                format!("{realm} speaks plain http"),
                "write http:// in auth.token.realm, or better: give the token server a certificate",
            ),
            problem => self.fail(
                "realm-reachable",
                format!("{} {problem}: {source}", origin(&realm)),
                "auth.token.realm must be an address that clients reach, not the one that the registry reaches; is the \
                 token server running?",
            ),
        }
    }

    /// A realm on this machine, or in a private network, that the registry is not in.
    fn realm_address(&mut self, realm: &Url, base: &Url) {
        let (name, own) = (
            realm.host_str().unwrap_or_default(),
            base.host_str().unwrap_or_default(),
        );
        let remedy =
            "write the address by which clients reach the token server into auth.token.realm";
        if name == own {
            return self.ok(
                "realm-address",
                format!("the realm {realm} is on the registry's host"),
            );
        }
        let is_here =
            |name: &str| is_loopback(name) || addresses(name).iter().any(IpAddr::is_loopback);
        if is_here(name) && !is_here(own) {
            let evidence = format!("the realm {realm} is each client's own machine");
            return self.fail("realm-address", evidence, remedy);
        }
        let is_private = |name: &str| is_here(name) || addresses(name).iter().any(is_private);
        if is_private(name) && !is_private(own) {
            let evidence =
                format!("the realm {realm} is in a private network, the registry is not");
            return self.warn("realm-address", evidence, remedy);
        }
        self.ok("realm-address", format!("the realm is {realm}"));
    }

    fn realm_reached(&mut self, realm: &Url, answer: &HttpResponse, certified: bool) {
        self.dates("token server", answer);
        // A password goes out in clear only to this machine, or where the registry's own would.
        let private = realm.scheme() == "https" || realm.host_str().is_some_and(is_loopback);
        self.realm_trusted = certified && (private || !self.has_failed("realm-scheme"));
        if answer.status().as_u16() == 404 {
            return self.fail(
                "realm-reachable",
                format!("{realm} answers 404"),
                "the path of auth.token.realm is wrong: docker_auth's is /auth, below server.path_prefix",
            );
        }
        if answer.status().is_server_error() {
            return self.fail(
                "realm-reachable",
                format!("{realm} answers {}{}", answer.status(), by(answer)),
                "start the token server, or look at its log; behind a proxy compare its address with proxy_pass",
            );
        }
        self.ok("realm-reachable", format!("{} answers", origin(realm)));
    }

    async fn ask(&self, url: &Url) -> Result<HttpResponse, ConnectionError> {
        match self.transport.send(&HttpRequest::get(url.clone())).await {
            Ok(answer) => Ok(answer),
            Err(Error::Connection { problem, .. }) => Err(problem),
            Err(_) => Err(ConnectionError::Tls),
        }
    }

    fn reached(&mut self, url: Url, answer: &HttpResponse) {
        self.ok("registry-reachable", format!("{} answers", origin(&url)));
        self.ok("registry-scheme", format!("it speaks {}", url.scheme()));
        self.dates("registry", answer);
        self.base = Some(url);
    }

    fn reached_plain(&mut self, url: Url, answer: &HttpResponse) {
        let host = self.host().to_owned();
        self.ok("registry-reachable", format!("{} answers", origin(&url)));
        self.dates("registry", answer);
        self.trusted = self.transport.options().plain_http || self.patient.host.is_loopback();
        self.base = Some(url);
        if self.trusted {
            return self.ok(
                "registry-scheme",
                "it speaks plain http, as every client allows its own machine",
            );
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

    fn out_of_reach(&mut self, url: &Url, problem: &ConnectionError) {
        let remedy = problem
            .hint(&origin(url))
            .unwrap_or_else(|| "look at the registry's log".to_owned());
        let remedy = match problem {
            // What listens there was tried both ways.
            ConnectionError::NotHttp => format!("it speaks no TLS either: {remedy}"),
            _ => remedy,
        };
        self.fail(
            "registry-reachable",
            format!("{} {problem}", host(url)),
            remedy,
        );
    }

    /// What the lenient way was needed for; see [`Self::looking`].
    pub(super) fn realm_transport(&self) -> &Transport {
        if self.realm_trusted {
            &self.transport
        } else {
            &self.lenient
        }
    }
}

/// What Go and nginx say to plain HTTP on a TLS port.
fn is_tls_behind(answer: &HttpResponse) -> bool {
    answer.status().as_u16() == 400 && answer.header("www-authenticate").is_none()
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
}
