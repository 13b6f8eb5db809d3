//! Writing an upload's file.
//!
//! Hashing and writing are done together on a thread that may wait, one batch while the next one
//! arrives. What lies far behind the end is written out early and leaves the page cache
//! (`write_behind.rs`).

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::join;
use super::write_behind::WriteBehind;
use crate::blob_store::{UploadWriter, WrittenContent};
use crate::hash::ContentHasher;
use crate::{Error, StorageFuture};

pub(super) struct FileWriter {
    state: State,
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each open upload, nearly always in the larger state"
)]
enum State {
    Ready(UploadFile),
    Writing(JoinHandle<io::Result<UploadFile>>),
    Failed,
}

/// The file, opened by the first batch.
struct UploadFile {
    path: PathBuf,
    file: Option<File>,
    length: u64,
    behind: WriteBehind,
    hasher: Option<ContentHasher>,
}

impl FileWriter {
    pub(super) fn new(path: PathBuf, at: u64, hasher: Option<ContentHasher>) -> Self {
        Self {
            state: State::Ready(UploadFile {
                path,
                file: None,
                length: at,
                behind: WriteBehind::new(at),
                hasher,
            }),
        }
    }

    /// The writer, once it is done with the batch before. What is awaited stays in place until it
    /// is there, so that nothing is lost when the caller stops waiting.
    async fn writer(&mut self) -> Result<UploadFile, Error> {
        if let State::Writing(task) = &mut self.state {
            let done = join(task.await);
            self.state = State::Failed;
            return done.map_err(Error::io("write an upload"));
        }
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Ready(writer) => Ok(writer),
            State::Writing(_) | State::Failed => Err(Error::io("write an upload")(
                io::Error::other("an earlier write has failed"),
            )),
        }
    }
}

impl UploadWriter for FileWriter {
    fn write(&mut self, batch: Vec<Bytes>) -> StorageFuture<'_, ()> {
        Box::pin(async move {
            let writer = self.writer().await?;
            self.state = State::Writing(spawn_blocking(move || writer.write(&batch)));
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>, rest: Vec<Bytes>) -> StorageFuture<'static, WrittenContent> {
        Box::pin(async move {
            let writer = self.writer().await?;
            let task = spawn_blocking(move || writer.write(&rest)?.sync());
            let done = join(task.await);
            done.map_err(Error::io("write an upload"))
        })
    }
}

impl UploadFile {
    fn write(mut self, batch: &[Bytes]) -> io::Result<Self> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(&self.path, self.length)?),
        };
        if let Some(hasher) = &mut self.hasher {
            batch.iter().for_each(|chunk| hasher.update(chunk));
        }
        write_all(file, batch)?;
        self.length += batch.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        self.behind.advance(file, self.length);
        Ok(self)
    }

    fn sync(self) -> io::Result<WrittenContent> {
        if let Some(file) = &self.file {
            file.sync_all()?;
            self.behind.end(file);
        }
        Ok(WrittenContent {
            length: self.length,
            hasher: self.hasher,
            ..WrittenContent::default()
        })
    }
}

/// Writes all of `batch` with few calls. A call that ends within a block of the file costs the kernel
/// the zeroing of that block's rest, and chunks end anywhere.
fn write_all(file: &mut File, batch: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|chunk| IoSlice::new(chunk)).collect();
    let mut slices = slices.as_mut_slice();
    // Empty chunks, which would look like a full disk.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens the file to go on at `at`, without what may lie beyond.
fn open(path: &Path, at: u64) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .create(at == 0)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    let length = file.metadata()?.len();
    if length < at {
        return Err(io::Error::new(
            ErrorKind::UnexpectedEof,
            "the upload's file is shorter than what was acknowledged",
        ));
    }
    if length > at {
        file.set_len(at)?;
    }
    file.seek(SeekFrom::Start(at))?;
    Ok(file)
}
