//! Content that is a range of a file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use common::BoxFuture;

use super::ContentReader;
use super::buffers::{BufferPool, PIECE};
use crate::Error;

/// A part of a file being read.
pub(crate) struct FileRangeReader {
    path: PathBuf,
    file: Arc<File>,
    position: u64,
    end: u64,
    buffers: BufferPool,
}

impl FileRangeReader {
    /// Reads `file` (called `path` in messages) from `begin` up to `end`.
    pub(crate) fn new(path: impl Into<PathBuf>, file: Arc<File>, begin: u64, end: u64) -> Self {
        Self {
            path: path.into(),
            file,
            position: begin,
            end,
            buffers: BufferPool::default(),
        }
    }

    /// Reads on the calling thread: content that is pushed is mostly in the page cache.
    fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        let left = self.end.saturating_sub(self.position);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        if length == 0 {
            return Ok(None);
        }
        let read = self.buffers.piece(length, |buffer| {
            self.file.read_exact_at(buffer, self.position)
        });
        let piece = read.map_err(Error::file(&self.path))?;
        self.position += piece.len() as u64;
        Ok(Some(piece))
    }
}

impl ContentReader for FileRangeReader {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, Error>> {
        let piece = self.piece();
        Box::pin(std::future::ready(piece))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}
