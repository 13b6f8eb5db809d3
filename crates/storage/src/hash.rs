//! Digests of content that arrives in pieces.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256, SHA512};
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

/// How much there is to read, in bytes, and its digest.
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

/// A digest under way. A clone goes its own way from there.
#[derive(Clone)]
pub struct ContentHasher {
    algorithm: DigestAlgorithm,
    context: Context,
}

impl ContentHasher {
    /// A digest of nothing yet.
    #[must_use]
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        let function = match algorithm {
            DigestAlgorithm::Sha256 => &SHA256,
            DigestAlgorithm::Sha512 => &SHA512,
        };
        Self {
            algorithm,
            context: Context::new(function),
        }
    }

    /// The hash function.
    #[must_use]
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// Takes more content in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The digest of everything taken in.
    #[must_use]
    pub fn finish(self) -> Digest {
        let hash = self.context.finish();
        #[expect(
            clippy::expect_used,
            reason = "the function was chosen by the algorithm, whose length it has"
        )]
        Digest::new(self.algorithm, hash.as_ref()).expect("a hash has its function's length")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_nothing() {
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
    fn pieces_make_the_whole_and_a_clone_goes_its_own_way() {
        let mut hasher = ContentHasher::new(DigestAlgorithm::Sha256);
        hasher.update(b"car");
        let mut other = hasher.clone();
        other.update(b"avel");
        hasher.update(b"go");
        assert_eq!(hasher.finish(), digest(DigestAlgorithm::Sha256, b"cargo"));
        assert_eq!(other.finish(), digest(DigestAlgorithm::Sha256, b"caravel"));
    }
}
