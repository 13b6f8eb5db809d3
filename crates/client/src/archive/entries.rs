//! Where in a tar file its files lie, so that each can be read without the others.
//!
//! Only headers are read, and every length in them is bounded before it is used: a sparse file makes
//! a header of some gigabytes cheap to send.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tar::{EntryType, Header, PaxExtensions};

use super::compression::{self, Compression};
use crate::Error;
use crate::content::FileRangeReader;

/// How many files an archive may have.
const MAX_FILES: usize = 100_000;
/// How many headers it may have, those of directories and long names included.
const MAX_HEADERS: usize = 4 * MAX_FILES;
/// How many links may follow each other.
const MAX_LINKS: usize = 8;
/// The longest name or extended header, in bytes.
const MAX_EXTENSION: u64 = 64 * 1024;
/// Headers and files begin at multiples of this many bytes.
const BLOCK: u64 = 512;

/// The files of a tar file.
pub(super) struct ArchiveEntries {
    pub(super) path: PathBuf,
    file: Arc<File>,
    entries: HashMap<String, ArchiveEntry>,
}

enum ArchiveEntry {
    File(Extent),
    Link(String),
}

/// A range of bytes of the tar file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Extent {
    pub(super) begin: u64,
    pub(super) size: u64,
}

impl ArchiveEntries {
    /// Reads the headers of the tar file `path`. A compressed one is decompressed first, into a
    /// temporary file.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(Error::file(path))?;
        if !file.metadata().map_err(Error::file(path))?.is_file() {
            return Err(wrong(path, "not a regular file".to_owned()));
        }
        if let Some(compression) = compression_of_file(&file).map_err(Error::file(path))? {
            file = compression::decompress(path, &file, compression)?;
        }
        let mut entries = Self {
            path: path.to_owned(),
            file: Arc::new(file),
            entries: HashMap::new(),
        };
        entries.read_headers()?;
        Ok(entries)
    }

    fn read_headers(&mut self) -> Result<(), Error> {
        let length = self.file.metadata().map_err(Error::file(&self.path))?.len();
        let (mut position, mut headers) = (0, 0);
        let mut extensions = Extensions::default();
        while position + BLOCK <= length {
            let mut block = [0; BLOCK as usize];
            self.read_at(&mut block, position)?;
            if block.iter().all(|&byte| byte == 0) {
                return Ok(());
            }
            headers += 1;
            if headers > MAX_HEADERS || self.entries.len() > MAX_FILES {
                return Err(self.wrong(format!("more than {MAX_FILES} files")));
            }
            let header = Header::from_byte_slice(&block);
            let declared = header_size(header).ok_or_else(|| self.wrong("not a tar file"))?;
            let kind = header.entry_type();
            // An extended header cannot change its own size.
            let size = match is_extension(kind) {
                true => declared,
                false => extensions.size.unwrap_or(declared),
            };
            let begin = position + BLOCK;
            let next = size
                .checked_next_multiple_of(BLOCK)
                .and_then(|padded| begin.checked_add(padded));
            position = next.ok_or_else(|| self.wrong("not a tar file"))?;
            if kind == EntryType::GNUSparse
                && header.as_gnu().is_some_and(tar::GnuHeader::is_extended)
            {
                position = self.after_sparse_headers(begin, size)?;
            }
            let extent = Extent { begin, size };
            if is_extension(kind) {
                self.extend(&mut extensions, kind, extent)?;
            } else {
                self.add(header, kind, extent, std::mem::take(&mut extensions));
            }
        }
        match headers {
            0 => Err(self.wrong("not a tar file")),
            _ => Ok(()),
        }
    }

    /// The end of a sparse file whose map continues in blocks after its header (GNU tar, "Storing
    /// Sparse Files").
    fn after_sparse_headers(&self, begin: u64, size: u64) -> Result<u64, Error> {
        let mut position = begin;
        for _ in 0..MAX_HEADERS {
            let mut block = [0; BLOCK as usize];
            self.read_at(&mut block, position)?;
            position += BLOCK;
            // `isextended` of the block.
            if block[504] == 0 {
                let padded = size.checked_next_multiple_of(BLOCK);
                let end = padded.and_then(|padded| position.checked_add(padded));
                return end.ok_or_else(|| self.wrong("not a tar file"));
            }
        }
        Err(self.wrong("not a tar file"))
    }

    /// Reads a header that says more about the next one (POSIX, pax, "pax Interchange Format"; GNU
    /// tar, "Long names").
    fn extend(
        &self,
        extensions: &mut Extensions,
        kind: EntryType,
        extent: Extent,
    ) -> Result<(), Error> {
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        if extent.size > MAX_EXTENSION {
            return Err(self.wrong(format!(
                "an extended header of {} bytes; at most {MAX_EXTENSION} are read",
                extent.size
            )));
        }
        let bytes = self.bytes(extent, MAX_EXTENSION)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let until_nul = || text(bytes.split(|&byte| byte == 0).next().unwrap_or_default());
        match kind {
            EntryType::GNULongName => extensions.name = until_nul(),
            EntryType::GNULongLink => extensions.link = until_nul(),
            _ => {
                for record in PaxExtensions::new(&bytes).flatten() {
                    match record.key_bytes() {
                        b"path" => extensions.name = text(record.value_bytes()),
                        b"linkpath" => extensions.link = text(record.value_bytes()),
                        b"size" => {
                            extensions.size =
                                text(record.value_bytes()).and_then(|size| size.parse().ok());
                        }
                        key if key.starts_with(b"GNU.sparse.") => extensions.sparse = true,
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes a file or a link. Sparse files are left out: their content is not in one place.
    fn add(&mut self, header: &Header, kind: EntryType, extent: Extent, more: Extensions) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let Some(name) = more.name.or_else(|| text(&header.path_bytes())) else {
            return;
        };
        let Some(name) = plain(Path::new(""), Path::new(&name)) else {
            return;
        };
        let target = |base: &Path| {
            let target = more
                .link
                .clone()
                .or_else(|| text(&header.link_name_bytes()?))?;
            plain(base, Path::new(&target)).map(ArchiveEntry::Link)
        };
        let entry = match kind {
            EntryType::Regular | EntryType::Continuous if !more.sparse => {
                Some(ArchiveEntry::File(extent))
            }
            // A hard link is relative to the top, a symbolic one to its directory.
            EntryType::Link => target(Path::new("")),
            EntryType::Symlink => target(Path::new(&name).parent().unwrap_or(Path::new(""))),
            _ => None,
        };
        self.entries.extend(entry.map(|entry| (name, entry)));
    }

    /// Where the file called `name` lies.
    pub(super) fn find(&self, name: &str) -> Option<Extent> {
        let mut name = plain(Path::new(""), Path::new(name))?;
        for _ in 0..MAX_LINKS {
            match self.entries.get(&name)? {
                ArchiveEntry::File(extent) => return Some(*extent),
                ArchiveEntry::Link(target) => name = target.clone(),
            }
        }
        None
    }

    /// Reads a range from `offset` in it on.
    pub(super) fn reader(&self, extent: Extent, offset: u64) -> FileRangeReader {
        FileRangeReader::new(
            &self.path,
            self.file.clone(),
            extent.begin + offset,
            extent.begin + extent.size,
        )
    }

    /// Reads a range whole, if it has no more than `limit` bytes.
    pub(super) fn bytes(&self, extent: Extent, limit: u64) -> Result<Vec<u8>, Error> {
        if extent.size > limit {
            return Err(self.wrong(format!(
                "a manifest of {} bytes; at most {limit} are read",
                extent.size
            )));
        }
        let mut bytes = vec![0; usize::try_from(extent.size).unwrap_or(usize::MAX)];
        self.read_at(&mut bytes, extent.begin).map(|()| bytes)
    }

    /// Fills `buffer` from `position` on.
    pub(super) fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<(), Error> {
        let read = self.file.read_exact_at(buffer, position);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.wrong("the file is cut off"),
            _ => Error::file(&self.path)(error),
        })
    }

    fn wrong(&self, what: impl Into<String>) -> Error {
        wrong(&self.path, what.into())
    }
}

/// What extended headers say about the next file.
#[derive(Default)]
struct Extensions {
    name: Option<String>,
    link: Option<String>,
    size: Option<u64>,
    sparse: bool,
}

fn is_extension(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::GNULongName
            | EntryType::GNULongLink
            | EntryType::XHeader
            | EntryType::XGlobalHeader
    )
}

