//! Tables: blocks of entries, and an index of the blocks.
//!
//! The last 48 bytes say where the index is. Each entry of the index says where a block is. A key
//! has only what differs from the key before it, and behind it the number and type of its change.

use super::bytes::Bytes;
use super::write_batch::is_value;
use super::{KeyChange, checksum};

const FOOTER: usize = 48;
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;

/// The largest block, uncompressed. Usual ones have 4 KiB; a large value makes a larger one.
const MAX_BLOCK: usize = 64 * 1024 * 1024;

/// Adds the changes of a table, and says where it is damaged.
pub(super) fn read(file: &[u8], changes: &mut Vec<KeyChange>) -> Vec<String> {
    let Some(index) = index(file) else {
        return vec!["its index is damaged".to_owned()];
    };
    let mut damage = Vec::new();
    let is_whole = each_entry(&index, |_, place| {
        let mut place = Bytes(place);
        let (offset, length) = (place.length()?, place.length()?);
        let block = block(file, offset, length);
        let block = block.and_then(|block| {
            each_entry(&block, |key, value| {
                changes.push(change(key, value)?);
                Some(())
            })
        });
        if block.is_none() {
            damage.push(format!("the block at byte {offset} is damaged"));
        }
        Some(())
    });
    if is_whole.is_none() {
        damage.push("its index is damaged".to_owned());
    }
    damage
}

fn index(file: &[u8]) -> Option<Vec<u8>> {
    let mut footer = Bytes(file.get(file.len().checked_sub(FOOTER)?..)?);
    let mut end = Bytes(&footer.0[FOOTER - 8..]);
    if end.u64()? != MAGIC {
        return None;
    }
    // The place of the filters comes first.
    let _filters = (footer.length()?, footer.length()?);
    let (offset, length) = (footer.length()?, footer.length()?);
    block(file, offset, length)
}

/// A block without its compression.
fn block(file: &[u8], offset: usize, length: usize) -> Option<Vec<u8>> {
    let mut bytes = Bytes(file.get(offset..)?);
    let data = bytes.take(length)?;
    let compression = bytes.u8()?;
    if checksum(&[data, &[compression]]) != bytes.u32()? {
        return None;
    }
    match compression {
        0 => Some(data.to_vec()),
        1 if snap::raw::decompress_len(data).ok()? <= MAX_BLOCK => {
            snap::raw::Decoder::new().decompress_vec(data).ok()
        }
        _ => None,
    }
}

/// Calls `visit` with the key and value of each entry. `None` if the block is damaged, or `visit`
/// says so.
fn each_entry(block: &[u8], mut visit: impl FnMut(&[u8], &[u8]) -> Option<()>) -> Option<()> {
    // A list of places at which keys are whole, and its length.
    let (before, count) = block.split_at_checked(block.len().checked_sub(4)?)?;
    let restarts = usize::try_from(Bytes(count).u32()?).ok()?.checked_mul(4)?;
    let mut entries = Bytes(before.get(..before.len().checked_sub(restarts)?)?);
    let mut key = Vec::new();
    while !entries.is_empty() {
        let (shared, unshared, length) = (entries.length()?, entries.length()?, entries.length()?);
        if shared > key.len() {
            return None;
        }
        key.truncate(shared);
        key.extend_from_slice(entries.take(unshared)?);
        visit(&key, entries.take(length)?)?;
    }
    Some(())
}

fn change(key: &[u8], value: &[u8]) -> Option<KeyChange> {
    let (key, end) = key.split_at_checked(key.len().checked_sub(8)?)?;
    let end = Bytes(end).u64()?;
    let is_value = is_value(u8::try_from(end & 0xff).ok()?)?;
    Some(KeyChange {
        key: key.to_vec(),
        number: end >> 8,
        value: is_value.then(|| value.to_vec()),
    })
}
