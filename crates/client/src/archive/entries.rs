//! Where in a tar file its files lie, so that each can be read without the others.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tar::EntryType;

use crate::Error;
use crate::transfer::FileReader;

/// How many files an archive may have.
const MOST: usize = 100_000;
/// How often a link may lead to a link.
const DEEPEST: usize = 8;

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

/// A stretch of the tar file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) begin: u64,
    pub(super) size: u64,
}

impl ArchiveEntries {
    /// Looks through the whole file once, without reading what is in its files.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::file(path))?;
        let wrong = |what: String| Error::Layout {
            path: path.to_owned(),
            what,
            missing: false,
        };
        if let Some(compression) = compression(&file).map_err(Error::file(path))? {
            return Err(wrong(format!(
                "is compressed with {compression}: decompress it first"
            )));
        }
        let mut entries = HashMap::new();
        let mut archive =
            tar::Archive::new(BufReader::new(file.try_clone().map_err(Error::file(path))?));
        let listed = archive.entries_with_seek().map_err(Error::file(path))?;
        for entry in listed {
            let entry = entry.map_err(|error| wrong(format!("is no tar file: {error}")))?;
            if entries.len() == MOST {
                return Err(wrong(format!("has more than {MOST} files")));
            }
            let Some(name) = entry
                .path()
                .ok()
                .and_then(|path| plain(Path::new(""), &path))
            else {
                continue;
            };
            let target = |base: &Path| {
                entry
                    .link_name()
                    .ok()
                    .flatten()
                    .and_then(|target| plain(base, &target))
            };
            let kept = match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    Some(ArchiveEntry::File(Extent {
                        begin: entry.raw_file_position(),
                        size: entry.size(),
                    }))
                }
                // A hard link is named from the top, a symbolic one from where it lies.
                EntryType::Link => target(Path::new("")).map(ArchiveEntry::Link),
                EntryType::Symlink => target(Path::new(&name).parent().unwrap_or(Path::new("")))
                    .map(ArchiveEntry::Link),
                _ => None,
            };
            entries.extend(kept.map(|kept| (name, kept)));
        }
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            entries,
        })
    }

    /// Where the file called `name` lies.
    pub(super) fn find(&self, name: &str) -> Option<Extent> {
        let mut name = plain(Path::new(""), Path::new(name))?;
        for _ in 0..DEEPEST {
            match self.entries.get(&name)? {
                ArchiveEntry::File(extent) => return Some(*extent),
                ArchiveEntry::Link(target) => name = target.clone(),
            }
        }
        None
    }

    /// Reads a stretch from `offset` in it on.
    pub(super) fn reader(&self, extent: Extent, offset: u64) -> FileReader {
        FileReader::new(
            &self.path,
            self.file.clone(),
            extent.begin + offset,
            extent.begin + extent.size,
        )
    }

    /// Reads a stretch whole, when it is no longer than `limit`.
    pub(super) fn bytes(&self, extent: Extent, limit: u64) -> Result<Vec<u8>, Error> {
        if extent.size > limit {
            let what = format!("holds a manifest of {} bytes", extent.size);
            return Err(Error::Layout {
                path: self.path.clone(),
                what,
                missing: false,
            });
        }
        let mut bytes = vec![0; usize::try_from(extent.size).unwrap_or(usize::MAX)];
        self.read_at(&mut bytes, extent.begin).map(|()| bytes)
    }

    /// Fills `buffer` from `position` on.
    pub(super) fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<(), Error> {
        std::os::unix::fs::FileExt::read_exact_at(&*self.file, buffer, position).map_err(|error| {
            match error.kind() {
                io::ErrorKind::UnexpectedEof => Error::Layout {
                    path: self.path.clone(),
                    what: "ends too early".to_owned(),
                    missing: false,
                },
                _ => Error::file(&self.path)(error),
            }
        })
    }
}

/// A path inside the archive, without `.` and `..`; none when it leads out.
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

/// What a file is compressed with, by its first bytes.
fn compression(file: &File) -> io::Result<Option<&'static str>> {
    let mut magic = [0; 6];
    let length = std::os::unix::fs::FileExt::read_at(file, &mut magic, 0)?;
    Ok(compression_of(&magic[..length]))
}

pub(super) fn compression_of(bytes: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 4] = [
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
    ];
    known
        .into_iter()
        .find(|(magic, _)| bytes.starts_with(magic))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar");
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        let add = |builder: &mut tar::Builder<File>,
                   name: &str,
                   kind: EntryType,
                   link: &str,
                   data: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(data.len() as u64);
            if kind == EntryType::Regular {
                builder.append_data(&mut header, name, data).unwrap();
            } else {
                builder.append_link(&mut header, name, link).unwrap();
            }
        };
        add(
            &mut builder,
            "./one/layer.tar",
            EntryType::Regular,
            "",
            b"layer",
        );
        add(
            &mut builder,
            "two/layer.tar",
            EntryType::Symlink,
            "../one/layer.tar",
            b"",
        );
        add(&mut builder, "three", EntryType::Link, "two/layer.tar", b"");
        add(&mut builder, "loop", EntryType::Symlink, "loop", b"");
        builder.finish().unwrap();
        let entries = ArchiveEntries::read(&path).unwrap();
        for name in ["one/layer.tar", "two/layer.tar", "./three"] {
            let extent = entries.find(name).unwrap();
            assert_eq!(entries.bytes(extent, 10).unwrap(), b"layer", "{name}");
        }
        assert!(entries.find("loop").is_none() && entries.find("four").is_none());
    }

    #[test]
    fn what_is_no_archive_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar");
        let wrong = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            ArchiveEntries::read(&path).err().unwrap().to_string()
        };
        assert!(
            wrong(b"\x1f\x8b\x08rest").ends_with("is compressed with gzip: decompress it first")
        );
        assert!(wrong(&[b'x'; 2000]).contains("is no tar file"));
    }
}
