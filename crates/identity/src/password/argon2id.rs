//! argon2id (RFC 9106), as a PHC string: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`.

use std::hint::black_box;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::BASE64_NOPAD;

use super::HashCost;
use super::bounds::{MAX_ARGON2ID_MEMORY, MAX_ARGON2ID_WORK};
use super::cost::Argon2idParameters;

/// The length of a salt, in bytes.
const SALT: std::ops::RangeInclusive<usize> = 8..=64;

/// The length of a hash, in bytes. A shorter one could match by chance.
const HASH: std::ops::RangeInclusive<usize> = 16..=64;

/// An argon2id hash.
#[derive(Clone)]
pub struct Argon2id {
    version: Version,
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Argon2id {
    /// The memory of hashes that this program makes, in KiB: what OWASP's password storage cheat
    /// sheet calls the least for two passes.
    pub const USUAL_MEMORY: u32 = 19_456;
    /// Their passes.
    pub const USUAL_PASSES: u32 = 2;

    /// What a hash with these parameters costs.
    #[must_use]
    pub fn usual_cost() -> HashCost {
        HashCost::argon2id(Argon2idParameters {
            memory: Self::USUAL_MEMORY,
            passes: Self::USUAL_PASSES,
            lanes: 1,
        })
    }

    /// Hashes `password` with `salt`, which must be random, over `memory` KiB in so many `passes`,
    /// on one lane.
    ///
    /// # Errors
    /// When `memory` or `passes` are outside the bounds that hold for reading a hash, too.
    pub fn hash(
        password: &[u8],
        salt: &[u8; 16],
        memory: u32,
        passes: u32,
    ) -> Result<String, Argon2idError> {
        let mut made = Self {
            version: Version::V0x13,
            params: bounded(memory, passes, 1)?,
            salt: salt.to_vec(),
            hash: vec![0; Params::DEFAULT_OUTPUT_LEN],
        };
        made.hash = made.compute(password).ok_or(Argon2idError::Memory)?;
        Ok(format!(
            "$argon2id$v=19$m={memory},t={passes},p=1${}${}",
            BASE64_NOPAD.encode(&made.salt),
            BASE64_NOPAD.encode(&made.hash)
        ))
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        self.compute(password)
            .is_some_and(|hash| verify_slices_are_equal(&hash, &self.hash).is_ok())
    }

    pub(super) fn cost(&self) -> HashCost {
        HashCost::argon2id(Argon2idParameters {
            memory: self.params.m_cost(),
            passes: self.params.t_cost(),
            lanes: self.params.p_cost(),
        })
    }

    fn compute(&self, password: &[u8]) -> Option<Vec<u8>> {
        let mut hash = vec![0; self.hash.len()];
        Argon2::new(Algorithm::Argon2id, self.version, self.params.clone())
            .hash_password_into(password, &self.salt, &mut hash)
            .ok()?;
        Some(hash)
    }
}

impl FromStr for Argon2id {
    type Err = Argon2idError;

    fn from_str(text: &str) -> Result<Self, Argon2idError> {
        let parts: Vec<&str> = text.split('$').collect();
        let ["", "argon2id", parts @ ..] = &parts[..] else {
            return Err(Argon2idError::Parts);
        };
        let (version, parameters, salt, hash) = match parts {
            [version, parameters, salt, hash] => (*version, parameters, salt, hash),
            // The first edition of the format had no version; it is 16.
            [parameters, salt, hash] if !parameters.starts_with("v=") => {
                ("v=16", parameters, salt, hash)
            }
            _ => return Err(Argon2idError::Parts),
        };
        let version = match version {
            "v=19" => Version::V0x13,
            "v=16" => Version::V0x10,
            _ => return Err(Argon2idError::Version),
        };
        let [memory, passes, lanes] = numbers(parameters).ok_or(Argon2idError::Parameters)?;
        Ok(Self {
            version,
            params: bounded(memory, passes, lanes)?,
            salt: decode(salt, &SALT).ok_or(Argon2idError::Salt)?,
            hash: decode(hash, &HASH).ok_or(Argon2idError::Hash)?,
        })
    }
}

/// What is wrong with an argon2id hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Argon2idError {
    /// It does not have the form of a PHC string.
    #[error("write `$argon2id$v=19$m=…,t=…,p=…$<salt>$<hash>`")]
    Parts,
    /// The version of the algorithm is unknown.
    #[error("its version must be v=19 (or v=16)")]
    Version,
    /// The parameters cannot be read.
    #[error("its parameters must be m=<KiB>,t=<passes>,p=<lanes>, in this order")]
    Parameters,
    /// The parameters ask for too little or too much memory.
    #[error("its memory (m) must be between 8 KiB for each lane and 1048576 KiB (1 GiB)")]
    Memory,
    /// The parameters ask for too many passes.
    #[error("its passes (t) must be at least 1, and memory times passes (m·t) at most 8388608")]
    Passes,
    /// The parameters ask for too many lanes.
    #[error("its lanes (p) must be between 1 and 255")]
    Lanes,
    /// The salt cannot be read.
    #[error("its salt must be 8 to 64 bytes in base 64 without padding")]
    Salt,
    /// The hash cannot be read.
    #[error("its hash must be 16 to 64 bytes in base 64 without padding")]
    Hash,
}

