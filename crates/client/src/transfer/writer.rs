//! Blobs on their way into files: written and hashed on a thread of their own, while the next piece is on its way.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use oci::Descriptor;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{BlobSource, Meter};
use crate::Error;
use crate::hasher::Hasher;

/// How many pieces may wait to be written.
const WAITING: usize = 4;
/// How much is read at once of what is there already, in bytes.
const PIECE: usize = 256 * 1024;

/// A place in a file where a blob goes.
pub(crate) struct Spot {
    /// For messages.
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Where in the file the blob begins.
    pub(crate) begin: u64,
    /// How many of its bytes are there from an earlier try.
    pub(crate) present: u64,
}

/// Brings blobs from a source into files.
pub(crate) struct Writer<'a> {
    pub(crate) source: &'a BlobSource,
    pub(crate) meter: &'a dyn Meter,
}

impl Writer<'_> {
    /// Writes the blob to its spot, from where an earlier try ended, and proves its digest. What is there of a wrong one must
    /// not be used.
    pub(crate) async fn write(&self, blob: &Descriptor, spot: Spot) -> Result<(), Error> {
        let present = spot.present.min(blob.size);
        let (pieces, queue) = mpsc::channel(WAITING);
        let disk = tokio::task::spawn_blocking({
            let blob = blob.clone();
            move || write_all(&blob, &Spot { present, ..spot }, queue)
        });
        let mut reader = self.source.open(blob, present).await?;
        let mut position = present;
        self.meter.at(position);
        while let Some(piece) = reader.chunk().await? {
            position += piece.len() as u64;
            // When nobody writes any more, the disk says why.
            if pieces.send(piece).await.is_err() {
                break;
            }
            self.meter.at(position);
        }
        drop(pieces);
        let found = finished(disk).await?;
        match found {
            found if found == blob.digest => Ok(()),
            found => Err(Error::Digest { what: reader.place(), expected: blob.digest.into(), found: found.into() }),
        }
    }
}

async fn finished(disk: JoinHandle<Result<oci::Digest, Error>>) -> Result<oci::Digest, Error> {
    disk.await.unwrap_or_else(|error| Err(Error::Unsuitable(format!("the writing broke off: {error}"))))
}

fn write_all(blob: &Descriptor, spot: &Spot, mut queue: mpsc::Receiver<Bytes>) -> Result<oci::Digest, Error> {
    let failed = |error| Error::file(&spot.path)(error);
    let mut hasher = Hasher::new(blob.digest.algorithm());
    hash_present(spot, &mut hasher).map_err(failed)?;
    while let Some(piece) = queue.blocking_recv() {
        spot.file.write_all_at(&piece, spot.begin + hasher.length()).map_err(failed)?;
        hasher.update(&piece);
    }
    Ok(hasher.finish())
}

fn hash_present(spot: &Spot, hasher: &mut Hasher) -> std::io::Result<()> {
    let mut buffer = BytesMut::zeroed(PIECE);
    while hasher.length() < spot.present {
        let left = usize::try_from(spot.present - hasher.length()).unwrap_or(usize::MAX).min(PIECE);
        spot.file.read_exact_at(&mut buffer[..left], spot.begin + hasher.length())?;
        hasher.update(&buffer[..left]);
    }
    Ok(())
}
