//! Certificates are obtained.

use std::os::unix::fs::PermissionsExt;

use acme::{ChallengeKind, ExternalAccountBinding};
use peers::PebbleConfig;

use crate::bench::{Bench, HOST, NO_PAUSES};

/// A key in base64url, and its bytes.
const MAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

async fn is_obtained_by(challenge: ChallengeKind) {
    let bench = Bench::new(PebbleConfig::default()).await;
    let manager = bench.manager(bench.settings(challenge));
    assert_eq!(
        bench.certificate().await,
        None,
        "an alert until there is one"
    );
    manager.step().await;
    let served = bench.certificate().await;
    assert!(served.is_some(), "{}", bench.pebble.log());
    // Nothing more is asked while it is new.
    manager.step().await;
    assert_eq!((bench.pebble.orders(), bench.pebble.accounts()), (1, 1));
    assert_eq!(bench.attempts(HOST).await, None);
    let mut names: Vec<_> = bench.cache.read_dir().unwrap().flatten().collect();
    names.sort_by_key(std::fs::DirEntry::file_name);
    for entry in &names {
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let names: Vec<_> = names.iter().map(std::fs::DirEntry::file_name).collect();
    assert_eq!(names, [".lock", "acme_account+key", HOST]);
    // Another process serves it at once, and asks for nothing.
    let certificates = &bench.listeners.certificates;
    let again = bench.manager_of(bench.settings(challenge), certificates);
    again.step().await;
    assert_eq!(
        (bench.certificate().await, bench.pebble.orders()),
        (served, 1)
    );
}

#[tokio::test]
async fn a_certificate_is_obtained_by_http_01() {
    is_obtained_by(ChallengeKind::Http01).await;
}

#[tokio::test]
async fn a_certificate_is_obtained_by_tls_alpn_01() {
    is_obtained_by(ChallengeKind::TlsAlpn01).await;
}

#[tokio::test]
async fn each_host_has_its_own_certificate_and_the_first_is_for_clients_that_name_none() {
    let bench = Bench::new(PebbleConfig::default()).await;
    let mut settings = bench.settings(ChallengeKind::TlsAlpn01);
    settings.hosts.push("auth.example.com".parse().unwrap());
    bench.manager(settings).step().await;
    let root = bench.root();
    let first = bench.listeners.handshake(&root, HOST).await.unwrap();
    let second = bench.listeners.handshake(&root, "auth.example.com").await;
    assert_ne!(second.unwrap(), first);
    assert_eq!(
        bench.listeners.handshake(&root, "other.example").await,
        None
    );
    assert_eq!((bench.pebble.orders(), bench.pebble.accounts()), (2, 1));
}

/// RFC 8555 §6.5: a rejected nonce is no failure. Here a third of them is rejected, so three in a
/// row happen, too; then the next attempt follows.
#[tokio::test]
async fn rejected_nonces_are_repeated() {
    let config = PebbleConfig {
        environment: vec![("PEBBLE_WFE_NONCEREJECT", "33")],
        ..PebbleConfig::default()
    };
    let bench = Bench::new(config).await;
    let manager = bench.usual().with_pauses(NO_PAUSES);
    for _ in 0..20 {
        manager.step().await;
        if bench.not_after().is_some() {
            break;
        }
    }
    assert!(
        bench.certificate().await.is_some(),
        "{}",
        bench.pebble.log()
    );
}

/// RFC 8555 §7.1.3: an order may be ready at once.
#[tokio::test]
async fn an_authorization_of_an_earlier_order_counts() {
    let config = PebbleConfig {
        environment: vec![("PEBBLE_AUTHZREUSE", "100")],
        validity: 3600,
        ..PebbleConfig::default()
    };
    let bench = Bench::new(config).await;
    let manager = bench.usual();
    manager.step().await;
    let first = bench.certificate().await.unwrap();
    let asked = bench.pebble.log().matches("http-01").count();
    bench.clock.advance(3000);
    manager.step().await;
    assert_eq!(bench.pebble.orders(), 2);
    assert_ne!(bench.certificate().await.unwrap(), first);
    let again = bench.pebble.log().matches("http-01").count();
    assert_eq!(
        again,
        asked,
        "it was not asked again: {}",
        bench.pebble.log()
    );
}

#[tokio::test]
async fn an_external_account_is_bound() {
    let config = PebbleConfig {
        external_account: Some(("kid-1", MAC_KEY)),
        ..PebbleConfig::default()
    };
    let bench = Bench::new(config).await;
    bench.usual().step().await;
    let failed = bench.attempts(HOST).await.unwrap();
    assert!(
        failed.error.contains("externalAccountRequired"),
        "{failed:?}"
    );
    let mut settings = bench.settings(ChallengeKind::Http01);
    settings.binding = Some(ExternalAccountBinding::new("kid-1".to_owned(), vec![7; 32]));
    // Other settings are tried at once.
    bench.manager(settings.clone()).step().await;
    let failed = bench.attempts(HOST).await.unwrap();
    assert!(
        failed.error.starts_with("cannot register an account"),
        "{failed:?}"
    );
    let key = data_encoding::BASE64URL_NOPAD
        .decode(MAC_KEY.as_bytes())
        .unwrap();
    settings.binding = Some(ExternalAccountBinding::new("kid-1".to_owned(), key));
    let manager = bench.manager(settings).with_pauses(NO_PAUSES);
    manager.step().await;
    assert!(
        bench.certificate().await.is_some(),
        "{:?}",
        bench.attempts(HOST).await
    );
    // The account is found again without the binding.
    bench.clock.advance(80 * 86_400);
    bench.usual().step().await;
    assert_eq!((bench.pebble.orders(), bench.pebble.accounts()), (2, 1));
}
