//! Compressed archives: `docker save | gzip`. A compressed file cannot be read in any order, so it is
//! decompressed into a temporary file first.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::Error;

/// How much a decompressed archive may have for each byte of the compressed one, and at least. More
/// is taken for an attack.
const MAX_RATIO: u64 = 200;
const MIN_LIMIT: u64 = 1 << 30;

/// What a file is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// The compression of a file that begins with these bytes.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let known: [(&[u8], Self); 4] = [
            (b"\x1f\x8b", Self::Gzip),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"BZh", Self::Bzip2),
            (b"\xfd7zXZ\0", Self::Xz),
        ];
        known
            .into_iter()
            .find(|(magic, _)| bytes.starts_with(magic))
            .map(|(_, compression)| compression)
    }
}

/// Decompresses `file`, which is called `path` in messages, into a temporary file without a name.
pub(super) fn decompress(
    path: &Path,
    file: &File,
    compression: Compression,
) -> Result<File, Error> {
    let compressed = file.metadata().map_err(Error::file(path))?.len();
    let input = BufReader::with_capacity(256 * 1024, file);
    match compression {
        Compression::Gzip => copy(
            path,
            flate2::bufread::MultiGzDecoder::new(input),
            compressed,
        ),
        Compression::Zstd => copy(path, ZstdFrames::new(input), compressed),
        Compression::Bzip2 => Err(unsupported(path, "bzip2")),
        Compression::Xz => Err(unsupported(path, "xz")),
    }
}

fn copy(path: &Path, reader: impl Read, compressed: u64) -> Result<File, Error> {
    let limit = compressed.saturating_mul(MAX_RATIO).max(MIN_LIMIT);
    let mut output = tempfile::tempfile().map_err(Error::file(std::env::temp_dir()))?;
    let mut reader = Source {
        reader: reader.take(limit + 1),
        failed: None,
    };
    let copied = io::copy(&mut reader, &mut output);
    if let Some(error) = reader.failed {
        return Err(wrong(path, format!("cannot be decompressed: {error}")));
    }
    let length = copied.map_err(Error::file(std::env::temp_dir()))?;
    if length > limit {
        return Err(wrong(
            path,
            format!("more than {limit} bytes when decompressed"),
        ));
    }
    Ok(output)
}

/// Tells an error of reading from one of writing.
struct Source<R> {
    reader: R,
    failed: Option<String>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer);
        if let Err(error) = &read
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some(error.to_string());
        }
        read
    }
}

/// The frames of a zstd file, one after the other (RFC 8878 §3).
struct ZstdFrames<R: io::BufRead> {
    input: Option<R>,
    frame: Option<ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
}

impl<R: io::BufRead> ZstdFrames<R> {
    fn new(input: R) -> Self {
        Self {
            input: Some(input),
            frame: None,
        }
    }
}

impl<R: io::BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let length = frame.read(buffer)?;
                if length > 0 {
                    return Ok(length);
                }
            }
            if let Some(frame) = self.frame.take() {
                self.input = Some(frame.into_inner());
            }
            let Some(mut input) = self.input.take() else {
                return Ok(0);
            };
            if input.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let frame = ruzstd::decoding::StreamingDecoder::new(input)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            self.frame = Some(frame);
        }
    }
}

fn unsupported(path: &Path, program: &str) -> Error {
    wrong(
        path,
        format!(
            "compressed with {program}, which is not supported: decompress it with \
             `{program} -dc {} > image.tar`",
            path.display()
        ),
    )
}

fn wrong(path: &Path, what: String) -> Error {
    Error::Layout {
        path: path.to_owned(),
        what,
        missing: false,
    }
}
