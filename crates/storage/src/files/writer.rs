//! Writing an upload's file.
//!
//! Hashing and writing are done together on a thread that may wait, one batch while the next one
//! arrives.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::join;
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
    hasher: Option<ContentHasher>,
}

impl FileWriter {
    pub(super) fn new(path: PathBuf, at: u64, hasher: Option<ContentHasher>) -> Self {
        Self {
            state: State::Ready(UploadFile {
                path,
                file: None,
                length: at,
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
        for chunk in batch {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(chunk);
            }
            file.write_all(chunk)?;
            self.length += chunk.len() as u64;
        }
        Ok(self)
    }

    fn sync(self) -> io::Result<WrittenContent> {
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        Ok(WrittenContent {
            length: self.length,
            hasher: self.hasher,
        })
    }
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
