//! The manifest: a log of changes to the set of files that count.

use std::collections::BTreeSet;

use super::bytes::Bytes;
use super::log;

/// The order of keys in `docker_auth`'s databases: byte by byte.
const COMPARATOR: &str = "leveldb.BytewiseComparator";

/// Which files count.
#[derive(Debug, Default)]
pub(super) struct LiveFiles {
    /// The numbers of the tables.
    pub(super) tables: BTreeSet<u64>,
    comparator: String,
    log: u64,
    previous_log: u64,
}

impl LiveFiles {
    /// `None` if it is damaged.
    pub(super) fn parse(file: &[u8]) -> Option<Self> {
        let (records, damage) = log::records(file);
        if records.is_empty() || !damage.is_empty() {
            return None;
        }
        let mut live = Self::default();
        for record in records {
            live.apply(Bytes(&record))?;
        }
        Some(live)
    }

    /// The order of keys, if it is not the usual one.
    pub(super) fn other_comparator(&self) -> Option<&str> {
        (self.comparator != COMPARATOR).then_some(&*self.comparator)
    }

    /// Whether the log with this number has changes that are in no table.
    pub(super) fn counts_log(&self, number: u64) -> bool {
        number >= self.log || (self.previous_log > 0 && number == self.previous_log)
    }

    fn apply(&mut self, mut edit: Bytes<'_>) -> Option<()> {
        while !edit.is_empty() {
            match edit.varint()? {
                1 => self.comparator = String::from_utf8(edit.sized()?.to_vec()).ok()?,
                2 => self.log = edit.varint()?,
                // The next number of a file, and of a change: only a writer needs them.
                3 | 4 => {
                    edit.varint()?;
                }
                // Where the next compaction begins: level, key.
                5 => {
                    edit.varint()?;
                    edit.sized()?;
                }
                6 => {
                    let _level = edit.varint()?;
                    self.tables.remove(&edit.varint()?);
                }
                7 => {
                    let _level = edit.varint()?;
                    self.tables.insert(edit.varint()?);
                    let _size = edit.varint()?;
                    let _range = (edit.sized()?, edit.sized()?);
                }
                9 => self.previous_log = edit.varint()?,
                _ => return None,
            }
        }
        Some(())
    }
}
