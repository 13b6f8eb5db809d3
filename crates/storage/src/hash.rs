//! Digests of content that arrives in chunks.

use std::io::{self, Read};

use hash_state::{Function, Hasher};
use oci::{Digest, DigestAlgorithm};

/// How much is read at once, in bytes.
const READ: usize = 1 << 18;

/// The digest of `bytes`.
#[must_use]
pub fn digest(algorithm: DigestAlgorithm, bytes: &[u8]) -> Digest {
    let mut hasher = ContentHasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// The number of bytes that `reader` has, and their digest.
pub(crate) fn read(algorithm: DigestAlgorithm, mut reader: impl Read) -> io::Result<(u64, Digest)> {
    let mut hasher = ContentHasher::new(algorithm);
    let mut buffer = vec![0; READ];
    let mut length = 0;
    while let read @ 1.. = reader.read(&mut buffer)? {
        hasher.update(&buffer[..read]);
        length += read as u64;
    }
    Ok((length, hasher.finish()))
}

/// A digest that is being computed. A clone continues independently.
#[derive(Clone, Debug)]
pub struct ContentHasher(Hasher);

impl ContentHasher {
    /// A digest without content.
    #[must_use]
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        Self(Hasher::new(match algorithm {
            DigestAlgorithm::Sha256 => Function::Sha256,
            DigestAlgorithm::Sha512 => Function::Sha512,
        }))
    }

    /// The hash function.
    #[must_use]
    pub fn algorithm(&self) -> DigestAlgorithm {
        match self.0.function() {
            Function::Sha256 => DigestAlgorithm::Sha256,
            Function::Sha512 => DigestAlgorithm::Sha512,
        }
    }

    /// Adds content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The state, from which [`HashState::resume`] continues, in this process or another.
    #[must_use]
    pub fn state(&self) -> HashState {
        HashState(self.0.save())
    }

    /// The digest of all content.
    #[must_use]
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        #[expect(
            clippy::expect_used,
            reason = "the function was chosen by the algorithm, whose length it has"
        )]
        Digest::new(algorithm, &self.0.finish()).expect("a hash has its function's length")
    }
}

/// The state of a digest that is being computed: the algorithm, the words of the hash, the number of bytes, and
/// the bytes that do not fill a block yet. At most 200 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashState(Vec<u8>);

impl HashState {
    /// A stored state. `None` if the bytes are not valid.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        Hasher::resume(&bytes).map(|_| Self(bytes))
    }

    /// The bytes to store. The crate `hash-state` describes their form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digest that continues from this state.
    #[must_use]
    pub fn resume(&self) -> Option<ContentHasher> {
        Hasher::resume(&self.0).map(ContentHasher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_empty_content() {
        assert_eq!(
            digest(DigestAlgorithm::Sha256, b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!(
            digest(DigestAlgorithm::Sha512, b"")
                .to_string()
                .starts_with("sha512:cf83e1357eefb8bdf1542850d66d8007d620e405")
        );
    }

    #[test]
    fn a_clone_and_a_resumed_state_continue_independently() {
        for algorithm in DigestAlgorithm::ALL {
            let mut hasher = ContentHasher::new(algorithm);
            hasher.update(b"con");
            let mut clone = hasher.clone();
            let state = HashState::from_bytes(hasher.state().as_bytes().to_vec()).unwrap();
            let mut resumed = state.resume().unwrap();
            clone.update(b"cert");
            resumed.update(b"tent");
            hasher.update(b"duct");
            assert_eq!(hasher.finish(), digest(algorithm, b"conduct"));
            assert_eq!(clone.finish(), digest(algorithm, b"concert"));
            assert_eq!(resumed.algorithm(), algorithm);
            assert_eq!(resumed.finish(), digest(algorithm, b"content"));
        }
        assert_eq!(HashState::from_bytes(vec![1, 2, 3]), None);
    }
}
