//! One suite that every store of keys and certificates passes.

use std::any::Any;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use acme::{AcmeRows, AcmeStore, AcmeStoreError, CacheDirectory, MemoryAcmeStore};
use common::SystemClock;

use crate::bench::ShiftedClock;
use crate::test_database::{DatabaseKind, TestDatabase};

/// A store under test, and what it needs to live.
pub(crate) struct StoreBench {
    pub(crate) store: Arc<dyn AcmeStore>,
    _keeps: Option<Box<dyn Any>>,
}

type MakeBench = fn() -> StoreBench;

fn memory() -> StoreBench {
    StoreBench {
        store: Arc::new(MemoryAcmeStore::default()),
        _keeps: None,
    }
}

fn directory() -> StoreBench {
    let directory = tempfile::tempdir().unwrap();
    StoreBench {
        store: Arc::new(CacheDirectory::new(directory.path().join("cache"))),
        _keeps: Some(Box::new(directory)),
    }
}

fn sqlite() -> StoreBench {
    in_database(DatabaseKind::Sqlite)
}

pub(crate) fn postgres() -> StoreBench {
    in_database(DatabaseKind::Postgres)
}

fn in_database(kind: DatabaseKind) -> StoreBench {
    let place = TestDatabase::new(kind);
    let store = AcmeRows::new(place.database.clone(), Arc::new(SystemClock));
    StoreBench {
        store: Arc::new(store),
        _keeps: Some(Box::new(place)),
    }
}

/// Makes a test of each function of the suite for each store.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        on_every_store!(@store in_memory, memory, $($name),*);
        on_every_store!(@store in_a_directory, directory, $($name),*);
        on_every_store!(@store in_sqlite, sqlite, $($name),*);
        on_every_store!(@store in_postgres, postgres, $($name),*);
    };
    (@store $store:ident, $make:ident, $($name:ident),*) => {
        mod $store {
            $(
                #[tokio::test]
                async fn $name() {
                    super::suite::$name(super::$make).await;
                }
            )*
        }
    };
}

on_every_store![
    what_is_written_is_read_byte_for_byte,
    one_server_at_a_time_has_the_lease,
    a_lease_ends_when_it_is_released,
];

mod suite {
    use super::*;

    pub(super) async fn what_is_written_is_read_byte_for_byte(make: MakeBench) {
        let bench = make();
        let store = &bench.store;
        assert_eq!(store.read("a.example").await.unwrap(), None);
        let lease = store.lease().await.unwrap().unwrap();
        lease.write("a.example", None).await.unwrap();
        lease.write("a.example", Some(b"one\0\n")).await.unwrap();
        lease.write("b.example", Some(b"other")).await.unwrap();
        assert_eq!(store.read("a.example").await.unwrap().unwrap(), b"one\0\n");
        lease.write("a.example", Some(b"two")).await.unwrap();
        assert_eq!(store.read("a.example").await.unwrap().unwrap(), b"two");
        lease.write("a.example", None).await.unwrap();
        assert_eq!(store.read("a.example").await.unwrap(), None);
        assert_eq!(store.read("b.example").await.unwrap().unwrap(), b"other");
        lease.release().await;
    }

    pub(super) async fn one_server_at_a_time_has_the_lease(make: MakeBench) {
        let bench = make();
        let store = &bench.store;
        let lease = store.lease().await.unwrap().unwrap();
        assert!(store.lease().await.unwrap().is_none());
        lease.renew().await.unwrap();
        assert!(store.lease().await.unwrap().is_none());
        lease.release().await;
    }

    pub(super) async fn a_lease_ends_when_it_is_released(make: MakeBench) {
        let bench = make();
        let store = &bench.store;
        for _ in 0..3 {
            let lease = store.lease().await.unwrap().unwrap();
            lease.release().await;
        }
    }
}

#[tokio::test]
async fn files_are_for_their_owner_only_and_nothing_is_left_of_a_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/cache");
    let store = CacheDirectory::new(path.clone());
    let lease = store.lease().await.unwrap().unwrap();
    std::fs::write(path.join("a.example+part"), "left behind").unwrap();
    lease.write("a.example", Some(b"key")).await.unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let mut names = Vec::new();
    for entry in path.read_dir().unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, [".lock", "a.example"]);
    lease.release().await;
}

#[tokio::test]
async fn an_error_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "").unwrap();
    let store = CacheDirectory::new(path.clone());
    let read = store.read("a.example").await.unwrap_err().to_string();
    assert_eq!(read, format!("cannot read {}/a.example", path.display()));
    let Err(locked) = store.lease().await else {
        panic!("a file was locked as a directory");
    };
    assert_eq!(
        locked.to_string(),
        format!("cannot lock {}/.lock", path.display())
    );
    std::fs::remove_file(&path).unwrap();
    let lease = store.lease().await.unwrap().unwrap();
    std::fs::write(path.join("b.example"), vec![b'x'; 256 * 1024 + 1]).unwrap();
    assert!(store.read("b.example").await.is_err(), "too large");
    lease.release().await;
}

/// A server that was paused longer than its lease changes nothing any more.
#[tokio::test]
async fn a_server_that_lost_its_lease_changes_nothing() {
    for kind in [DatabaseKind::Sqlite, DatabaseKind::Postgres] {
        let place = TestDatabase::new(kind);
        let clock = Arc::new(ShiftedClock::default());
        let store = AcmeRows::new(place.database.clone(), clock.clone());
        let paused = store.lease().await.unwrap().unwrap();
        clock.advance(61);
        let next = store.lease().await.unwrap().unwrap();
        let lost = |result| matches!(result, Err(AcmeStoreError::Lost));
        assert!(lost(paused.write("a", Some(b"old")).await));
        assert!(lost(paused.renew().await));
        paused.release().await;
        assert!(store.lease().await.unwrap().is_none());
        next.write("a", Some(b"new")).await.unwrap();
        assert_eq!(store.read("a").await.unwrap().unwrap(), b"new");
        // A clock that is set back far does not make a lease last forever.
        clock.advance(-86_400);
        assert!(store.lease().await.unwrap().is_some());
    }
}
