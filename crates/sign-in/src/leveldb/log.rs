//! Logs: records in blocks of 32 KiB. Manifests have this form, too.
//!
//! A record has a checksum, a length and a type before it, and is divided where a block ends.

use super::bytes::Bytes;
use super::checksum;

const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// The records of a log, and the places at which it is damaged. What a server was writing when it
/// was killed is such a place at the end.
pub(super) fn records(log: &[u8]) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    let mut begun: Option<Vec<u8>> = None;
    for (place, block) in log.chunks(BLOCK).enumerate() {
        let mut rest = Bytes(block);
        // What is left of a block after its last record is shorter than a header, and zero.
        while rest.0.len() >= HEADER && rest.0.iter().any(|byte| *byte != 0) {
            let offset = place * BLOCK + block.len() - rest.0.len();
            let Some((kind, data)) = fragment(&mut rest) else {
                damage.push(format!("damaged at byte {offset}"));
                begun = None;
                break;
            };
            match (kind, begun.take()) {
                (FULL, None) => records.push(data.to_vec()),
                (FIRST, None) => begun = Some(data.to_vec()),
                (MIDDLE, Some(mut record)) => {
                    record.extend_from_slice(data);
                    begun = Some(record);
                }
                (LAST, Some(mut record)) => {
                    record.extend_from_slice(data);
                    records.push(record);
                }
                _ => damage.push(format!("a part of a record is missing at byte {offset}")),
            }
        }
    }
    if begun.is_some() {
        damage.push("its last record is incomplete".to_owned());
    }
    (records, damage)
}

/// A record or a part of one; `None` if it is damaged.
fn fragment<'a>(block: &mut Bytes<'a>) -> Option<(u8, &'a [u8])> {
    let sum = block.u32()?;
    let length = block.u16()?;
    let kind = block.u8()?;
    let data = block.take(length.into())?;
    (checksum(&[&[kind], data]) == sum).then_some((kind, data))
}
