//! Writing blobs into files. Each piece is hashed and written by the thread that received it, while
//! it is in the processor's cache: another thread would have to be woken for each piece.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use oci::Descriptor;

use super::{BlobProgress, ContentSource};
use crate::Error;
use crate::hasher::DigestHasher;

/// How much of an earlier try is read at once, in bytes.
const PIECE: usize = 256 * 1024;

/// The range of a file that a blob is written to.
pub(crate) struct BlobSlot {
    /// The file's path, for messages.
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Where in the file the blob begins.
    pub(crate) begin: u64,
    /// How many of its bytes an earlier try has written.
    pub(crate) present: u64,
}

/// Writes blobs of a source into files.
pub(crate) struct BlobWriter<'a> {
    pub(crate) source: &'a dyn ContentSource,
    pub(crate) meter: &'a dyn BlobProgress,
}

impl BlobWriter<'_> {
    /// Writes the blob, from where an earlier try stopped, and verifies its digest. After an error the
    /// content must not be used. Returns the file, whose lock may have to outlast its name.
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
                what: reader.name(),
                expected: blob.digest.into(),
                found: found.into(),
            }),
        }
    }
}

/// Hashes what an earlier try has written. That may take a while, so it has a thread of its own.
async fn begin(blob: &Descriptor, spot: BlobSlot) -> Result<(BlobSlot, DigestHasher), Error> {
    let (present, mut hasher) = (
        spot.present.min(blob.size),
        DigestHasher::new(blob.digest.algorithm()),
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
    hashing
        .await
        .unwrap_or_else(|error| Err(Error::Unsupported(format!("reading stopped: {error}"))))
}
