//! SHA-256 and SHA-512 whose state can be saved and resumed.
//!
//! An upload arrives in several requests, perhaps with a restart of the server in between. Its hash
//! goes on where it was if the state of the hash is kept with the upload: then nothing is read a
//! second time. No safe interface of AWS-LC gives that state away, but the fields of its contexts
//! are public. This crate wraps the contexts, and is the only one of the workspace that may use
//! `unsafe`. The `sha2` crate can save its state, too, but is several times slower on processors without
//! SHA extensions.
//!
//! The saved form is the same for every implementation of FIPS 180-4: one byte for the algorithm,
//! the eight words of the state, the number of bytes so far (big-endian, all of them), and the bytes
//! that do not fill a block yet.
//!
//! ```
//! use hash_state::{Function, Hasher};
//!
//! let mut hasher = Hasher::new(Function::Sha256);
//! hasher.update(b"hello ");
//! let saved = hasher.save();
//!
//! let mut resumed = Hasher::resume(&saved).unwrap();
//! resumed.update(b"world");
//! hasher.update(b"world");
//! assert_eq!(resumed.finish(), hasher.finish());
//! ```

use std::ffi::c_uint;
use std::fmt;

use aws_lc_sys::{
    SHA256_CTX, SHA256_Final, SHA256_Init, SHA256_Update, SHA512_CTX, SHA512_Final, SHA512_Init,
    SHA512_Update, sha256_state_st, sha512_state_st,
};

/// Bytes of the number of bytes so far, in the saved form.
const LENGTH: usize = 8;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// A hash under way. A clone goes on independently.
#[derive(Clone)]
pub struct Hasher(Context);

#[derive(Clone)]
enum Context {
    Sha256(SHA256_CTX),
    Sha512(SHA512_CTX),
}

impl Hasher {
    /// The hash of nothing yet.
    #[must_use]
    pub fn new(function: Function) -> Self {
        Self(match function {
            Function::Sha256 => {
                let mut context = EMPTY_256;
                // SAFETY: the context is valid, and this only writes to it. It cannot fail.
                unsafe { SHA256_Init(&raw mut context) };
                Context::Sha256(context)
            }
            Function::Sha512 => {
                let mut context = EMPTY_512;
                // SAFETY: as for SHA-256.
                unsafe { SHA512_Init(&raw mut context) };
                Context::Sha512(context)
            }
        })
    }

    /// The hash function.
    #[must_use]
    pub fn function(&self) -> Function {
        match self.0 {
            Context::Sha256(_) => Function::Sha256,
            Context::Sha512(_) => Function::Sha512,
        }
    }

    /// Hashes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let (data, length) = (bytes.as_ptr().cast(), bytes.len());
        match &mut self.0 {
            // SAFETY: `data` is valid for reads of `length` bytes. The context is one that
            // `SHA256_Init` has written, or one with `num` below the length of a block
            // (`resume` checks that), which is all that this function relies on.
            Context::Sha256(context) => unsafe {
                SHA256_Update(context, data, length);
            },
            // SAFETY: as for SHA-256.
            Context::Sha512(context) => unsafe {
                SHA512_Update(context, data, length);
            },
        }
    }

    /// The hash of all bytes: 32 bytes for SHA-256, 64 for SHA-512.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        match &mut self.0 {
            Context::Sha256(context) => {
                let mut hash = vec![0; 32];
                // SAFETY: `hash` is valid for writes of 32 bytes, and `md_len` is 32: it is set by
                // `SHA256_Init`, and nothing here changes it. The context is valid as in `update`.
                unsafe { SHA256_Final(hash.as_mut_ptr(), context) };
                hash
            }
            Context::Sha512(context) => {
                let mut hash = vec![0; 64];
                // SAFETY: as for SHA-256, with 64 bytes.
                unsafe { SHA512_Final(hash.as_mut_ptr(), context) };
                hash
            }
        }
    }

    /// The state, to be resumed later.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        match &self.0 {
            Context::Sha256(context) => {
                let bits = u64::from(context.Nh) << 32 | u64::from(context.Nl);
                let words = context.h.iter().flat_map(|word| word.to_be_bytes());
                saved(1, words, bits / 8, &context.data[..context.num as usize])
            }
            Context::Sha512(context) => {
                let bits = u128::from(context.Nh) << 64 | u128::from(context.Nl);
                let words = context.h.iter().flat_map(|word| word.to_be_bytes());
                let length = (bits / 8) as u64;
                saved(2, words, length, &context.p[..context.num as usize])
            }
        }
    }

    /// Goes on from a saved state. `None` if that is not a state that [`save`](Self::save) gives.
    #[must_use]
    pub fn resume(saved: &[u8]) -> Option<Self> {
        let (function, rest) = saved.split_first()?;
        match function {
            1 => {
                let (words, length, pending) = parts::<4, 64>(rest)?;
                let mut hasher = Self::new(Function::Sha256);
                let Context::Sha256(context) = &mut hasher.0 else {
                    return None;
                };
                context.h = words.map(u32::from_be_bytes);
                let bits = length.checked_mul(8)?;
                (context.Nl, context.Nh) = (bits as u32, (bits >> 32) as u32);
                context.data[..pending.len()].copy_from_slice(pending);
                context.num = pending.len() as c_uint;
                Some(hasher)
            }
            2 => {
                let (words, length, pending) = parts::<8, 128>(rest)?;
                let mut hasher = Self::new(Function::Sha512);
                let Context::Sha512(context) = &mut hasher.0 else {
                    return None;
                };
                context.h = words.map(u64::from_be_bytes);
                (context.Nl, context.Nh) = (length.checked_mul(8)?, 0);
                context.p[..pending.len()].copy_from_slice(pending);
                context.num = pending.len() as c_uint;
                Some(hasher)
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.function()).finish()
    }
}

