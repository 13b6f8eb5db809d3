//! The certificates of registry and realm: who vouches for them, for which names, and until when.

use std::time::Duration;

use ::token::{Certificate, rfc3339, unix_seconds};
use reqwest::Url;

use super::Examination;
use crate::refusal::host;
use crate::transport::{Call, Trouble};
use crate::{Error, Step};

/// How long before its end a certificate is worth a word.
const SOON: Duration = Duration::from_secs(14 * 86_400);

impl Examination<'_> {
    /// `registry-certificate`.
    pub(super) async fn registry_certificate(&mut self) {
        let Some(base) = self.base.clone() else { return };
        if base.scheme() == "http" {
            return self.not_tested("registry-certificate", "the registry speaks plain http");
        }
        self.trusted = self.certificate("registry-certificate", &base, Step::Ask).await;
    }

    /// `realm-certificate`.
    pub(super) async fn realm_certificate(&mut self) {
        let Some(realm) = self.server.as_ref().map(|server| server.realm.clone()) else { return };
        if realm.scheme() == "http" {
            return self.not_tested("realm-certificate", "the realm speaks plain http");
        }
        if self.has_failed("realm-reachable") {
            return self.not_tested("realm-certificate", "the realm does not answer");
        }
        self.realm_trusted = self.certificate("realm-certificate", &realm, Step::Token).await;
    }

    /// Whether a client believes it; what is wrong with it, or about to be, is found.
    async fn certificate(&mut self, id: &'static str, url: &Url, step: Step) -> bool {
        let shown = self.transport.certificate_of(url).await;
        let trouble = match self.transport.send(&Call::get(url.clone()).step(step)).await {
            Err(Error::Connection { trouble, .. }) => Some(trouble),
            _ => None,
        };
        let names = shown.as_ref().map_or_else(|| "no certificate could be read".to_owned(), described);
        let (name, host) = (url.host_str().unwrap_or_default(), host(url));
        match trouble {
            None => self.believed(id, shown.as_ref(), names),
            Some(Trouble::WrongName(list)) if list.is_empty() && shown.as_ref().is_none_or(|c| c.names().is_empty()) => {
                self.fail(
                    id,
                    format!("the certificate has no subjectAltName, and its common name counts for nobody: {names}"),
                    format!("make one with it: openssl req -x509 … -addext subjectAltName={}", alternative(name)),
                );
            }
            Some(Trouble::WrongName(_)) => self.fail(
                id,
                format!("the certificate is not for {name}: {names}"),
                format!("make one that has {} as subjectAltName, or use one of its names", alternative(name)),
            ),
            Some(Trouble::Expired) => {
                self.fail(id, format!("the certificate is outside its time: {names}"), "renew it and restart the server");
            }
            Some(Trouble::UnknownAuthority) => self.fail(
                id,
                format!("nobody who is trusted here signed the certificate: {names}"),
                format!(
                    "put the authority's certificate into /etc/docker/certs.d/{host}/ca.crt on each client; a server with \
                     an intermediate certificate must send that, too"
                ),
            ),
            Some(trouble) => self.fail(id, format!("{host} {trouble}"), "look at the server's TLS settings"),
        }
        !self.has_failed(id)
    }

    fn believed(&mut self, id: &'static str, shown: Option<&Certificate>, names: String) {
        let now = self.transport.options().clock.now();
        match shown {
            Some(certificate) if certificate.not_after() < now + SOON => {
                self.warn(id, format!("the certificate ends soon: {names}"), "renew it");
            }
            _ => self.ok(id, names),
        }
    }
}

fn described(certificate: &Certificate) -> String {
    let names = certificate.names().join(", ");
    format!(
        "subject {:?}, subjectAltName {}, issuer {:?}, until {}",
        certificate.subject(),
        if names.is_empty() { "none" } else { &names },
        certificate.issuer(),
        rfc3339(unix_seconds(certificate.not_after()))
    )
}

/// A name as OpenSSL's `subjectAltName` has it.
fn alternative(name: &str) -> String {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let kind = if bare.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
    format!("{kind}:{bare}")
}
