//! Blobs on their way into files: each piece is hashed and written where it arrives, while it is
//! still in the processor's cache. Another thread would have to be woken for each piece, and would
//! have to fetch it from there.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use oci::Descriptor;

use super::{BlobProgress, BlobSource};
use crate::Error;
use crate::hasher::ContentHasher;

/// How much is read at once of what is there already, in bytes.
const PIECE: usize = 256 * 1024;

/// A place in a file where a blob goes.
pub(crate) struct BlobSlot {
    /// For messages.
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Where in the file the blob begins.
    pub(crate) begin: u64,
    /// How many of its bytes are there from an earlier try.
    pub(crate) present: u64,
}

/// Brings blobs from a source into files.
pub(crate) struct BlobWriter<'a> {
    pub(crate) source: &'a BlobSource,
    pub(crate) meter: &'a dyn BlobProgress,
}

impl BlobWriter<'_> {
    /// Writes the blob to its spot, from where an earlier try ended, and proves its digest. What is
    /// there of a wrong one must not be used. Hands the file back, whose lock may have to outlast
    /// its name.
    pub(crate) async fn write(&self, blob: &Descriptor, spot: BlobSlot) -> Result<File, Error> {
        let mut reader = self.source.open(blob, spot.present.min(blob.size)).await?;
        let (spot, mut hasher) = begin(blob, spot).await?;
        self.meter.at(hasher.length());
        while let Some(piece) = reader.chunk().await? {
            spot.file
                .write_all_at(&piece, spot.begin + hasher.length())
                .map_err(Error::file(&spot.path))?;
            hasher.update(&piece);
            self.meter.at(hasher.length());
        }
        match hasher.finish() {
            found if found == blob.digest => Ok(spot.file),
            found => Err(Error::Digest {
                what: reader.place(),
                expected: blob.digest.into(),
                found: found.into(),
            }),
        }
    }
}

/// Hashes what is there already. That may be a lot and takes its time, so it has a thread of its
/// own.
async fn begin(blob: &Descriptor, spot: BlobSlot) -> Result<(BlobSlot, ContentHasher), Error> {
    let (present, mut hasher) = (
        spot.present.min(blob.size),
        ContentHasher::new(blob.digest.algorithm()),
    );
    if present == 0 {
        return Ok((spot, hasher));
    }
    let hashing = tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; PIECE];
        while hasher.length() < present {
            let left = usize::try_from(present - hasher.length())
                .unwrap_or(usize::MAX)
                .min(PIECE);
            let read = spot
                .file
                .read_exact_at(&mut buffer[..left], spot.begin + hasher.length());
            read.map_err(Error::file(&spot.path))?;
            hasher.update(&buffer[..left]);
        }
        Ok((spot, hasher))
    });
    hashing.await.unwrap_or_else(|error| {
        Err(Error::Unsupported(format!(
            "the reading broke off: {error}"
        )))
    })
}
