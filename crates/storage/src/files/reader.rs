//! Reading a blob's file.
//!
//! What the kernel has in memory is read at once, on the thread that sends it (preadv2(2) with
//! `RWF_NOWAIT`): a warm blob costs one copy and no change of threads. Only where the kernel says
//! that it would have to wait for the disk is the read given to a thread that may wait. Files are
//! never mapped: a file that shrinks, or a disk that fails, would kill the process.

use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use oci::Digest;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::task::{JoinHandle, spawn_blocking};

use super::buffers::{Buffer, LENGTH, ReadBuffers};
use super::{Root, join};
use crate::blob_store::BlobReader;
use crate::{Blob, Error};

pub(super) struct FileReader {
    file: Arc<File>,
    digest: Digest,
    /// What is still to come.
    range: Range<u64>,
    buffers: Arc<ReadBuffers>,
    /// A read that waits for the disk.
    waiting: Option<JoinHandle<io::Result<Bytes>>>,
    /// Whether the file system knows how not to wait.
    nowait: bool,
}

impl FileReader {
    pub(super) async fn open(
        root: &Root,
        blob: &Blob,
        range: Range<u64>,
        buffers: Arc<ReadBuffers>,
    ) -> Result<Self, Error> {
        let file = open(root, blob).await?;
        Ok(Self {
            file: Arc::new(file),
            digest: blob.digest,
            range,
            buffers,
            waiting: None,
            nowait: true,
        })
    }

    /// Reads what is in memory; none where the disk is needed.
    fn read_at_once(&mut self) -> Option<io::Result<Bytes>> {
        if !self.nowait {
            return None;
        }
        let (mut buffer, length) = self.buffer();
        let mut space = [IoSliceMut::new(buffer.space(length))];
        match rustix::io::preadv2(
            &*self.file,
            &mut space,
            self.range.start,
            ReadWriteFlags::NOWAIT,
        ) {
            Ok(read) => Some(Ok(buffer.into_bytes(read))),
            Err(Errno::AGAIN | Errno::INTR) => None,
            // An old kernel, or a file system that always waits.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                self.nowait = false;
                None
            }
            Err(error) => Some(Err(error.into())),
        }
    }

    fn read_and_wait(&self) -> JoinHandle<io::Result<Bytes>> {
        let (mut buffer, length) = self.buffer();
        let (file, at) = (Arc::clone(&self.file), self.range.start);
        spawn_blocking(move || {
            let read = file.read_at(buffer.space(length), at)?;
            Ok(buffer.into_bytes(read))
        })
    }

    fn buffer(&self) -> (Buffer, usize) {
        let left = self.range.end.saturating_sub(self.range.start);
        let length = usize::try_from(left).unwrap_or(LENGTH).min(LENGTH);
        (self.buffers.take(length), length)
    }

    fn take(&mut self, read: io::Result<Bytes>) -> Result<Bytes, Error> {
        let bytes = read.map_err(Error::io("read a blob"))?;
        if bytes.is_empty() {
            return Err(Error::Damaged {
                digest: self.digest,
            });
        }
        self.range.start += bytes.len() as u64;
        Ok(bytes)
    }
}

impl BlobReader for FileReader {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.range.is_empty() {
            return Poll::Ready(None);
        }
        if self.waiting.is_none() {
            if let Some(read) = self.read_at_once() {
                return Poll::Ready(Some(self.take(read)));
            }
            self.waiting = Some(self.read_and_wait());
        }
        let Some(waiting) = &mut self.waiting else {
            return Poll::Ready(None);
        };
        let read = ready!(Pin::new(waiting).poll(context));
        self.waiting = None;
        Poll::Ready(Some(self.take(join(read))))
    }
}

/// Opens the file of a blob, which must be as long as its row says.
pub(super) async fn open(root: &Root, blob: &Blob) -> Result<File, Error> {
    let damaged = Error::Damaged {
        digest: blob.digest,
    };
    let file = match open_at_once(root, &blob.key) {
        Some(opened) => opened,
        None => {
            let (root, key) = (root.clone(), blob.key.clone());
            join(spawn_blocking(move || open_and_wait(&root, &key)).await)
        }
    };
    let file = match file {
        Ok(file) => file,
        Err(error) if is_nowhere(&error) => return Err(damaged),
        Err(error) => return Err(Error::io("open a blob")(error)),
    };
    let metadata = file.metadata().map_err(Error::io("look at a blob"))?;
    if metadata.is_file() && metadata.len() == blob.size {
        Ok(file)
    } else {
        Err(damaged)
    }
}

/// Whether no file is where a key leads: it is missing, or a link leads out of its directory.
fn is_nowhere(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::CrossesDevices
    ) || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Others may have left a link or a pipe where a file should be: neither is waited for or followed.
const FOREIGN: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

fn flags(root: &Root) -> (OFlags, ResolveFlags) {
    if root.is_foreign {
        (FOREIGN, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
    } else {
        (OFlags::RDONLY | OFlags::CLOEXEC, ResolveFlags::empty())
    }
}

/// Opens a file whose path the kernel has in memory; none if it would have to look at the disk, or
/// cannot say.
fn open_at_once(root: &Root, key: &str) -> Option<io::Result<File>> {
    let (flags, resolve) = flags(root);
    let resolve = resolve | ResolveFlags::CACHED;
    match rustix::fs::openat2(&*root.directory, key, flags, Mode::empty(), resolve) {
        Ok(file) => Some(Ok(file.into())),
        Err(Errno::NOENT) => Some(Err(ErrorKind::NotFound.into())),
        // Of an old kernel or a sandbox that knows no openat2, and everything else, the ordinary
        // way says more.
        Err(_) => None,
    }
}

fn open_and_wait(root: &Root, key: &str) -> io::Result<File> {
    let (flags, resolve) = flags(root);
    if root.is_foreign {
        match rustix::fs::openat2(&*root.directory, key, flags, Mode::empty(), resolve) {
            // A kernel or a sandbox without openat2: then no link is followed at its end.
            Err(Errno::NOSYS | Errno::PERM) => {
                let flags = flags | OFlags::NOFOLLOW;
                let file = rustix::fs::openat(&*root.directory, key, flags, Mode::empty())?;
                Ok(file.into())
            }
            opened => Ok(opened?.into()),
        }
    } else {
        Ok(rustix::fs::openat(&*root.directory, key, flags, Mode::empty())?.into())
    }
}
