//! Several servers share a store: one orders, all answer, all serve.

use std::sync::Arc;

use acme::{AcmeStore, ChallengeKind, ServerCertificates};
use peers::PebbleConfig;

use crate::bench::{Bench, HOST, Listeners};
use crate::stores::postgres;

/// Three servers begin at once. The challenges reach one of them, which need not be the one that
/// ordered.
async fn one_orders(challenge: ChallengeKind, store: Option<Arc<dyn AcmeStore>>) {
    let mut bench = Bench::new(PebbleConfig::default()).await;
    if let Some(store) = store {
        bench.store = store;
    }
    let mut others = Vec::new();
    for _ in 0..2 {
        let certificates = Arc::new(ServerCertificates::new(bench.clock.clone()));
        others.push(certificates);
    }
    // The last one has the listeners.
    let second = bench.manager_of(bench.settings(challenge), &others[0]);
    let third = bench.manager_of(bench.settings(challenge), &others[1]);
    let first = bench.manager(bench.settings(challenge));
    tokio::join!(second.step(), third.step(), first.step());
    for manager in [&first, &second, &third] {
        manager.step().await;
    }
    assert_eq!(bench.pebble.orders(), 1, "{}", bench.pebble.log());
    let not_after = bench.not_after();
    assert!(not_after.is_some());
    for certificates in &others {
        let statistics = certificates.statistics(common::Clock::now(&*bench.clock));
        assert_eq!(statistics.hosts[0].not_after, not_after);
    }
    let root = bench.root();
    assert!(bench.listeners.handshake(&root, HOST).await.is_some());
}

#[tokio::test]
async fn servers_of_a_directory_order_once() {
    one_orders(ChallengeKind::Http01, None).await;
    one_orders(ChallengeKind::TlsAlpn01, None).await;
}

#[tokio::test]
async fn servers_of_a_database_order_once() {
    for challenge in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01] {
        let bench = postgres();
        one_orders(challenge, Some(Arc::clone(&bench.store))).await;
    }
}

/// What strangers ask costs four reads of the store a second at most, and answers nothing without an
/// open order.
#[tokio::test]
async fn strangers_get_no_answer_and_no_work() {
    let bench = Bench::new(PebbleConfig::default()).await;
    bench.usual().step().await;
    let certificates = &bench.listeners.certificates;
    for token in [
        "",
        ".",
        "..",
        "a/b",
        "acme_account+key",
        HOST,
        &"a".repeat(257),
        "unknown",
    ] {
        assert_eq!(certificates.http_answer(token).await, None, "{token}");
    }
    // The store is gone, and nothing notices: what was read a moment ago counts.
    std::fs::remove_dir_all(&bench.cache).unwrap();
    for _ in 0..1000 {
        assert_eq!(certificates.http_answer("unknown").await, None);
    }
    let listeners = Listeners::start(bench.clock.clone()).await;
    assert_eq!(listeners.certificates.http_answer("unknown").await, None);
}
