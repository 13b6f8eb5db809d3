//! Copying the database to a file.

use std::fs::{File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::Sqlite;
use super::columns::{BLOB, blob};
use crate::{BackupBlob, Blob, Error, MetadataBackup, StorageFuture, StoreId};

impl MetadataBackup for Sqlite {
    fn copy_to<'a>(&'a self, file: &'a Path) -> StorageFuture<'a, Vec<BackupBlob>> {
        let (from, to) = (self.shared.database.path().to_owned(), file.to_owned());
        Box::pin(async move {
            let task = tokio::task::spawn_blocking(move || copy(&from, &to));
            task.await.unwrap_or_else(Error::from_join_error)
        })
    }
}

fn copy(from: &Path, to: &Path) -> Result<Vec<BackupBlob>, Error> {
    let path = to
        .to_str()
        .ok_or_else(|| Error::io("copy the database")(ErrorKind::InvalidFilename.into()))?;
    // Created first, so that no other user can ever read it. SQLite writes into an empty file.
    let file = File::create_new(to).map_err(Error::io("copy the database"))?;
    file.set_permissions(Permissions::from_mode(0o600))
        .map_err(Error::io("copy the database"))?;
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    source.busy_timeout(database::BUSY_TIMEOUT)?;
    source.execute("VACUUM INTO ?1", [path])?;
    let mut copy = Connection::open(to)?;
    let blobs = make_complete(&mut copy)?;
    copy.close().map_err(|(_, error)| error)?;
    file.sync_all().map_err(Error::io("copy the database"))?;
    Ok(blobs)
}

/// Removes unfinished work from a copy, and moves every blob to the copy's own store. A server that is
/// started on it later does not know what was pulled meanwhile, so recording of pulls begins again.
fn make_complete(copy: &mut Connection) -> Result<Vec<BackupBlob>, Error> {
    let transaction = copy.transaction()?;
    transaction.execute_batch(
        "DELETE FROM uploads; DELETE FROM unused_objects; DELETE FROM content_store; DELETE FROM collection_holds; DELETE FROM blobs WHERE state IN (0, 3);
         DELETE FROM adopted_repositories; DELETE FROM stores; DELETE FROM pull_recording; UPDATE blobs SET state = 1;",
    )?;
    let blobs = {
        let mut list =
            transaction.prepare(&format!("SELECT {BLOB} FROM blobs b ORDER BY b.generation"))?;
        let mut own =
            transaction.prepare("UPDATE blobs SET store = 0, key = ?2 WHERE generation = ?1")?;
        let rows = list.query_map((), blob)?.collect::<Result<Vec<_>, _>>()?;
        let mut blobs = Vec::with_capacity(rows.len());
        for blob in rows {
            let key = if blob.store == StoreId::OWN {
                blob.key.clone()
            } else {
                Blob::new_key(&blob.digest, blob.generation)
            };
            own.execute((blob.generation, &key))?;
            blobs.push(BackupBlob { blob, key });
        }
        blobs
    };
    transaction.commit()?;
    Ok(blobs)
}