/// The size in a header; `None` if the block is not a header.
fn header_size(header: &Header) -> Option<u64> {
    let bytes = header.as_bytes();
    // The checksum counts its own eight bytes as spaces (POSIX, pax, "ustar Interchange Format").
    let sum: u32 = bytes[..148]
        .iter()
        .chain(&bytes[156..])
        .map(|&byte| u32::from(byte))
        .sum();
    let is_header = header.cksum().ok()? == sum + 8 * 32;
    if is_header {
        header.entry_size().ok()
    } else {
        None
    }
}

fn wrong(path: &Path, what: String) -> Error {
    Error::Layout {
        path: path.to_owned(),
        what,
        missing: false,
    }
}

/// A path inside the archive, without `.` and `..`; `None` if it leads out.
fn plain(base: &Path, path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for component in base.components().chain(path.components()) {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

fn compression_of_file(file: &File) -> io::Result<Option<Compression>> {
    let mut magic = [0; 6];
    let length = file.read_at(&mut magic, 0)?;
    Ok(Compression::of(&magic[..length]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(build: impl FnOnce(&mut tar::Builder<File>)) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar");
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        build(&mut builder);
        builder.finish().unwrap();
        (directory, path)
    }

    fn add(builder: &mut tar::Builder<File>, name: &str, kind: EntryType, link: &str, data: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        if matches!(kind, EntryType::Link | EntryType::Symlink) {
            builder.append_link(&mut header, name, link).unwrap();
        } else {
            builder.append_data(&mut header, name, data).unwrap();
        }
    }

    #[test]
    fn paths_stay_inside() {
        assert_eq!(
            plain(Path::new("a/b"), Path::new("../c/./d")).as_deref(),
            Some("a/c/d")
        );
        assert_eq!(plain(Path::new("a"), Path::new("../../c")), None);
        assert_eq!(plain(Path::new(""), Path::new("/etc/passwd")), None);
    }

    #[test]
    fn links_are_followed_and_loops_are_not() {
        let (_directory, path) = archive(|builder| {
            let (file, link) = (EntryType::Regular, EntryType::Symlink);
            add(builder, "./one/layer.tar", file, "", b"layer");
            add(builder, "two/layer.tar", link, "../one/layer.tar", b"");
            add(builder, "three", EntryType::Link, "two/layer.tar", b"");
            add(builder, "loop", link, "loop", b"");
        });
        let entries = ArchiveEntries::read(&path).unwrap();
        for name in ["one/layer.tar", "two/layer.tar", "./three"] {
            let extent = entries.find(name).unwrap();
            assert_eq!(entries.bytes(extent, 10).unwrap(), b"layer", "{name}");
        }
        assert!(entries.find("loop").is_none() && entries.find("four").is_none());
    }

    #[test]
    fn long_names_of_both_kinds_are_read() {
        let long = format!("{}/layer.tar", "directory/".repeat(30));
        let (_directory, path) = archive(|builder| {
            add(builder, &long, EntryType::Regular, "", b"gnu");
            let records = [("path", "pax/layer.tar".as_bytes()), ("size", b"3")];
            builder.append_pax_extensions(records).unwrap();
            add(builder, "short", EntryType::Regular, "", b"pax");
            add(builder, "last", EntryType::Regular, "", b"end");
        });
        let entries = ArchiveEntries::read(&path).unwrap();
        for (name, content) in [
            (long.as_str(), b"gnu"),
            ("pax/layer.tar", b"pax"),
            ("last", b"end"),
        ] {
            let extent = entries.find(name).unwrap();
            assert_eq!(entries.bytes(extent, 10).unwrap(), content, "{name}");
        }
        assert!(entries.find("short").is_none());
    }

    /// A sparse file makes lengths of some gigabytes cheap.
    #[test]
    fn an_extended_header_of_three_gigabytes_is_not_read() {
        for kind in [
            EntryType::XHeader,
            EntryType::GNULongName,
            EntryType::GNULongLink,
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("a.tar");
            let mut header = Header::new_ustar();
            header.set_entry_type(kind);
            header.set_size(3 << 30);
            header.set_path("x").unwrap();
            header.set_cksum();
            let file = File::create(&path).unwrap();
            file.write_all_at(header.as_bytes(), 0).unwrap();
            file.set_len((3 << 30) + 2 * BLOCK).unwrap();
            let error = ArchiveEntries::read(&path).err().unwrap().to_string();
            assert!(
                error.ends_with("an extended header of 3221225472 bytes; at most 65536 are read"),
                "{error}"
            );
        }
    }

    #[test]
    fn another_file_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar");
        let error = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            ArchiveEntries::read(&path).err().unwrap().to_string()
        };
        assert!(error(&[b'x'; 2000]).ends_with("not a tar file"));
        assert!(error(b"").ends_with("not a tar file"));
        let mut header = Header::new_ustar();
        header.set_size(u64::MAX);
        header.set_cksum();
        assert!(error(header.as_bytes()).ends_with("not a tar file"));
        assert!(
            ArchiveEntries::read(directory.path())
                .err()
                .unwrap()
                .to_string()
                .ends_with("not a regular file")
        );
    }

    #[test]
    fn fuzz_archive() {
        let (directory, path) = archive(|builder| {
            add(builder, "manifest.json", EntryType::Regular, "", b"[]");
            add(builder, &"long/".repeat(40), EntryType::Regular, "", b"x");
            add(builder, "link", EntryType::Symlink, "manifest.json", b"");
        });
        let seed = std::fs::read(&path).unwrap();
        let path = directory.path().join("mutated.tar");
        fuzz::target("archive", &[&seed[..seed.len().min(8 * 1024)]], |bytes| {
            std::fs::write(&path, bytes).unwrap();
            let Ok(entries) = ArchiveEntries::read(&path) else {
                return false;
            };
            entries
                .find("link")
                .is_none_or(|extent| entries.bytes(extent, 1 << 20).is_ok())
        });
    }
}
