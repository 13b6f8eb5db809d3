//! A server with listeners for both challenges, and the ACME server that asks them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use acme::{
    AcmeSettings, AcmeStore, AttemptRecord, CacheDirectory, CertificateManager, ChallengeKind,
    RetryPauses, ServerCertificates,
};
use client_tls::ClientTls;
use common::{Clock, SystemClock};
use peers::{Pebble, PebbleConfig};
use rustls::ServerConfig;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// The host of most tests.
pub(crate) const HOST: &str = "registry.example.com";

/// The system's clock, shifted by so many seconds.
#[derive(Default)]
pub(crate) struct ShiftedClock(AtomicI64);

impl ShiftedClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> SystemTime {
        let shift = self.0.load(Ordering::Relaxed);
        let by = Duration::from_secs(shift.unsigned_abs());
        let now = SystemClock.now();
        if shift < 0 { now - by } else { now + by }
    }
}

/// Listeners that answer challenges with what `certificates` has.
pub(crate) struct Listeners {
    pub(crate) certificates: Arc<ServerCertificates>,
    pub(crate) http_port: u16,
    pub(crate) tls_port: u16,
}

impl Listeners {
    pub(crate) async fn start(clock: Arc<ShiftedClock>) -> Self {
        let certificates = Arc::new(ServerCertificates::new(clock));
        let (http, tls) = (listener().await, listener().await);
        let (http_port, tls_port) = (port(&http), port(&tls));
        tokio::spawn(serve_http(http, Arc::clone(&certificates)));
        tokio::spawn(serve_tls(tls, Arc::clone(&certificates)));
        Self {
            certificates,
            http_port,
            tls_port,
        }
    }

    /// The certificate that a client gets which trusts `root`; `None` if the handshake fails.
    pub(crate) async fn handshake(&self, root: &str, host: &str) -> Option<Vec<u8>> {
        let tls = ClientTls::default().trusting(root.as_bytes()).unwrap();
        let connector = TlsConnector::from(Arc::new(tls.config().unwrap()));
        let stream = TcpStream::connect(("127.0.0.1", self.tls_port))
            .await
            .unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let stream = connector.connect(name, stream).await.ok()?;
        let chain = stream.get_ref().1.peer_certificates()?;
        Some(chain.first()?.to_vec())
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).await.unwrap()
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

async fn serve_http(listener: TcpListener, certificates: Arc<ServerCertificates>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let certificates = Arc::clone(&certificates);
        tokio::spawn(async move {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let token = path.strip_prefix("/.well-known/acme-challenge/");
            let answer = certificates.http_answer(token.unwrap_or_default()).await;
            let response = match answer {
                Some(answer) => format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                    answer.len()
                ),
                None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    .to_owned(),
            };
            let _ = stream.write_all(response.as_bytes()).await;
        });
    }
}

async fn serve_tls(listener: TcpListener, certificates: Arc<ServerCertificates>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&certificates) as _);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    while let Ok((stream, _)) = listener.accept().await {
        let (config, certificates) = (Arc::clone(&config), Arc::clone(&certificates));
        tokio::spawn(async move {
            if let Ok(Some(mut stream)) = acme::accept(stream, config, &certificates).await {
                let mut end = [0; 1];
                let _ = stream.read(&mut end).await;
            }
        });
    }
}

/// A server with its store in a directory, and an ACME server.
pub(crate) struct Bench {
    pub(crate) clock: Arc<ShiftedClock>,
    pub(crate) listeners: Listeners,
    pub(crate) pebble: Pebble,
    pub(crate) store: Arc<dyn AcmeStore>,
    pub(crate) cache: PathBuf,
    _directory: TempDir,
}

impl Bench {
    pub(crate) async fn new(config: PebbleConfig) -> Self {
        let clock = Arc::new(ShiftedClock::default());
        let listeners = Listeners::start(Arc::clone(&clock)).await;
        let config = PebbleConfig {
            http_port: listeners.http_port,
            tls_port: listeners.tls_port,
            ..config
        };
        Self::with(clock, listeners, &config)
    }

    pub(crate) fn with(
        clock: Arc<ShiftedClock>,
        listeners: Listeners,
        config: &PebbleConfig,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("cache");
        Self {
            clock,
            listeners,
            pebble: Pebble::start(config),
            store: Arc::new(CacheDirectory::new(cache.clone())),
            cache,
            _directory: directory,
        }
    }

    pub(crate) fn settings(&self, challenge: ChallengeKind) -> AcmeSettings {
        let certificate = std::fs::read(self.pebble.certificate()).unwrap();
        AcmeSettings {
            directory: self.pebble.directory(),
            email: Some("webmaster@example.com".to_owned()),
            hosts: vec![HOST.parse().unwrap()],
            challenge,
            binding: None,
            tls: ClientTls::default().trusting(&certificate).unwrap(),
        }
    }

    pub(crate) fn manager(&self, settings: AcmeSettings) -> CertificateManager {
        self.manager_of(settings, &self.listeners.certificates)
    }

    pub(crate) fn manager_of(
        &self,
        settings: AcmeSettings,
        certificates: &Arc<ServerCertificates>,
    ) -> CertificateManager {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let manager = CertificateManager::new(settings, store, Arc::clone(certificates), clock);
        manager.unwrap()
    }

    /// The manager for `http-01`.
    pub(crate) fn usual(&self) -> CertificateManager {
        self.manager(self.settings(ChallengeKind::Http01))
    }

    pub(crate) fn not_after(&self) -> Option<SystemTime> {
        let statistics = self.listeners.certificates.statistics(self.clock.now());
        statistics.hosts[0].not_after
    }

    /// What is recorded of failed attempts.
    pub(crate) async fn attempts(&self, host: &str) -> Option<AttemptRecord> {
        let json = self.store.read(&format!("{host}+attempts")).await.unwrap();
        json.map(|json| serde_json::from_slice(&json).unwrap())
    }

    pub(crate) fn root(&self) -> String {
        self.pebble.root()
    }

    pub(crate) async fn certificate(&self) -> Option<Vec<u8>> {
        self.listeners.handshake(&self.root(), HOST).await
    }
}

/// Pauses that do not make a test wait.
pub(crate) const NO_PAUSES: RetryPauses = RetryPauses {
    first: Duration::ZERO,
    longest: Duration::ZERO,
};
