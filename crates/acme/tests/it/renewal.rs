//! Certificates are renewed, and those of other programs and directories taken over or replaced.

use std::process::Command;

use acme::{ChallengeKind, status};
use peers::{Pebble, PebbleConfig, program, run};

use crate::bench::{Bench, HOST};

/// An hour.
fn short() -> PebbleConfig {
    PebbleConfig {
        validity: 3600,
        ..PebbleConfig::default()
    }
}

#[tokio::test]
async fn it_is_renewed_after_two_thirds_of_its_life_and_the_old_one_serves_until_then() {
    let mut bench = Bench::new(short()).await;
    let manager = bench.usual();
    manager.step().await;
    let (root, first) = (bench.root(), bench.certificate().await.unwrap());
    let statistics = bench
        .listeners
        .certificates
        .statistics(common::Clock::now(&*bench.clock));
    let host = &statistics.hosts[0];
    let left = host
        .not_after
        .unwrap()
        .duration_since(host.renewal.unwrap())
        .unwrap();
    assert!((1100..=1201).contains(&left.as_secs()), "{left:?}");
    bench.clock.advance(2300);
    manager.step().await;
    assert_eq!(bench.pebble.orders(), 1, "too early");
    // It fails, and the old one is served.
    bench.pebble.stop();
    bench.clock.advance(200);
    manager.step().await;
    assert_eq!(bench.listeners.handshake(&root, HOST).await.unwrap(), first);
    assert_eq!(bench.attempts(HOST).await.unwrap().failures, 1);
    // The ACME server is back, and has forgotten the account.
    bench.pebble.start_again();
    manager.step().await;
    assert_eq!(bench.pebble.orders(), 1, "not before the pause is over");
    bench.clock.advance(61);
    manager.step().await;
    assert_eq!((bench.pebble.orders(), bench.pebble.accounts()), (2, 2));
    assert_ne!(bench.certificate().await.unwrap(), first);
    assert_eq!(bench.attempts(HOST).await, None);
}

#[tokio::test]
async fn a_clock_that_jumps_renews_it_at_once_or_later_but_never_twice() {
    let bench = Bench::new(short()).await;
    let manager = bench.usual();
    manager.step().await;
    // The clock was a year behind, and is set: the certificate is over.
    bench.clock.advance(365 * 86_400);
    assert!(manager.step().await.as_secs() <= 30, "it looks again soon");
    assert_eq!(bench.pebble.orders(), 2);
    // What the ACME server issued is over, too, by this clock: the pause of a failure is kept.
    let record = bench.attempts(HOST).await;
    manager.step().await;
    assert!(bench.pebble.orders() <= 3, "{record:?}");
    bench.clock.advance(-365 * 86_400);
    let orders = bench.pebble.orders();
    manager.step().await;
    assert_eq!(bench.pebble.orders(), orders);
    assert!(bench.certificate().await.is_some());
}

/// The directory of docker_auth or Distribution: a key in SEC 1, and a certificate of another program.
#[tokio::test]
async fn what_autocert_has_stored_is_taken_over() {
    let bench = Bench::new(PebbleConfig::default()).await;
    std::fs::create_dir(&bench.cache).unwrap();
    let account = bench.cache.join("acme_account+key");
    let key = run(Command::new(program("openssl")).args([
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
    ]));
    std::fs::write(&account, key.succeeded()).unwrap();
    let pair = run(Command::new(program("openssl"))
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args(["-keyout", "-", "-days", "90", "-subj", "/CN=x", "-addext"])
        .arg(format!("subjectAltName=DNS:{HOST}")));
    std::fs::write(bench.cache.join(HOST), pair.succeeded()).unwrap();
    let manager = bench.usual();
    manager.step().await;
    assert_eq!(bench.pebble.orders(), 0, "it is served as it is");
    assert!(bench.not_after().is_some());
    bench.clock.advance(61 * 86_400 + 43_200);
    manager.step().await;
    assert_eq!((bench.pebble.orders(), bench.pebble.accounts()), (1, 1));
    assert!(
        bench.certificate().await.is_some(),
        "{:?}",
        bench.attempts(HOST).await
    );
    let kept = std::fs::read_to_string(&account).unwrap();
    assert_eq!(kept, key.succeeded(), "the account's key is kept");
    let host = HOST.parse().unwrap();
    let all = status(bench.store.as_ref(), &[host]).await.unwrap();
    let certificate = all[0].certificate.as_ref().unwrap().as_ref().unwrap();
    assert!(certificate.issuer().contains("Pebble"), "{certificate:?}");
}

#[tokio::test]
async fn another_directory_issues_another_certificate() {
    let bench = Bench::new(PebbleConfig::default()).await;
    bench.usual().step().await;
    let first = bench.certificate().await.unwrap();
    let config = PebbleConfig {
        http_port: bench.listeners.http_port,
        ..PebbleConfig::default()
    };
    let other = Pebble::start(&config);
    let mut settings = bench.settings(ChallengeKind::Http01);
    settings.directory = other.directory();
    let certificate = std::fs::read(other.certificate()).unwrap();
    settings.tls = client_tls::ClientTls::default()
        .trusting(&certificate)
        .unwrap();
    bench.manager(settings).step().await;
    let served = bench.listeners.handshake(&other.root(), HOST).await;
    assert_ne!(served.unwrap(), first);
}