const EMPTY_256: SHA256_CTX = sha256_state_st {
    h: [0; 8],
    Nl: 0,
    Nh: 0,
    data: [0; 64],
    num: 0,
    md_len: 0,
};

const EMPTY_512: SHA512_CTX = sha512_state_st {
    h: [0; 8],
    Nl: 0,
    Nh: 0,
    p: [0; 128],
    num: 0,
    md_len: 0,
};

fn saved(function: u8, words: impl Iterator<Item = u8>, length: u64, pending: &[u8]) -> Vec<u8> {
    let mut saved = vec![function];
    saved.extend(words);
    saved.extend(length.to_be_bytes());
    saved.extend(pending);
    saved
}

/// The words, the number of bytes so far, and the bytes that do not fill a block yet.
type SavedParts<'a, const WORD: usize> = ([[u8; WORD]; 8], u64, &'a [u8]);

/// Takes a saved state apart: there must be exactly as many pending bytes as its length says.
fn parts<const WORD: usize, const BLOCK: u64>(bytes: &[u8]) -> Option<SavedParts<'_, WORD>> {
    let (words, rest) = bytes.split_at_checked(8 * WORD)?;
    let (length, pending) = rest.split_at_checked(LENGTH)?;
    let length = u64::from_be_bytes(length.try_into().ok()?);
    if pending.len() as u64 != length % BLOCK {
        return None;
    }
    let (words, _) = words.as_chunks::<WORD>();
    Some((words.try_into().ok()?, length, pending))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, SHA512, digest};
    use proptest::prelude::*;

    use super::*;

    fn reference(function: Function, bytes: &[u8]) -> Vec<u8> {
        let function = match function {
            Function::Sha256 => &SHA256,
            Function::Sha512 => &SHA512,
        };
        digest(function, bytes).as_ref().to_vec()
    }

    proptest! {
        #[test]
        fn saved_and_resumed_between_any_pieces_it_is_the_hash_of_the_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            long in any::<bool>(),
        ) {
            let function = if long { Function::Sha512 } else { Function::Sha256 };
            let mut hasher = Hasher::new(function);
            for piece in &pieces {
                hasher.update(piece);
                let resumed = Hasher::resume(&hasher.save()).unwrap();
                prop_assert_eq!(resumed.save(), hasher.save());
                hasher = resumed;
            }
            prop_assert_eq!(hasher.finish(), reference(function, &pieces.concat()));
        }

        #[test]
        fn no_bytes_make_a_state_that_cannot_be_used(bytes in prop::collection::vec(any::<u8>(), 0..220)) {
            if let Some(mut hasher) = Hasher::resume(&bytes) {
                prop_assert_eq!(hasher.save(), bytes);
                hasher.update(&[1; 200]);
                let _ = hasher.finish();
            }
        }
    }

    #[test]
    fn every_length_around_a_block_is_resumed() {
        for function in [Function::Sha256, Function::Sha512] {
            for length in 0..260 {
                let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
                let mut hasher = Hasher::new(function);
                hasher.update(&bytes);
                let mut resumed = Hasher::resume(&hasher.save()).unwrap();
                resumed.update(b"more");
                let whole = [&bytes[..], b"more"].concat();
                assert_eq!(resumed.finish(), reference(function, &whole), "{length}");
            }
        }
    }

    #[test]
    fn the_number_of_bytes_goes_beyond_32_bits_of_bits() {
        let block = vec![7; 1 << 20];
        let mut hasher = Hasher::new(Function::Sha256);
        for _ in 0..513 {
            hasher.update(&block);
        }
        let resumed = Hasher::resume(&hasher.save()).unwrap();
        assert_eq!(resumed.finish(), hasher.finish());
    }

    #[test]
    fn what_is_not_a_state_is_refused() {
        let good = Hasher::new(Function::Sha256).save();
        assert!(Hasher::resume(&good).is_some());
        for bad in [
            &[][..],
            &[1],
            &[3; 41],
            &good[..40],
            &[&good[..], b"x"].concat(),
        ] {
            assert!(Hasher::resume(bad).is_none(), "{bad:?}");
        }
        // So many bytes that their bits cannot be counted.
        let mut far = good.clone();
        far[33..41].copy_from_slice(&(u64::MAX - 63).to_be_bytes());
        assert!(Hasher::resume(&far).is_none());
    }
}
