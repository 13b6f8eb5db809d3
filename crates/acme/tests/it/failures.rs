//! What fails is recorded, logged with what to do, and tried again later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use acme::{
    AcmeLease, AcmeStore, AcmeStoreError, CertificateManager, ChallengeKind, MemoryAcmeStore,
};
use client_tls::ClientTls;
use common::BoxFuture;
use peers::{PebbleConfig, TestCertificate, TestKeyKind};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::bench::{Bench, HOST, Listeners, ShiftedClock};

#[tokio::test]
async fn a_host_that_cannot_be_reached_fails_with_the_reason() {
    let clock = Arc::new(ShiftedClock::default());
    let listeners = Listeners::start(Arc::clone(&clock)).await;
    // Nothing listens at the ports of the challenges.
    let bench = Bench::with(clock, listeners, &PebbleConfig::default());
    let manager = bench.usual();
    let mut pauses = Vec::new();
    for _ in 0..3 {
        manager.step().await;
        let record = bench.attempts(HOST).await.unwrap();
        assert!(
            record.error.contains(HOST) && record.error.contains("connection refused"),
            "{record:?}"
        );
        pauses.push(record.not_before - record.began);
        manager.step().await;
        assert_eq!(
            bench.attempts(HOST).await.unwrap(),
            record,
            "not before the pause is over"
        );
        bench.clock.advance(60 << record.failures);
    }
    // The attempts took some seconds themselves.
    let close = pauses.iter().zip([60, 120, 240]);
    assert!(
        close
            .clone()
            .all(|(found, about)| (about..about + 30).contains(found)),
        "{pauses:?}"
    );
    let statistics = bench
        .listeners
        .certificates
        .statistics(common::Clock::now(&*bench.clock));
    assert_eq!((statistics.failures, statistics.issued), (3, 0));
    assert_eq!(statistics.hosts[0].not_after, None);
}

#[tokio::test]
async fn a_refused_host_does_not_keep_others_from_theirs() {
    let config = PebbleConfig {
        refused_hosts: vec!["refused.example"],
        ..PebbleConfig::default()
    };
    let bench = Bench::new(config).await;
    let mut settings = bench.settings(ChallengeKind::TlsAlpn01);
    settings.hosts.insert(0, "refused.example".parse().unwrap());
    bench.manager(settings).step().await;
    let record = bench.attempts("refused.example").await.unwrap();
    assert!(record.error.contains("rejectedIdentifier"), "{record:?}");
    assert!(bench.certificate().await.is_some());
}

/// The ACME server waits before it asks for the challenge, and is gone by then.
#[tokio::test]
async fn an_acme_server_that_dies_in_the_middle_of_an_order_is_asked_again() {
    let config = PebbleConfig {
        environment: vec![("PEBBLE_VA_NOSLEEP", "0"), ("PEBBLE_VA_SLEEPTIME", "15")],
        ..PebbleConfig::default()
    };
    let mut bench = Bench::new(config).await;
    let manager = Arc::new(bench.usual());
    let step = {
        let manager = Arc::clone(&manager);
        tokio::spawn(async move { manager.step().await })
    };
    while bench
        .store
        .read("acme_challenges+json")
        .await
        .unwrap()
        .is_none()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.pebble.stop();
    step.await.unwrap();
    if let Some(record) = bench.attempts(HOST).await {
        assert_eq!(record.failures, 1, "{record:?}");
        assert!(record.error.starts_with("cannot "), "{record:?}");
    }
    let left = bench.store.read("acme_challenges+json").await.unwrap();
    assert_eq!(left, None, "no answer stays when the order is over");
    bench.pebble.start_again();
    bench.clock.advance(120);
    manager.step().await;
    assert!(
        bench.not_after().is_some(),
        "{:?}",
        bench.attempts(HOST).await
    );
}

/// A server that is killed in an order leaves its record: the next start waits, as after a failure.
#[tokio::test]
async fn an_interrupted_attempt_counts() {
    let config = PebbleConfig {
        environment: vec![("PEBBLE_VA_NOSLEEP", "0"), ("PEBBLE_VA_SLEEPTIME", "15")],
        ..PebbleConfig::default()
    };
    let bench = Bench::new(config).await;
    let manager = bench.usual();
    let step = tokio::spawn(async move { manager.step().await });
    while bench
        .store
        .read("acme_challenges+json")
        .await
        .unwrap()
        .is_none()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    step.abort();
    let _ = step.await;
    let record = bench.attempts(HOST).await.unwrap();
    assert_eq!(
        (record.failures, record.error.as_str()),
        (1, "the attempt was interrupted")
    );
    let next = bench.usual();
    next.step().await;
    assert_eq!(bench.pebble.orders(), 1);
    bench.clock.advance(61);
    next.step().await;
    assert_eq!((bench.pebble.orders(), bench.pebble.accounts()), (2, 1));
    assert!(
        bench.certificate().await.is_some(),
        "{:?}",
        bench.attempts(HOST).await
    );
}

