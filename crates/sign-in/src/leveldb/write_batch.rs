//! A record of a log: changes that were made together.

use super::KeyChange;
use super::bytes::Bytes;

/// Adds the changes of a record. `None` if it is damaged; those before are added.
pub(super) fn read(record: &[u8], changes: &mut Vec<KeyChange>) -> Option<()> {
    let mut record = Bytes(record);
    let first = record.u64()?;
    let count = record.u32()?;
    for place in 0..u64::from(count) {
        let is_value = is_value(record.u8()?)?;
        let key = record.sized()?.to_vec();
        let value = if is_value {
            Some(record.sized()?.to_vec())
        } else {
            None
        };
        changes.push(KeyChange {
            key,
            number: first.checked_add(place)?,
            value,
        });
    }
    record.is_empty().then_some(())
}

/// Whether a change of this type sets a value. Otherwise it removes the key.
pub(super) fn is_value(kind: u8) -> Option<bool> {
    match kind {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}