/// The three parameters, if they are within bounds that one request can safely cost.
fn bounded(memory: u32, passes: u32, lanes: u32) -> Result<Params, Argon2idError> {
    if !(1..=255).contains(&lanes) {
        return Err(Argon2idError::Lanes);
    }
    if !(8 * lanes..=MAX_ARGON2ID_MEMORY).contains(&memory) {
        return Err(Argon2idError::Memory);
    }
    if passes == 0 || u64::from(memory) * u64::from(passes) > MAX_ARGON2ID_WORK {
        return Err(Argon2idError::Passes);
    }
    Params::new(memory, passes, lanes, None).map_err(|_| Argon2idError::Parameters)
}

/// Computes one hash of these parameters and drops it.
pub(super) fn compute_and_drop(parameters: Argon2idParameters, password: &[u8]) {
    let Argon2idParameters {
        memory,
        passes,
        lanes,
    } = parameters;
    let mut hash = [0; Params::DEFAULT_OUTPUT_LEN];
    if let Ok(params) = bounded(memory, passes, lanes) {
        let argon2id = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let _ = argon2id.hash_password_into(black_box(password), &[0; 16], &mut hash);
    }
    black_box(hash);
}

fn numbers(parameters: &str) -> Option<[u32; 3]> {
    let mut parts = parameters.split(',');
    let mut number = |name: &str| {
        let digits = parts.next()?.strip_prefix(name)?.strip_prefix('=')?;
        digits.parse().ok().filter(|_| !digits.starts_with('+'))
    };
    let numbers = [number("m")?, number("t")?, number("p")?];
    parts.next().is_none().then_some(numbers)
}

fn decode(text: &str, lengths: &std::ops::RangeInclusive<usize>) -> Option<Vec<u8>> {
    BASE64_NOPAD
        .decode(text.as_bytes())
        .ok()
        .filter(|bytes| lengths.contains(&bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Argon2idError {
        text.parse::<Argon2id>().map(|_| ()).unwrap_err()
    }

    /// Made by the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -m 8 -p 1
    /// …`, and its own test vectors (test.c).
    #[test]
    fn known_answers() {
        for text in [
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        ] {
            let hash: Argon2id = text.parse().unwrap();
            assert!(hash.verify(b"password"), "{text}");
            assert!(!hash.verify(b"differentpassword"), "{text}");
            assert_eq!(
                hash.cost(),
                text.replace("$v=19", "$v=16")
                    .parse::<Argon2id>()
                    .unwrap()
                    .cost()
            );
        }
    }

    #[test]
    fn what_is_made_is_read() {
        let text = Argon2id::hash(b"sesame", &[9; 16], 32, 3).unwrap();
        assert!(
            text.starts_with("$argon2id$v=19$m=32,t=3,p=1$CQkJCQ"),
            "{text}"
        );
        assert!(text.parse::<Argon2id>().unwrap().verify(b"sesame"));
        assert_eq!(
            Argon2id::hash(b"x", &[9; 16], 7, 1),
            Err(Argon2idError::Memory)
        );
        assert_eq!(
            Argon2id::hash(b"x", &[9; 16], MAX_ARGON2ID_MEMORY, 9),
            Err(Argon2idError::Passes)
        );
    }

    #[test]
    fn says_what_is_wrong() {
        let with = |parameters: &str| {
            wrong(&format!(
                "$argon2id$v=19${parameters}$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"
            ))
        };
        assert_eq!(with("m=8,t=1"), Argon2idError::Parameters);
        assert_eq!(with("t=1,m=8,p=1"), Argon2idError::Parameters);
        assert_eq!(with("m=8,t=1,p=1,keyid=x"), Argon2idError::Parameters);
        assert_eq!(with("m=+8,t=1,p=1"), Argon2idError::Parameters);
        assert_eq!(with("m=4294967296,t=1,p=1"), Argon2idError::Parameters);
        assert_eq!(with("m=4294967295,t=1,p=1"), Argon2idError::Memory);
        assert_eq!(with("m=15,t=1,p=2"), Argon2idError::Memory);
        assert_eq!(with("m=8,t=0,p=1"), Argon2idError::Passes);
        assert_eq!(with("m=1048576,t=9,p=1"), Argon2idError::Passes);
        assert_eq!(with("m=8,t=1,p=0"), Argon2idError::Lanes);
        assert_eq!(with("m=8192,t=1,p=256"), Argon2idError::Lanes);
        assert_eq!(
            wrong("$argon2id$v=18$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"),
            Argon2idError::Version
        );
        assert_eq!(
            wrong("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$AAAAAAAAAAAAAAAAAAAAAA"),
            Argon2idError::Salt
        );
        assert_eq!(
            wrong("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA"),
            Argon2idError::Hash
        );
        assert_eq!(
            wrong("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ"),
            Argon2idError::Parts
        );
        assert_eq!(wrong("$argon2id$"), Argon2idError::Parts);
        assert!(
            "$argon2id$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"
                .parse::<Argon2id>()
                .is_ok()
        );
    }
}
