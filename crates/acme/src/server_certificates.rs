//! What the server's listeners need: the certificates of handshakes, and the answers to challenges.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use common::Clock;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::answers::ChallengeAnswers;
use crate::{
    AcmeLease, AcmeStore, AcmeStoreError, CertificateHost, ChallengeKind, HostCertificate,
};

/// The most characters that the token of a challenge may have. RFC 8555 §8.1 requires 22 at least.
const LONGEST_TOKEN: usize = 256;

/// The certificates that are served, and the answers to open challenges. A [`CertificateManager`]
/// fills it.
///
/// [`CertificateManager`]: crate::CertificateManager
pub struct ServerCertificates {
    installed: ArcSwap<InstalledCertificates>,
    answers: ChallengeAnswers,
    issued: AtomicU64,
    failures: AtomicU64,
}

/// The hosts of the configuration, in its order, and what there is for them.
#[derive(Clone, Debug, Default)]
struct InstalledCertificates {
    hosts: Vec<CertificateHost>,
    certificates: BTreeMap<CertificateHost, Arc<HostCertificate>>,
}

/// What can be said of the certificates at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeStatistics {
    /// Each host, in the order of the configuration.
    pub hosts: Vec<HostStatistics>,
    /// How many certificates this process has obtained.
    pub issued: u64,
    /// How many attempts of this process failed.
    pub failures: u64,
}

/// What can be said of one host's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatistics {
    /// The host.
    pub host: CertificateHost,
    /// Until when its certificate is valid; `None` before it has one.
    pub not_after: Option<SystemTime>,
    /// When it is renewed.
    pub renewal: Option<SystemTime>,
    /// Whether half of the time for renewing it is over.
    pub expires_soon: bool,
}

impl ServerCertificates {
    /// Without certificates yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            installed: ArcSwap::default(),
            answers: ChallengeAnswers::new(clock),
            issued: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// What there is at `now`.
    #[must_use]
    pub fn statistics(&self, now: SystemTime) -> AcmeStatistics {
        let installed = self.installed.load();
        let hosts = installed.hosts.iter().map(|host| {
            let certificate = installed.certificates.get(host);
            HostStatistics {
                host: host.clone(),
                not_after: certificate.map(|certificate| certificate.not_after()),
                renewal: certificate.map(|certificate| certificate.renewal_time()),
                expires_soon: certificate.is_some_and(|certificate| certificate.expires_soon(now)),
            }
        });
        AcmeStatistics {
            hosts: hosts.collect(),
            issued: self.issued.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// Whether this is one of the hosts.
    #[must_use]
    pub fn has_host(&self, name: &str) -> bool {
        let installed = self.installed.load();
        let mut hosts = installed.hosts.iter();
        hosts.any(|host| host.as_str().eq_ignore_ascii_case(name))
    }

    /// The first host of the configuration.
    #[must_use]
    pub fn first_host(&self) -> Option<CertificateHost> {
        self.installed.load().hosts.first().cloned()
    }

    /// The answer to the challenge `http-01` with this token (RFC 8555 §8.3), if one is open.
    pub async fn http_answer(&self, token: &str) -> Option<String> {
        // A token has the alphabet of base64url (§8.1), so it names no other file of a directory.
        let is_token = !token.is_empty()
            && token.len() <= LONGEST_TOKEN
            && token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        match is_token {
            true => self.answers.http(token).await,
            false => None,
        }
    }

    /// The handshake that answers the challenge `tls-alpn-01` for this host, if one is open.
    pub(crate) async fn tls_answer(&self, host: &str) -> Option<Arc<ServerConfig>> {
        match self.has_host(host) {
            true => self.answers.tls(host).await,
            false => None,
        }
    }

    /// Serves these hosts from now on, and looks for other servers' answers in `store`. Certificates
    /// of hosts that stay are kept.
    pub(crate) fn serve(&self, hosts: &[CertificateHost], store: Arc<dyn AcmeStore>) {
        self.answers.share(Some(store));
        self.installed.rcu(|installed| {
            let mut installed = InstalledCertificates::clone(installed);
            installed
                .certificates
                .retain(|host, _| hosts.contains(host));
            installed.hosts = hosts.to_vec();
            installed
        });
    }

    pub(crate) fn install(&self, host: &CertificateHost, certificate: &Arc<HostCertificate>) {
        self.installed.rcu(|installed| {
            let mut installed = InstalledCertificates::clone(installed);
            let certificate = Arc::clone(certificate);
            installed.certificates.insert(host.clone(), certificate);
            installed
        });
    }

    pub(crate) fn certificate(&self, host: &CertificateHost) -> Option<Arc<HostCertificate>> {
        self.installed.load().certificates.get(host).cloned()
    }

    pub(crate) async fn publish(
        &self,
        lease: &dyn AcmeLease,
        kind: ChallengeKind,
        host: &CertificateHost,
        token: &str,
        key_authorization: &str,
    ) -> Result<(), AcmeStoreError> {
        let answers = &self.answers;
        let published = answers.publish(lease, kind, host, token, key_authorization);
        published.await
    }

    pub(crate) async fn end_answers(&self, lease: &dyn AcmeLease) -> Result<(), AcmeStoreError> {
        self.answers.clear(lease).await
    }

    pub(crate) fn count(&self, is_issued: bool) {
        let counter = match is_issued {
            true => &self.issued,
            false => &self.failures,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl ResolvesServerCert for ServerCertificates {
    /// The certificate of the host that the client names. A client that names none, or another one,
    /// gets the first host's, so that its error names what it has reached.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let installed = self.installed.load();
        let named = hello
            .server_name()
            .and_then(|name| name.parse::<CertificateHost>().ok())
            .and_then(|host| installed.certificates.get(&host));
        let first = || installed.certificates.get(installed.hosts.first()?);
        Some(named.or_else(first)?.certified())
    }
}

impl fmt::Debug for ServerCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificates")
            .field("installed", &self.installed.load())
            .finish_non_exhaustive()
    }
}
