//! One suite that every store of sign-ins passes.

use std::any::Any;
use std::sync::Arc;

use database::{Database, DatabaseLocation};
use sign_in::{DatabaseTokenStore, DocumentKind, MemoryTokenStore, TokenStore};

use DocumentKind::{Passwords, Record, Spelling};

use crate::test_database::{DatabaseKind, TestDatabase};
use crate::{gcs, redis};

/// A store under test, and what it needs to live.
struct Bench {
    store: Arc<dyn TokenStore>,
    _keeps: Option<Box<dyn Any>>,
}

type MakeBench = fn() -> Bench;

fn memory() -> Bench {
    Bench {
        store: Arc::new(MemoryTokenStore::default()),
        _keeps: None,
    }
}

fn own_database() -> Bench {
    in_database(DatabaseKind::Sqlite)
}

fn postgres() -> Bench {
    in_database(DatabaseKind::Postgres)
}

fn in_database(kind: DatabaseKind) -> Bench {
    let place = TestDatabase::new(kind);
    let store = DatabaseTokenStore::new(place.database.clone(), "github_auth");
    Bench {
        store: Arc::new(store),
        _keeps: Some(Box::new(place)),
    }
}

fn one_redis() -> Bench {
    Bench {
        store: Arc::new(redis::empty_store()),
        _keeps: None,
    }
}

fn redis_cluster() -> Bench {
    let (store, turn) = redis::empty_cluster_store();
    Bench {
        store: Arc::new(store),
        _keeps: Some(Box::new(turn)),
    }
}

fn gcs_bucket() -> Bench {
    Bench {
        store: Arc::new(gcs::empty_store()),
        _keeps: None,
    }
}

/// Makes a test of each function of the suite for each store.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod in_memory {
            $(
                #[tokio::test]
                async fn $name() {
                    super::suite::$name(super::memory).await;
                }
            )*
        }
        mod in_our_database {
            $(
                #[tokio::test]
                async fn $name() {
                    super::suite::$name(super::own_database).await;
                }
            )*
        }
        mod in_postgres {
            $(
                #[tokio::test]
                async fn $name() {
                    super::suite::$name(super::postgres).await;
                }
            )*
        }
        mod in_redis {
            $(
                #[tokio::test]
                async fn $name() {
                    super::suite::$name(super::one_redis).await;
                }
            )*
        }
        mod in_a_redis_cluster {
            $(
                #[tokio::test]
                async fn $name() {
                    super::suite::$name(super::redis_cluster).await;
                }
            )*
        }
        mod in_a_bucket {
            $(
                #[tokio::test]
                async fn $name() {
                    super::suite::$name(super::gcs_bucket).await;
                }
            )*
        }
    };
}

on_every_store![
    what_is_written_is_read_byte_for_byte,
    kinds_and_names_are_told_apart,
    nothing_is_replaced_that_has_changed,
    users_are_those_with_a_record,
    of_many_changes_at_once_none_is_lost,
];

mod suite {
    use super::*;

    pub(super) async fn what_is_written_is_read_byte_for_byte(make: MakeBench) {
        let bench = make();
        let store = &bench.store;
        let content = "{\"a\":\"\\u003c é\"}\n\0".as_bytes();
        assert_eq!(store.read(Record, "ann").await.unwrap(), None);
        assert!(
            store
                .write(Record, "ann", None, Some(content))
                .await
                .unwrap()
        );
        let read = store.read(Record, "ann").await.unwrap();
        assert_eq!(read.as_deref(), Some(content));
        assert!(
            store
                .write(Record, "ann", Some(content), None)
                .await
                .unwrap()
        );
        assert_eq!(store.read(Record, "ann").await.unwrap(), None);
    }

    pub(super) async fn kinds_and_names_are_told_apart(make: MakeBench) {
        let bench = make();
        let store = &bench.store;
        let names = [
            "ann",
            "Ann",
            "ann ",
            "a/../ann",
            "t:ann",
            "ann@example.com",
            "é",
            "e\u{301}",
            "{ann}",
        ];
        for kind in [Record, Passwords, Spelling] {
            for name in names {
                let content = format!("{kind:?} {name}");
                let is_new = store
                    .write(kind, name, None, Some(content.as_bytes()))
                    .await;
                assert!(is_new.unwrap(), "{kind:?} {name}");
            }
        }
        for kind in [Record, Passwords, Spelling] {
            for name in names {
                let content = format!("{kind:?} {name}");
                let read = store.read(kind, name).await.unwrap();
                assert_eq!(read.as_deref(), Some(content.as_bytes()));
            }
        }
        assert_eq!(store.read(Record, "").await.unwrap(), None);
    }

    pub(super) async fn nothing_is_replaced_that_has_changed(make: MakeBench) {
        let bench = make();
        let store = &bench.store;
        let write = async |before: Option<&str>, after: Option<&str>| {
            let (before, after) = (before.map(str::as_bytes), after.map(str::as_bytes));
            store.write(Record, "ann", before, after).await.unwrap()
        };
        assert!(!write(Some("x"), Some("y")).await, "it is absent");
        assert!(!write(Some("x"), None).await);
        assert!(write(None, Some("1")).await);
        assert!(!write(None, Some("2")).await, "it is there");
        assert!(!write(Some("0"), Some("2")).await);
        assert!(!write(Some("0"), None).await);
        let read = store.read(Record, "ann").await.unwrap();
        assert_eq!(read.as_deref(), Some(&b"1"[..]));
        assert!(write(Some("1"), Some("2")).await);
    }

    pub(super) async fn users_are_those_with_a_record(make: MakeBench) {
        let bench = make();
        let store = &bench.store;
        for (kind, name) in [
            (Record, "b"),
            (Record, "a"),
            (Passwords, "c"),
            (Spelling, "d"),
        ] {
            assert!(store.write(kind, name, None, Some(b"x")).await.unwrap());
        }
        assert_eq!(store.users().await.unwrap(), ["a", "b"]);
    }

    pub(super) async fn of_many_changes_at_once_none_is_lost(make: MakeBench) {
        let bench = make();
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let store = bench.store.clone();
                tokio::spawn(async move {
                    loop {
                        let before = store.read(Passwords, "ann").await.unwrap();
                        let mut after = before.clone().unwrap_or_default();
                        after.push(n);
                        let done = store.write(Passwords, "ann", before.as_deref(), Some(&after));
                        if done.await.unwrap() {
                            return;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let mut written = bench.store.read(Passwords, "ann").await.unwrap().unwrap();
        written.sort_unstable();
        assert_eq!(written, (0..20).collect::<Vec<u8>>());
    }
}

#[tokio::test]
async fn sections_in_one_database_have_their_own_users() {
    let directory = tempfile::tempdir().unwrap();
    let location = DatabaseLocation::at(directory.path().join("w.db"));
    let database = Database::open_exclusive(&location).unwrap();
    let github = DatabaseTokenStore::new(database.clone(), "github_auth");
    let gitlab = DatabaseTokenStore::new(database, "gitlab_auth");
    assert!(github.write(Record, "bob", None, Some(b"x")).await.unwrap());
    assert_eq!(gitlab.read(Record, "bob").await.unwrap(), None);
    assert!(gitlab.users().await.unwrap().is_empty());
}
