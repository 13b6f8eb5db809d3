//! The certificates of registry and realm: who vouches for them, for which names, and until when.

use std::time::Duration;

use ::token::Certificate;
use common::{rfc3339, unix_seconds};
use reqwest::Url;

use super::ProbeRun;
use crate::error_response::host;
use crate::transport::{ConnectionError, HttpRequest};
use crate::{Error, Step};

/// How long before its end a certificate is worth a word.
const SOON: Duration = Duration::from_secs(14 * 86_400);

impl ProbeRun<'_> {
    /// `registry-certificate`.
    pub(super) async fn registry_certificate(&mut self) {
        let Some(base) = self.base.clone() else {
            return;
        };
        if base.scheme() == "http" {
            return self.not_tested("registry-certificate", "the registry speaks plain http");
        }
        self.trusted = self
            .certificate("registry-certificate", &base, Step::Ask)
            .await;
    }

    /// `realm-certificate`.
    pub(super) async fn realm_certificate(&mut self) {
        let Some(realm) = self.server.as_ref().map(|server| server.realm.clone()) else {
            return;
        };
        if realm.scheme() == "http" {
            return self.not_tested("realm-certificate", "the realm speaks plain http");
        }
        if self.has_failed("realm-reachable") {
            return self.not_tested("realm-certificate", "the realm does not answer");
        }
        self.realm_trusted = self
            .certificate("realm-certificate", &realm, Step::Token)
            .await;
    }

    /// Whether a client believes it; what is wrong with it, or about to be, is found.
    async fn certificate(&mut self, id: &'static str, url: &Url, step: Step) -> bool {
        let shown = self.transport.certificate_of(url).await;
        let problem = match self
            .transport
            .send(&HttpRequest::get(url.clone()).step(step))
            .await
        {
            Err(Error::Connection {
                problem, source, ..
            }) => Some((problem, source)),
            _ => None,
        };
        let names = shown
            .as_ref()
            .map_or_else(|| "no certificate could be read".to_owned(), described);
        match (problem, shown.as_ref().and_then(|certificate| self.flaw(certificate, url))) {
            (None, _) => self.believed(id, shown.as_ref(), names),
            // What has to be made anew need not be trusted first.
            (Some((ConnectionError::UnknownAuthority, _)), Some(flaw)) => {
                let (evidence, remedy) = flaw.told(url, &names);
                let evidence = format!("{evidence}; besides, nobody who is trusted here signed it");
                self.fail(id, evidence, format!("{remedy}; then {}", self.put_authority()));
            }
            (Some((ConnectionError::UnknownAuthority, _)), None) => self.fail(
                id,
                format!("nobody who is trusted here signed the certificate: {names}"),
                format!("{}; a server with an intermediate certificate must send that, too", self.put_authority()),
            ),
            (Some(_), Some(flaw)) => {
                let (evidence, remedy) = flaw.told(url, &names);
                self.fail(id, evidence, remedy);
            }
            (Some((problem, source)), None) => self.fail(
                id,
                format!("{} {problem} ({source}): {names}", host(url)),
                "look at the server's TLS settings: TLS 1.2 or 1.3, a certificate of version 3, and a key that is RSA of 2048 \
                 bits or more, or EC",
            ),
        }
        !self.has_failed(id)
    }

    /// What is wrong with a certificate, whoever signed it.
    fn flaw(&self, certificate: &Certificate, url: &Url) -> Option<CertificateDefect> {
        let names = certificate.names();
        if names.is_empty() {
            Some(CertificateDefect::Nameless)
        } else if !names.iter().any(|name| is_for(name, bare(url))) {
            Some(CertificateDefect::OtherName)
        } else if !certificate.valid_at(self.transport.options().clock.now()) {
            Some(CertificateDefect::OutsideItsTime)
        } else {
            None
        }
    }

    /// For the token server, too, clients look at what lies under the registry's name.
    fn put_authority(&self) -> String {
        let registry = self.patient.host.server();
        format!(
            "put the authority's certificate into /etc/docker/certs.d/{registry}/ca.crt on each client"
        )
    }

    fn believed(&mut self, id: &'static str, shown: Option<&Certificate>, names: String) {
        let now = self.transport.options().clock.now();
        match shown {
            Some(certificate) if certificate.not_after() < now + SOON => {
                self.warn(
                    id,
                    format!("the certificate ends soon: {names}"),
                    "renew it",
                );
            }
            _ => self.ok(id, names),
        }
    }
}

/// Why a certificate is of no use to any client.
#[derive(Clone, Copy)]
enum CertificateDefect {
    Nameless,
    OtherName,
    OutsideItsTime,
}

impl CertificateDefect {
    /// Evidence and remedy.
    fn told(self, url: &Url, names: &str) -> (String, String) {
        let alternative = alternative(bare(url));
        match self {
            Self::Nameless => (
                format!(
                    "the certificate has no subjectAltName, and its common name counts for nobody: {names}"
                ),
                format!(
                    "make one with it: openssl req -x509 … -addext subjectAltName={alternative}"
                ),
            ),
            Self::OtherName => (
                format!("the certificate is not for {}: {names}", bare(url)),
                format!(
                    "make one that has {alternative} as subjectAltName, or use one of its names"
                ),
            ),
            Self::OutsideItsTime => (
                format!("the certificate is outside its time: {names}"),
                "renew it and restart the server; if it is new, set the clock of this machine"
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

/// Whether a certificate's `name`, which may be `*.example.com`, is that of `host` (RFC 9525 §6.3).
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
        "subject {:?}, subjectAltName {}, issuer {:?}, from {} until {}",
        certificate.subject(),
        if names.is_empty() { "none" } else { &names },
        certificate.issuer(),
        at(certificate.not_before()),
        at(certificate.not_after())
    )
}

/// A name as OpenSSL's `subjectAltName` has it.
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
        assert!(
            is_for("r.example", "R.example")
                && is_for("*.example", "r.example")
                && is_for("10.0.0.1", "10.0.0.1")
        );
        assert!(
            !is_for("*.example", "a.r.example")
                && !is_for("*.example", "example")
                && !is_for("r", "r.example")
        );
        assert_eq!(bare(&"https://[::1]:5000/v2/".parse().unwrap()), "::1");
        assert_eq!(
            (alternative("::1"), alternative("r.example")),
            ("IP:::1".to_owned(), "DNS:r.example".to_owned())
        );
    }
}
