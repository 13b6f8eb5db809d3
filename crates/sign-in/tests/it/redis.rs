//! Sign-ins in Redis and in a Redis Cluster, beside `docker_auth`'s.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use identity::AuthenticationOutcome;
use peers::{Redis, RedisCluster, RedisConfig, ReservedAddress, TestCertificate};
use sign_in::{
    DocumentKind, HostPort, ProviderUser, RedisAddress, RedisServers, RedisSettings, RedisTls,
    RedisTokenStore, TokenStore, TokenStoreError,
};

use DocumentKind::{Passwords, Record};

use crate::oidc_stub::OidcStub;
use crate::support::{Bench, START, hourly_policy, label, tokens};

const SECTION: &str = "github_auth";

/// One server for all tests that leave it running. Each takes a database of its own.
static SHARED: LazyLock<Redis> = LazyLock::new(|| Redis::start(&RedisConfig::default()));
static NEXT_DATABASE: AtomicU16 = AtomicU16::new(1);

/// One cluster, which has no databases: a test has it for itself.
static CLUSTER: LazyLock<Mutex<RedisCluster>> = LazyLock::new(|| Mutex::new(RedisCluster::start()));

pub(crate) fn empty_store() -> RedisTokenStore {
    let database = NEXT_DATABASE.fetch_add(1, Ordering::Relaxed);
    store(settings(RedisServers::Single {
        address: tcp(SHARED.port()),
        database,
    }))
}

pub(crate) fn empty_cluster_store() -> (RedisTokenStore, MutexGuard<'static, RedisCluster>) {
    // A test that failed leaves a cluster that works.
    let cluster = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    cluster.clear();
    (store(settings(cluster_servers(&cluster))), cluster)
}

fn store(settings: RedisSettings) -> RedisTokenStore {
    RedisTokenStore::new(settings, SECTION).unwrap()
}

fn tcp(port: u16) -> RedisAddress {
    RedisAddress::Tcp(HostPort {
        host: "127.0.0.1".to_owned(),
        port,
    })
}

fn cluster_servers(cluster: &RedisCluster) -> RedisServers {
    let nodes = cluster.ports().into_iter().map(|port| HostPort {
        host: "127.0.0.1".to_owned(),
        port,
    });
    RedisServers::Cluster {
        nodes: nodes.collect(),
        max_redirects: 8,
    }
}

/// As the configuration has them by default.
fn settings(servers: RedisServers) -> RedisSettings {
    RedisSettings {
        servers,
        username: None,
        password: None,
        tls: None,
        dial_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(3),
        retries: 1,
        min_backoff: Duration::from_millis(8),
        max_backoff: Duration::from_millis(512),
    }
}

fn single(redis: &Redis) -> RedisSettings {
    settings(RedisServers::Single {
        address: tcp(redis.port()),
        database: 0,
    })
}

fn user(name: &str) -> ProviderUser {
    ProviderUser {
        name: name.to_owned(),
        issuer: "https://github.com".to_owned(),
        subject: "7".to_owned(),
        labels: Some(label("teams", &["red"])),
    }
}

/// Whether a read and a change say that Redis is away.
async fn is_away(store: &RedisTokenStore) -> bool {
    let read = store.read(Record, "ann").await;
    let write = store.write(Passwords, "ann", None, Some(b"x")).await;
    matches!(read, Err(TokenStoreError::Unavailable(_)))
        && matches!(write, Err(TokenStoreError::Unavailable(_)))
}