#[tokio::test]
async fn nothing_is_ordered_that_could_not_be_stored() {
    let bench = Bench::new(PebbleConfig::default()).await;
    std::fs::write(&bench.cache, "a file").unwrap();
    bench.usual().step().await;
    assert_eq!((bench.pebble.orders(), bench.pebble.accounts()), (0, 0));
    std::fs::remove_file(&bench.cache).unwrap();
    bench.usual().step().await;
    assert!(bench.certificate().await.is_some());
}

/// Refuses to store a certificate while `is_full`.
#[derive(Clone, Default)]
struct FullDisk {
    store: MemoryAcmeStore,
    is_full: Arc<AtomicBool>,
}

struct FullDiskLease(Box<dyn AcmeLease>, Arc<AtomicBool>);

impl AcmeStore for FullDisk {
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, AcmeStoreError>> {
        self.store.read(name)
    }

    fn lease(&self) -> BoxFuture<'_, Result<Option<Box<dyn AcmeLease>>, AcmeStoreError>> {
        Box::pin(async {
            let lease = self.store.lease().await?;
            let is_full = Arc::clone(&self.is_full);
            Ok(lease.map(|lease| Box::new(FullDiskLease(lease, is_full)) as Box<dyn AcmeLease>))
        })
    }
}

impl AcmeLease for FullDiskLease {
    fn write<'a>(
        &'a self,
        name: &'a str,
        content: Option<&'a [u8]>,
    ) -> BoxFuture<'a, Result<(), AcmeStoreError>> {
        if name == HOST && self.1.load(Ordering::Relaxed) {
            return Box::pin(async {
                Err(AcmeStoreError::Failed {
                    what: format!("cannot write {HOST}"),
                    source: "No space left on device".into(),
                })
            });
        }
        self.0.write(name, content)
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), AcmeStoreError>> {
        self.0.renew()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.0.release()
    }
}

/// A disk that became full meanwhile: what was issued is served, stored later, and not ordered again.
#[tokio::test]
async fn a_certificate_that_cannot_be_stored_is_served_and_stored_later() {
    let bench = Bench::new(PebbleConfig::default()).await;
    let store = FullDisk::default();
    store.is_full.store(true, Ordering::Relaxed);
    let (settings, certificates) = (
        bench.settings(ChallengeKind::Http01),
        Arc::clone(&bench.listeners.certificates),
    );
    let clock = Arc::clone(&bench.clock);
    let manager = CertificateManager::new(settings, Arc::new(store.clone()), certificates, clock);
    let manager = manager.unwrap();
    for _ in 0..3 {
        manager.step().await;
        assert!(bench.certificate().await.is_some());
        assert_eq!(store.read(HOST).await.unwrap(), None);
    }
    store.is_full.store(false, Ordering::Relaxed);
    manager.step().await;
    assert!(store.read(HOST).await.unwrap().is_some());
    assert_eq!(store.read(&format!("{HOST}+attempts")).await.unwrap(), None);
    assert_eq!(bench.pebble.orders(), 1);
}

/// Serves the same bytes for each request over TLS, without an end if `is_endless`.
async fn directory_that_answers(response: &'static [u8], is_endless: bool) -> (String, ClientTls) {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "other");
    let chain = CertificateDer::pem_file_iter(&pair.certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            chain.map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_file(&pair.key).unwrap(),
        );
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://{}/dir", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(response).await;
                while is_endless && stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            });
        }
    });
    let certificate = std::fs::read(&pair.certificate).unwrap();
    (url, ClientTls::default().trusting(&certificate).unwrap())
}

#[tokio::test]
async fn an_acme_server_that_sends_too_much_is_given_up() {
    let bench = Bench::new(PebbleConfig::default()).await;
    for (response, is_endless, why) in [
        (
            &b"HTTP/1.1 200 OK\r\n\r\n{"[..],
            true,
            "longer than 262144 bytes",
        ),
        (
            b"HTTP/1.1 502 Bad Gateway\r\nRetry-After: 7200\r\nContent-Length: 6\r\n\r\n<html>",
            false,
            "answered 502 Bad Gateway, which is not an answer of an ACME server",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            false,
            "missing field",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://a.example/\r\nContent-Length: 0\r\n\r\n",
            false,
            "answered 302 Found, which is not an answer of an ACME server",
        ),
    ] {
        let mut settings = bench.settings(ChallengeKind::Http01);
        (settings.directory, settings.tls) = directory_that_answers(response, is_endless).await;
        bench.manager(settings).step().await;
        let record = bench.attempts(HOST).await.unwrap();
        assert!(record.error.contains(why), "{record:?}");
        let pause = record.not_before - record.began;
        // What the proxy asked for counts.
        let least = if why.contains("502") { 7200 } else { 60 };
        assert!((least..least + 60).contains(&pause), "{record:?}");
    }
}
