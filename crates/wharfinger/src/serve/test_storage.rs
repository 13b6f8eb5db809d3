//! A storage for the tests of what a server does with one.

use std::sync::Arc;

use common::SystemClock;
use database::{DatabaseLocation, SqliteDatabase};
use storage::{Storage, StorageSettings};

/// An empty storage in a folder.
pub(super) async fn storage(folder: &tempfile::TempDir) -> Storage {
    let location = DatabaseLocation::at(folder.path().join("w.db"));
    let storage = Storage::open(
        SqliteDatabase::open_exclusive(&location).unwrap(),
        folder.path().join("content"),
        StorageSettings::default(),
        Arc::new(SystemClock),
    );
    storage.await.unwrap()
}