#[tokio::test]
async fn both_servers_share_a_redis() {
    let redis = Redis::start(&RedisConfig::default());
    // The password is `sesame`, as docker_auth stores it.
    let theirs = r#"{"token_type":"bearer","access_token":"a","valid_until":"2030-01-01T00:00:00.5+02:00","docker_password":"$2a$10$wm.q8C3wnTJHn6oIb1rkru3fyQTSNoUwBObrXyfF0WXQdfv2D5MYi","labels":{"teams":["red"]}}"#;
    redis.command(&["SET", "t:ann", theirs]);
    let stub = OidcStub::start(START);
    let bench = Bench::with_store(
        Arc::new(store(single(&redis))),
        SECTION,
        hourly_policy(),
        |_, _| Bench::oidc(&stub).provider,
    );
    let labels = Bench::labels(bench.log_in("ann", &"sesame".into()).await);
    assert_eq!(labels, label("teams", &["red"]));
    assert_eq!(
        redis.command(&["GET", "t:ann"]),
        theirs,
        "a login changes nothing"
    );

    let ours = bench.store_user(&tokens("b", ""), &user("ann")).await;
    let written = redis.command(&["GET", "t:ann"]);
    let start = r#"{"token_type":"bearer","access_token":"b","valid_until":"2026-11-01T01:00:00Z","docker_password":"$2a$10$"#;
    assert!(written.starts_with(start), "{written}");
    assert!(
        written.ends_with(r#"","labels":{"teams":["red"]}}"#),
        "{written}"
    );
    assert_eq!(redis.command(&["TTL", "t:ann"]), "-1");

    // docker_auth writes its record whenever it asks the provider, and knows no other key.
    redis.command(&["SET", "t:ann", theirs]);
    for password in [ours, "sesame".into()] {
        Bench::labels(bench.log_in("ann", &password).await);
    }
    let mut keys: Vec<_> = redis
        .command(&["KEYS", "*"])
        .lines()
        .map(str::to_owned)
        .collect();
    keys.sort();
    assert_eq!(keys, ["t:ann", "wharfinger:github_auth:passwords:ann"]);
    assert_eq!(bench.store.users().await.unwrap(), ["ann"]);
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again() {
    let mut redis = Redis::start(&RedisConfig::default());
    let store = store(single(&redis));
    assert!(store.write(Record, "ann", None, Some(b"1")).await.unwrap());
    redis.kill();
    assert!(is_away(&store).await);
    assert!(is_away(&store).await);
    redis.start_again();
    // The first read finds the broken connection or none, and makes a new one.
    let read = store.read(Record, "ann").await.unwrap();
    assert_eq!(read.as_deref(), Some(&b"1"[..]));
    let changed = store.write(Record, "ann", Some(b"1"), Some(b"2")).await;
    assert!(changed.unwrap());
}

#[tokio::test]
async fn a_server_that_broke_the_connection_is_read_at_once() {
    let mut redis = Redis::start(&RedisConfig::default());
    let store = store(single(&redis));
    assert!(store.write(Record, "ann", None, Some(b"1")).await.unwrap());
    redis.kill();
    redis.start_again();
    let read = store.read(Record, "ann").await.unwrap();
    assert_eq!(read.as_deref(), Some(&b"1"[..]));
}

#[tokio::test]
async fn many_users_are_scanned_in_steps() {
    let redis = Redis::start(&RedisConfig::default());
    let script = "for i = 1, 5000 do redis.call('SET', 't:u' .. i, 'x') end";
    redis.command(&["EVAL", script, "0"]);
    let users = store(single(&redis)).users().await.unwrap();
    assert_eq!(users.len(), 5000);
    assert!(users.is_sorted());
}

/// Answers each `SCAN` with the same key and a cursor that says that there are more.
fn endless_scan(listener: &TcpListener) {
    for mut stream in listener.incoming().flatten() {
        let mut command = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut command) {
            let is_scan = command[..length].windows(4).any(|word| word == b"SCAN");
            let answer: &[u8] = match is_scan {
                true => b"*2\r\n$1\r\n7\r\n*1\r\n$5\r\nt:ann\r\n",
                false => b"+OK\r\n",
            };
            stream.write_all(answer).unwrap();
        }
    }
}

#[tokio::test]
async fn a_scan_without_an_end_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || endless_scan(&listener));
    let address = tcp(port);
    let store = store(settings(RedisServers::Single {
        address,
        database: 0,
    }));
    let Err(TokenStoreError::Broken(error)) = store.users().await else {
        panic!("the list must end in an error");
    };
    assert!(
        error.to_string().contains("more than 10000 parts"),
        "{error}"
    );
}

#[tokio::test]
async fn sixty_four_logins_share_a_connection() {
    let redis = Redis::start(&RedisConfig::default());
    let store = Arc::new(store(single(&redis)));
    assert!(store.write(Record, "ann", None, Some(b"1")).await.unwrap());
    let reads: Vec<_> = (0..64)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.read(Record, "ann").await.unwrap() })
        })
        .collect();
    for read in reads {
        assert_eq!(read.await.unwrap().as_deref(), Some(&b"1"[..]));
    }
    let clients = redis.command(&["CLIENT", "LIST", "TYPE", "normal"]);
    // One more is the client that asks for the list.
    assert_eq!(clients.lines().count(), 2, "{clients}");
}

