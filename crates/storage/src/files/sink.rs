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
use crate::blob_store::{Sink, Written};
use crate::hash::Hasher;
use crate::{Answer, Error};

pub(super) struct FileSink {
    state: State,
}

enum State {
    Ready(Writer),
    Writing(JoinHandle<io::Result<Writer>>),
    Failed,
}

/// The file, opened by the first batch.
struct Writer {
    path: PathBuf,
    file: Option<File>,
    length: u64,
    hasher: Option<Hasher>,
}

impl FileSink {
    pub(super) fn new(path: PathBuf, at: u64, hasher: Option<Hasher>) -> Self {
        Self {
            state: State::Ready(Writer {
                path,
                file: None,
                length: at,
                hasher,
            }),
        }
    }

    /// The writer, once it is done with the batch before. What is awaited stays in place until it
    /// is there, so that nothing is lost when the caller stops waiting.
    async fn writer(&mut self) -> Result<Writer, Error> {
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

impl Sink for FileSink {
    fn write(&mut self, batch: Vec<Bytes>) -> Answer<'_, ()> {
        Box::pin(async move {
            let writer = self.writer().await?;
            self.state = State::Writing(spawn_blocking(move || writer.write(&batch)));
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>, rest: Vec<Bytes>) -> Answer<'static, Written> {
        Box::pin(async move {
            let writer = self.writer().await?;
            let task = spawn_blocking(move || writer.write(&rest)?.sync());
            let done = join(task.await);
            done.map_err(Error::io("write an upload"))
        })
    }
}

impl Writer {
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

    fn sync(self) -> io::Result<Written> {
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        Ok(Written {
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
