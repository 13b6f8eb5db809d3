//! Reading a LevelDB, the store of `docker_auth` on one machine, to import it.
//!
//! A LevelDB is a directory. Tables (`000007.ldb`) have entries in the order of their keys, a log
//! (`000009.log`) has the last changes, and a *manifest* names the tables that count. Each change has
//! a number, and of several values of a key the one with the highest number counts.
//!
//! This reads and never writes: a library for LevelDB would finish what a server left unfinished,
//! and so change the only copy. What is damaged is left out and named.

mod bytes;
mod log;
mod manifest;
mod table;
mod write_batch;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crc::{CRC_32_ISCSI, Crc};

use self::manifest::LiveFiles;

/// The largest file that is read, in bytes: it is held in memory.
const MAX_FILE: u64 = 1024 * 1024 * 1024;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// What a LevelDB has.
#[derive(Debug)]
pub struct LevelDb {
    /// The value of each key.
    pub entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What could not be read, a line each. If there is any, an entry may be missing or too old.
    pub damage: Vec<String>,
}

/// Why a directory is not read at all.
#[derive(Debug, thiserror::Error)]
pub enum LevelDbError {
    /// It has no file `CURRENT`.
    #[error("{} is not a LevelDB: it has no file CURRENT", .0.display())]
    NotADatabase(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {}", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// A file is larger than a store of sign-ins ever is.
    #[error("{} is larger than 1 GiB", .0.display())]
    TooLarge(PathBuf),
    /// Without it nothing is known of the other files.
    #[error("the manifest {} is damaged", .0.display())]
    Manifest(PathBuf),
    /// Keys have another order than `docker_auth`'s.
    #[error("its keys are ordered by {0:?}: it is not docker_auth's")]
    Comparator(String),
}

/// A change of a key: its number, and the value or `None` if the key was removed.
#[derive(Clone, PartialEq, Eq)]
struct KeyChange {
    key: Vec<u8>,
    number: u64,
    value: Option<Vec<u8>>,
}

impl LevelDb {
    /// Reads the database in `directory`. No server should use it meanwhile: read a copy of the
    /// directory if one does.
    ///
    /// # Errors
    /// When it is not a LevelDB, or cannot be read.
    pub fn read(directory: &Path) -> Result<Self, LevelDbError> {
        let current = directory.join("CURRENT");
        if !current.exists() {
            return Err(LevelDbError::NotADatabase(directory.to_owned()));
        }
        let name = String::from_utf8(read_file(&current)?).unwrap_or_default();
        let name = name.trim_end();
        let path = directory.join(name);
        let is_name = name.starts_with("MANIFEST-") && !name.contains('/');
        if !is_name {
            return Err(LevelDbError::Manifest(current));
        }
        let live = LiveFiles::parse(&read_file(&path)?);
        let live = live.ok_or(LevelDbError::Manifest(path))?;
        if let Some(other) = live.other_comparator() {
            return Err(LevelDbError::Comparator(other.to_owned()));
        }
        let mut newest = BTreeMap::new();
        let mut damage = Vec::new();
        for number in &live.tables {
            read_table(directory, *number, &mut newest, &mut damage)?;
        }
        for (number, file) in logs(directory)? {
            if live.counts_log(number) {
                read_log(&file, &mut newest, &mut damage)?;
            }
        }
        let entries = newest.into_iter();
        Ok(Self {
            entries: entries
                .filter_map(|(key, (_, value))| Some((key, value?)))
                .collect(),
            damage,
        })
    }
}

/// The newest value of each key, with its number.
type Newest = BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)>;

fn keep_newest(newest: &mut Newest, change: KeyChange) {
    let known = newest.get(&change.key);
    if known.is_none_or(|(number, _)| change.number >= *number) {
        newest.insert(change.key, (change.number, change.value));
    }
}

fn read_table(
    directory: &Path,
    number: u64,
    newest: &mut Newest,
    damage: &mut Vec<String>,
) -> Result<(), LevelDbError> {
    // Older libraries call tables `.sst`.
    let names = ["ldb", "sst"].map(|end| directory.join(format!("{number:06}.{end}")));
    let Some(file) = names.iter().find(|file| file.exists()) else {
        damage.push(format!("the table {} is missing", names[0].display()));
        return Ok(());
    };
    let mut changes = Vec::new();
    for place in table::read(&read_file(file)?, &mut changes) {
        damage.push(format!("{}: {place}", file.display()));
    }
    changes
        .into_iter()
        .for_each(|change| keep_newest(newest, change));
    Ok(())
}

fn read_log(
    file: &Path,
    newest: &mut Newest,
    damage: &mut Vec<String>,
) -> Result<(), LevelDbError> {
    let (records, places) = log::records(&read_file(file)?);
    damage.extend(
        places
            .into_iter()
            .map(|place| format!("{}: {place}", file.display())),
    );
    for record in records {
        let mut changes = Vec::new();
        if write_batch::read(&record, &mut changes).is_none() {
            damage.push(format!("{}: a change is damaged", file.display()));
        }
        changes
            .into_iter()
            .for_each(|change| keep_newest(newest, change));
    }
    Ok(())
}

/// The logs with their numbers, the oldest first.
fn logs(directory: &Path) -> Result<BTreeMap<u64, PathBuf>, LevelDbError> {
    let failed = |error| LevelDbError::File(directory.to_owned(), error);
    let mut logs = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        if let Some(Ok(number)) = number.map(str::parse) {
            logs.insert(number, directory.join(&name));
        }
    }
    Ok(logs)
}

fn read_file(file: &Path) -> Result<Vec<u8>, LevelDbError> {
    let failed = |error| LevelDbError::File(file.to_owned(), error);
    if fs::metadata(file).map_err(failed)?.len() > MAX_FILE {
        return Err(LevelDbError::TooLarge(file.to_owned()));
    }
    fs::read(file).map_err(failed)
}

/// CRC-32C of `parts`, changed as LevelDB stores it.
fn checksum(parts: &[&[u8]]) -> u32 {
    let mut digest = CRC.digest();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize().rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn vector(name: &str, file: &str) -> Vec<u8> {
        let vectors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/leveldb");
        fs::read(vectors.join(name).join(file)).unwrap()
    }

    #[test]
    fn fuzz_leveldb_log() {
        let seeds = [
            vector("reopened", "000006.log"),
            vector("compacted", "000005.log"),
        ];
        fuzz::target("leveldb_log", &seeds, |bytes| {
            let (records, damage) = log::records(bytes);
            let mut changes = Vec::new();
            let read = records
                .iter()
                .map(|record| write_batch::read(record, &mut changes));
            read.count() > 0 && damage.is_empty()
        });
    }

    #[test]
    fn fuzz_leveldb_table() {
        let seeds = [
            vector("reopened", "000002.ldb"),
            vector("compacted", "000007.ldb"),
        ];
        fuzz::target("leveldb_table", &seeds, |bytes| {
            let mut changes = Vec::new();
            table::read(bytes, &mut changes).is_empty()
        });
    }

    #[test]
    fn fuzz_leveldb_manifest() {
        let seeds = [
            vector("reopened", "MANIFEST-000007"),
            vector("compacted", "MANIFEST-000004"),
        ];
        fuzz::target("leveldb_manifest", &seeds, |bytes| {
            LiveFiles::parse(bytes).is_some()
        });
    }
}