#[tokio::test]
async fn a_server_that_is_silent_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let servers = RedisServers::Single {
        address: tcp(listener.local_addr().unwrap().port()),
        database: 0,
    };
    let store = Arc::new(store(RedisSettings {
        dial_timeout: Duration::from_millis(200),
        response_timeout: Duration::from_millis(200),
        ..settings(servers)
    }));
    let logins: Vec<_> = (0..64)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { is_away(&store).await })
        })
        .collect();
    for login in logins {
        assert!(login.await.unwrap());
    }
}

#[tokio::test]
async fn the_password_must_be_right() {
    let redis = Redis::start(&RedisConfig {
        password: Some("open-5e5a".to_owned()),
        ..RedisConfig::default()
    });
    for (username, password, is_good) in [
        (None, Some("open-5e5a"), true),
        (Some("default"), Some("open-5e5a"), true),
        (None, Some("wrong-11d2"), false),
        (Some("eve"), Some("open-5e5a"), false),
        (None, None, false),
    ] {
        let store = store(RedisSettings {
            username: username.map(str::to_owned),
            password: password.map(Into::into),
            ..single(&redis)
        });
        let read = store.read(Record, "ann").await;
        match read {
            Ok(None) => assert!(is_good, "{username:?} {password:?}"),
            Err(TokenStoreError::Broken(error)) => {
                assert!(!is_good, "{username:?} {password:?}: {error}");
                assert!(!format!("{error:?} {error}").contains("open-5e5a"));
            }
            other => panic!("{username:?} {password:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_user_of_redis_without_the_right_is_an_error() {
    let redis = Redis::start(&RedisConfig::default());
    redis.command(&[
        "ACL",
        "SETUSER",
        "wharf",
        "on",
        ">pw-41aa",
        "~t:*",
        "~wharfinger:*",
        "+get",
        "+scan",
    ]);
    let store = store(RedisSettings {
        username: Some("wharf".to_owned()),
        password: Some("pw-41aa".into()),
        ..single(&redis)
    });
    assert_eq!(store.read(Record, "ann").await.unwrap(), None);
    let write = store.write(Record, "ann", None, Some(b"1")).await;
    assert!(
        matches!(write, Err(TokenStoreError::Broken(_))),
        "{write:?}"
    );
    // These are the rights that the manual names.
    redis.command(&["ACL", "SETUSER", "wharf", "+set", "+del", "+eval"]);
    assert!(store.write(Record, "ann", None, Some(b"1")).await.unwrap());
    assert!(store.write(Record, "ann", Some(b"1"), None).await.unwrap());
    assert!(store.users().await.unwrap().is_empty());
}

#[tokio::test]
async fn tls_verifies_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let names = "DNS:redis.example.com";
    let pair = TestCertificate::of_no_authority(directory.path(), "redis", names);
    let other = TestCertificate::of_no_authority(directory.path(), "other", names);
    let redis = Redis::start(&RedisConfig {
        tls: Some((pair.certificate.clone(), pair.key)),
        ..RedisConfig::default()
    });
    let verified = |authorities: Option<&Path>, name: Option<&str>| RedisTls::Verified {
        authorities: authorities.map(|file| std::fs::read(file).unwrap()),
        server_name: name.map(str::to_owned),
    };
    let (right, name) = (Some(pair.certificate.as_path()), Some("redis.example.com"));
    for (tls, is_good) in [
        (Some(verified(right, name)), true),
        (Some(RedisTls::Unverified), true),
        (Some(verified(right, None)), false),
        (Some(verified(right, Some("other.example.com"))), false),
        (Some(verified(Some(&other.certificate), name)), false),
        (Some(verified(None, name)), false),
        (None, false),
    ] {
        let shown = format!("{tls:?}");
        let store = store(RedisSettings {
            tls,
            ..single(&redis)
        });
        match store.read(Record, "ann").await {
            Ok(None) => assert!(is_good, "{shown}"),
            Err(TokenStoreError::Unavailable(_)) => assert!(!is_good, "{shown}"),
            other => panic!("{shown}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn it_is_reached_by_its_socket() {
    let redis = Redis::start(&RedisConfig {
        has_socket: true,
        ..RedisConfig::default()
    });
    let by_socket = |path: PathBuf| {
        store(settings(RedisServers::Single {
            address: RedisAddress::Unix(path),
            database: 3,
        }))
    };
    let written = by_socket(redis.socket())
        .write(Record, "ann", None, Some(b"1"))
        .await;
    assert!(written.unwrap());
    assert_eq!(redis.command(&["-n", "3", "GET", "t:ann"]), "1");
    let missing = by_socket(redis.socket().with_extension("gone"));
    assert!(is_away(&missing).await);
}

/// Nothing of the kind is a sign-in, and an operator must look at it.
#[tokio::test]
async fn a_key_of_another_type_is_an_error() {
    let redis = Redis::start(&RedisConfig::default());
    redis.command(&["LPUSH", "t:ann", "1"]);
    let store = store(single(&redis));
    let read = store.read(Record, "ann").await;
    assert!(matches!(read, Err(TokenStoreError::Broken(_))), "{read:?}");
    let write = store.write(Record, "ann", None, Some(b"x")).await;
    assert!(
        matches!(write, Err(TokenStoreError::Broken(_))),
        "{write:?}"
    );
}

#[tokio::test]
#[expect(
    clippy::await_holding_lock,
    reason = "each test has a runtime of its own: no task of this one waits for the cluster"
)]
async fn a_slot_that_moved_is_followed() {
    let (store, cluster) = empty_cluster_store();
    // A key in a slot of the first master.
    let first = (0..).map(|n| format!("u{n}")).find(|name| {
        let slot = cluster
            .node(0)
            .command(&["CLUSTER", "KEYSLOT", &format!("t:{name}")]);
        slot.parse::<u16>().unwrap() <= 5460
    });
    let name = first.unwrap();
    assert!(store.write(Record, &name, None, Some(b"1")).await.unwrap());
    cluster.move_slot(&format!("t:{name}"));
    let read = store.read(Record, &name).await.unwrap();
    assert_eq!(read.as_deref(), Some(&b"1"[..]));
    let changed = store.write(Record, &name, Some(b"1"), Some(b"2")).await;
    assert!(changed.unwrap());
    assert_eq!(store.users().await.unwrap(), [name]);
}

#[tokio::test]
async fn a_replica_takes_the_place_of_a_killed_master() {
    let mut cluster = RedisCluster::start();
    let stub = OidcStub::start(START);
    let bench = Bench::with_store(
        Arc::new(store(settings(cluster_servers(&cluster)))),
        SECTION,
        hourly_policy(),
        |_, _| Bench::oidc(&stub).provider,
    );
    let names: Vec<_> = (0..12).map(|n| format!("u{n}")).collect();
    let mut passwords = Vec::new();
    for name in &names {
        passwords.push(bench.store_user(&tokens("a", ""), &user(name)).await);
    }
    cluster.kill_first_master();
    for (name, password) in names.iter().zip(&passwords) {
        // Nodes tell each other of the new master; until then one may send a client to the old one.
        let mut outcome = bench.log_in(name, password).await;
        while outcome.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            outcome = bench.log_in(name, password).await;
        }
        assert!(
            matches!(outcome, Ok(AuthenticationOutcome::Accepted(_))),
            "{name}"
        );
    }
    // The same counts for the list.
    for attempt in 0.. {
        let mut users = bench.store.users().await.unwrap_or_default();
        users.sort_by_key(|name| name[1..].parse::<u32>().unwrap());
        if users == names {
            break;
        }
        assert!(attempt < 200, "{users:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_cluster_that_is_away_is_unavailable() {
    let unused = ReservedAddress::new();
    let store = store(settings(RedisServers::Cluster {
        nodes: vec![HostPort {
            host: "127.0.0.1".to_owned(),
            port: unused.port(),
        }],
        max_redirects: 8,
    }));
    assert!(is_away(&store).await);
    let users = store.users().await;
    assert!(
        matches!(users, Err(TokenStoreError::Unavailable(_))),
        "{users:?}"
    );
}
