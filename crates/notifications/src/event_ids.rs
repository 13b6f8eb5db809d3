//! The ids of events.

use std::sync::{Arc, Mutex, PoisonError};

use common::{Entropy, EntropyError};

/// How many ids are made of what the system is asked for at once. It takes as long for one.
const AT_ONCE: usize = 64;
/// How many random bytes an id has.
const ID_BYTES: usize = 16;

/// Makes random UUIDs.
pub(crate) struct EventIds {
    entropy: Arc<dyn Entropy>,
    random: Mutex<RandomBytes>,
}

/// Random bytes, of which each is used once.
struct RandomBytes {
    bytes: [u8; AT_ONCE * ID_BYTES],
    used: usize,
}

impl EventIds {
    pub(crate) fn new(entropy: Arc<dyn Entropy>) -> Self {
        let random = RandomBytes {
            bytes: [0; AT_ONCE * ID_BYTES],
            used: AT_ONCE * ID_BYTES,
        };
        Self {
            entropy,
            random: Mutex::new(random),
        }
    }

    /// An id that no other event has.
    pub(crate) fn next(&self) -> Result<String, EntropyError> {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        if random.used == random.bytes.len() {
            self.entropy.fill(&mut random.bytes)?;
            random.used = 0;
        }
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&random.bytes[random.used..random.used + ID_BYTES]);
        random.used += ID_BYTES;
        drop(random);
        Ok(uuid(id))
    }
}

/// A random UUID (RFC 9562 §5.4) of these random bytes.
fn uuid(mut random: [u8; ID_BYTES]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (place, byte) in random.into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use common::SystemEntropy;

    use super::*;

    #[test]
    fn a_uuid_says_that_it_is_random() {
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn no_id_is_given_twice() {
        let ids = EventIds::new(Arc::new(SystemEntropy));
        let count = 3 * AT_ONCE + 1;
        let given: HashSet<String> = (0..count).map(|_| ids.next().unwrap()).collect();
        assert_eq!(given.len(), count);
    }
}
