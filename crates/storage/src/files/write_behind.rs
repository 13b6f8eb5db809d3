//! Writing an upload's content to the disk while it arrives.
//!
//! Without this, an upload fills the page cache with dirty pages until the kernel has none left.
//! Then each new page costs a search for an old one, which may be of a blob that is being pulled.
//! So a large upload is written out window by window, and what is on the disk leaves the cache. Its
//! pages are used again for the next window, while the processor still has them at hand.
//!
//! posix_fadvise(2) with `POSIX_FADV_DONTNEED` does both: it begins to write dirty pages, and drops
//! clean ones. It is advice only. Content is safe when the file has been synced, as ever.

use std::fs::File;
use std::num::NonZeroU64;

use rustix::fs::{Advice, fadvise};

/// How much is written out at once, in bytes. A shorter upload stays in the page cache: small layers
/// are many, and are often pulled next.
const WINDOW: u64 = 8 << 20;

/// How many windows are on their way to the disk at most before the first of them is dropped.
const IN_FLIGHT: u64 = 2;

/// How far an upload's file has been written out.
pub(super) struct WriteBehind {
    /// The kernel has been told to write what lies before this.
    begun: u64,
    /// What lies before this has left the page cache, unless the disk was too slow.
    dropped: u64,
}

impl WriteBehind {
    /// For a file that goes on at `at`.
    pub(super) fn new(at: u64) -> Self {
        // A window in which several requests write counts for the last of them.
        let begun = at / WINDOW * WINDOW;
        Self {
            begun,
            dropped: begun,
        }
    }

    /// Notes that the file has `length` bytes now.
    pub(super) fn advance(&mut self, file: &File, length: u64) {
        while length - self.begun >= WINDOW {
            advise(file, self.begun, NonZeroU64::new(WINDOW));
            self.begun += WINDOW;
            if self.begun - self.dropped > IN_FLIGHT * WINDOW {
                advise(file, self.dropped, NonZeroU64::new(WINDOW));
                self.dropped += WINDOW;
            }
        }
    }

    /// Notes that the file has been synced.
    pub(super) fn end(&self, file: &File) {
        if self.begun > 0 {
            advise(file, 0, None);
        }
    }
}

/// Advises the kernel that a part of the file will not be read soon; without a length, all the rest.
fn advise(file: &File, offset: u64, length: Option<NonZeroU64>) {
    // A file system that takes no advice loses nothing but speed.
    let _ = fadvise(file, offset, length, Advice::DontNeed);
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Write};

    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    use super::*;

    /// Whether the first page of a file is in memory.
    fn is_cached(file: &File) -> Result<bool, Errno> {
        let mut byte = [0];
        let read = preadv2(
            file,
            &mut [IoSliceMut::new(&mut byte)],
            0,
            ReadWriteFlags::NOWAIT,
        );
        match read {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn written(windows: u64) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let (chunk, mut behind, mut length) = (vec![7; 1 << 20], WriteBehind::new(0), 0);
        while length < windows * WINDOW - 1 {
            let left = usize::try_from(windows * WINDOW - 1 - length).unwrap();
            let chunk = &chunk[..left.min(chunk.len())];
            file.write_all(chunk).unwrap();
            length += chunk.len() as u64;
            behind.advance(&file, length);
        }
        file.sync_all().unwrap();
        behind.end(&file);
        file
    }

    #[test]
    fn a_large_upload_leaves_the_page_cache_and_a_small_one_does_not() {
        // Some file systems know no reads that do not wait.
        if let Ok(is_cached) = is_cached(&written(1)) {
            assert!(is_cached);
        }
        let large = written(4);
        // A file system in memory has nowhere else to keep it.
        let is_in_memory = rustix::fs::fstatfs(&large).unwrap().f_type == 0x0102_1994;
        if let Ok(is_cached) = is_cached(&large) {
            assert_eq!(is_cached, is_in_memory);
        }
    }
}
