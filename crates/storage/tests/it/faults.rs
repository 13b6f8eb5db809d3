//! Full and read-only disks: small file systems, which the tests mount. Only root may do so.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use database::{DatabaseLocation, SqliteDatabase};
use storage::{Error, Storage, StorageSettings};

use super::world::{clock, content, name, new_upload, push, sha256};

/// A file system of some megabytes, until it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(megabytes: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(directory.path())
            .output()
            .unwrap();
        assert!(
            mounted.status.success(),
            "these tests mount file systems, which only root may do: {mounted:?}"
        );
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        assert!(
            Command::new("mount")
                .args(["-o", &options])
                .arg(self.path())
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Files may still be open.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}

async fn open(database: &Path, root: &Path) -> Storage {
    let database =
        SqliteDatabase::open_exclusive(&DatabaseLocation::at(database.join("w.db"))).unwrap();
    let clock = clock(&Arc::new(AtomicU64::new(1_800_000_000)));
    Storage::open(
        database,
        root.join("data"),
        StorageSettings::default(),
        clock,
    )
    .await
    .unwrap()
}

async fn upload(storage: &Storage, number: u128, bytes: &[u8]) -> Result<(), Error> {
    let new = new_upload("a", number);
    let id = new.id;
    storage.begin(new).await?;
    let mut upload = storage.upload(&name("a"), id, None).await?;
    for chunk in bytes.chunks(1 << 16) {
        upload.write(chunk.to_vec().into()).await?;
    }
    upload.finish(sha256(bytes)).await.map(drop)
}

#[tokio::test]
async fn a_disk_without_room_for_content() {
    let disk = SmallDisk::new(4);
    let database = tempfile::tempdir().unwrap();
    let storage = open(database.path(), disk.path()).await;
    let large = vec![1; 6 << 20];
    assert!(matches!(
        upload(&storage, 1, &large).await,
        Err(Error::Full)
    ));
    assert!(matches!(
        storage.blobs().find(&name("a"), &sha256(&large)).await,
        Err(Error::BlobUnknown)
    ));
    // The partial content is removed, the upload is as before, and the server works.
    let id = new_upload("a", 1).id;
    drop(storage.upload(&name("a"), id, Some(0)).await.unwrap());
    let fits = vec![2; 3 << 20];
    upload(&storage, 2, &fits).await.unwrap();
    assert_eq!(content(&storage, "a", sha256(&fits)).await.unwrap(), fits);
}

#[tokio::test]
async fn a_disk_without_room_for_rows() {
    let disk = SmallDisk::new(8);
    let storage = open(disk.path(), disk.path()).await;
    upload(&storage, 1, b"{}").await.unwrap();
    upload(&storage, 2, b"layer").await.unwrap();
    let filler = disk.path().join("filler");
    let _ = std::fs::write(&filler, vec![0; 9 << 20]);
    let manifest = super::world::image(&[b"layer"], None);
    let mut full = 0;
    for number in 0..2000 {
        match push(
            &storage,
            "a",
            manifest.clone(),
            &[&format!("tag-{number:0100}")],
        )
        .await
        {
            Ok(_) => {}
            Err(Error::Full) => full += 1,
            Err(error) => panic!("{error}"),
        }
        if full > 3 {
            break;
        }
    }
    assert!(full > 3);
    // Reads still work.
    assert_eq!(
        content(&storage, "a", sha256(b"layer")).await.unwrap(),
        b"layer"
    );
    std::fs::remove_file(&filler).unwrap();
    push(&storage, "a", manifest, &["room"]).await.unwrap();
    upload(&storage, 3, b"more").await.unwrap();
}

#[tokio::test]
async fn a_read_only_disk() {
    let disk = SmallDisk::new(8);
    let database = tempfile::tempdir().unwrap();
    let storage = open(database.path(), disk.path()).await;
    upload(&storage, 1, b"hello").await.unwrap();
    disk.remount("ro");
    assert!(matches!(
        upload(&storage, 2, b"more").await,
        Err(Error::ReadOnly)
    ));
    assert_eq!(
        content(&storage, "a", sha256(b"hello")).await.unwrap(),
        b"hello"
    );
    disk.remount("rw");
    upload(&storage, 3, b"more").await.unwrap();
}
