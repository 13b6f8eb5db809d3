//! The certificates of registry and token server: who signed them, for which names, and until when.

use std::time::Duration;

use ::token::Certificate;
use common::{rfc3339, unix_seconds};
use reqwest::Url;

use super::ProbeRun;
use crate::http_error_response::host;
use crate::transport::{ClientRequest, ConnectionError};
use crate::{Error, Step};

/// How long before its expiry a certificate is warned of.
const SOON: Duration = Duration::from_secs(14 * 86_400);

impl ProbeRun<'_> {
    /// `registry-certificate`.
    pub(super) async fn registry_certificate(&mut self) {
        let Some(base) = self.base.clone() else {
            return;
        };
        let id = "registry-certificate";
        if base.scheme() == "http" {
            return self.not_tested(id, "the registry speaks plain http");
        }
        self.trusted = self.certificate(id, &base, Step::Unauthenticated).await;
    }

    /// `realm-certificate`.
    pub(super) async fn realm_certificate(&mut self) {
        let Some(realm) = self.server.as_ref().map(|server| server.realm.clone()) else {
            return;
        };
        let id = "realm-certificate";
        if realm.scheme() == "http" {
            return self.not_tested(id, "the token server speaks plain http");
        }
        if self.has_failed("realm-reachable") {
            return self.not_tested(id, "the token server is not reached");
        }
        self.realm_trusted = self.certificate(id, &realm, Step::Token).await;
    }

    /// Tests one certificate. Returns whether a client would accept it.
    async fn certificate(&mut self, id: &'static str, url: &Url, step: Step) -> bool {
        if self.transport.options().insecure {
            self.not_tested(id, "--insecure was given, so certificates are not verified");
            return true;
        }
        let shown = self.transport.certificate_of(url).await;
        let request = ClientRequest::get(url.clone()).step(step);
        let failure = match self.transport.send(&request).await {
            Err(Error::Connection {
                problem, source, ..
            }) => Some((problem, source)),
            _ => None,
        };
        let described = shown
            .as_ref()
            .map_or_else(|| "the certificate cannot be read".to_owned(), described);
        let defect = shown
            .as_ref()
            .and_then(|certificate| self.defect(certificate, url));
        match (failure, defect) {
            (None, _) => self.accepted_certificate(id, shown.as_ref(), described),
            // A certificate that must be replaced need not be trusted first.
            (Some((ConnectionError::UnknownAuthority, _)), Some(defect)) => {
                let (evidence, remedy) = defect.described(url, &described);
                let evidence = format!("{evidence}; it is also signed by an unknown authority");
                self.fail(id, evidence, format!("{remedy}; then {}", self.add_authority()));
            }
            (Some((ConnectionError::UnknownAuthority, _)), None) => self.fail(
                id,
                format!("certificate signed by an unknown authority: {described}"),
                format!(
                    "{}; if the authority is an intermediate one, have the server send its \
                     certificate, too",
                    self.add_authority()
                ),
            ),
            (Some(_), Some(defect)) => {
                let (evidence, remedy) = defect.described(url, &described);
                self.fail(id, evidence, remedy);
            }
            (Some((problem, source)), None) => self.fail(
                id,
                format!("{} {problem} ({source}): {described}", host(url)),
                "check the server's TLS settings: TLS 1.2 or 1.3, a certificate of version 3, and an \
                 RSA key of at least 2048 bits or an EC key",
            ),
        }
        !self.has_failed(id)
    }

    /// What is wrong with a certificate, apart from its signature.
    fn defect(&self, certificate: &Certificate, url: &Url) -> Option<CertificateDefect> {
        let now = self.transport.options().clock.now();
        let names = certificate.names();
        if names.is_empty() {
            Some(CertificateDefect::NoName)
        } else if !names.iter().any(|name| is_for(name, bare(url))) {
            Some(CertificateDefect::OtherName)
        } else if now < certificate.not_before() {
            Some(CertificateDefect::NotYetValid(unix_seconds(
                certificate.not_before(),
            )))
        } else if !certificate.valid_at(now) {
            Some(CertificateDefect::Expired(unix_seconds(
                certificate.not_after(),
            )))
        } else {
            None
        }
    }

    /// Clients look for the token server's authority under the registry's name, too.
    fn add_authority(&self) -> String {
        let registry = self.target.host.server();
        format!(
            "put the authority's certificate into /etc/docker/certs.d/{registry}/ca.crt on each client"
        )
    }

    fn accepted_certificate(
        &mut self,
        id: &'static str,
        shown: Option<&Certificate>,
        described: String,
    ) {
        let now = self.transport.options().clock.now();
        match shown {
            Some(certificate) if certificate.not_after() < now + SOON => {
                let date = rfc3339(unix_seconds(certificate.not_after()));
                self.warn(
                    id,
                    format!("the certificate expires soon, on {date}: {described}"),
                    "renew the certificate and restart the server",
                );
            }
            _ => self.ok(id, described),
        }
    }
}

/// Why no client accepts a certificate. Times are in seconds since 1970.
#[derive(Clone, Copy)]
enum CertificateDefect {
    NoName,
    OtherName,
    NotYetValid(u64),
    Expired(u64),
}

impl CertificateDefect {
    /// Evidence and remedy.
    fn described(self, url: &Url, certificate: &str) -> (String, String) {
        let name = bare(url);
        let create = format!(
            "`openssl req -x509 -newkey rsa:2048 -nodes -days 365 -keyout server.key -out server.crt \
             -subj /CN={name} -addext subjectAltName={}`",
            alternative(name)
        );
        match self {
            Self::NoName => (
                format!(
                    "the certificate has no subjectAltName, and clients ignore the common name: \
                     {certificate}"
                ),
                format!("create a certificate with a subjectAltName: {create}"),
            ),
            Self::OtherName => (
                format!("the certificate is not for {name}: {certificate}"),
                format!("use one of its names, or create a certificate for {name}: {create}"),
            ),
            Self::NotYetValid(from) => (
                format!(
                    "certificate not valid before {}: {certificate}",
                    rfc3339(from)
                ),
                "set the clock of this machine; if it is right, issue the certificate again"
                    .to_owned(),
            ),
            Self::Expired(until) => (
                format!("certificate expired on {}: {certificate}", rfc3339(until)),
                "renew the certificate and restart the server; if the certificate is new, set the \
                 clock of this machine"
                    .to_owned(),
            ),
        }
    }
}

/// A URL's host without the brackets of an IPv6 address.
fn bare(url: &Url) -> &str {
    url.host_str()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']')
}

/// Whether a certificate's `name`, which may be `*.example.com`, matches `host` (RFC 9525 §6.3).
fn is_for(name: &str, host: &str) -> bool {
    let rest = name
        .strip_prefix("*.")
        .zip(host.split_once('.'))
        .map(|(parent, (_, rest))| (parent, rest));
    name.eq_ignore_ascii_case(host)
        || rest.is_some_and(|(parent, rest)| parent.eq_ignore_ascii_case(rest))
}

fn described(certificate: &Certificate) -> String {
    let names = certificate.names().join(", ");
    let at = |time| rfc3339(unix_seconds(time));
    format!(
        "subject {:?}, subjectAltName {}, issuer {:?}, valid from {} until {}",
        certificate.subject(),
        if names.is_empty() { "none" } else { &names },
        certificate.issuer(),
        at(certificate.not_before()),
        at(certificate.not_after())
    )
}

/// A name in OpenSSL's `subjectAltName`.
fn alternative(name: &str) -> String {
    let kind = if name.parse::<std::net::IpAddr>().is_ok() {
        "IP"
    } else {
        "DNS"
    };
    format!("{kind}:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts() {
        assert!(is_for("r.example", "R.example"));
        assert!(is_for("*.example", "r.example"));
        assert!(is_for("10.0.0.1", "10.0.0.1"));
        assert!(!is_for("*.example", "a.r.example"));
        assert!(!is_for("*.example", "example"));
        assert!(!is_for("r", "r.example"));
        assert_eq!(bare(&"https://[::1]:5000/v2/".parse().unwrap()), "::1");
        assert_eq!(
            (alternative("::1"), alternative("r.example")),
            ("IP:::1".to_owned(), "DNS:r.example".to_owned())
        );
    }
}
