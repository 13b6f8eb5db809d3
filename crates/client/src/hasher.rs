//! Hashing content piece by piece.

use aws_lc_rs::digest::{Context, SHA256, SHA512};
use oci::{Digest, DigestAlgorithm};

/// Computes a digest.
#[derive(Clone)]
pub(crate) struct DigestHasher {
    algorithm: DigestAlgorithm,
    context: Context,
    /// How many bytes it has hashed.
    length: u64,
}

impl DigestHasher {
    pub(crate) fn new(algorithm: DigestAlgorithm) -> Self {
        let context = match algorithm {
            DigestAlgorithm::Sha256 => Context::new(&SHA256),
            DigestAlgorithm::Sha512 => Context::new(&SHA512),
        };
        Self {
            algorithm,
            context,
            length: 0,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// Hashes bytes that begin at `offset` of the content, except those that were hashed before: a
    /// transfer that continues may begin a little earlier. There must be no gap.
    pub(crate) fn update_at(&mut self, offset: u64, bytes: &[u8]) {
        let seen = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        debug_assert!(offset <= self.length, "a gap");
        if let Some(fresh) = bytes.get(seen..) {
            self.update(fresh);
        }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    #[expect(
        clippy::expect_used,
        reason = "the context is of the algorithm, and so is the length of its hash"
    )]
    pub(crate) fn finish(self) -> Digest {
        Digest::new(self.algorithm, self.context.finish().as_ref())
            .expect("a hash of the algorithm's length")
    }

    /// The digest of `bytes`.
    pub(crate) fn digest(algorithm: DigestAlgorithm, bytes: &[u8]) -> Digest {
        let mut hasher = Self::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_bytes_count_once() {
        let mut hasher = DigestHasher::new(DigestAlgorithm::Sha256);
        hasher.update_at(0, b"abcdef");
        hasher.update_at(4, b"ef");
        hasher.update_at(2, b"cdefgh");
        assert_eq!(hasher.length(), 8);
        assert_eq!(
            hasher.finish(),
            DigestHasher::digest(DigestAlgorithm::Sha256, b"abcdefgh")
        );
    }

    #[test]
    fn known_answers() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            DigestHasher::digest(DigestAlgorithm::Sha256, b"").to_string(),
            empty
        );
        assert!(
            DigestHasher::digest(DigestAlgorithm::Sha512, b"abc")
                .to_string()
                .starts_with("sha512:ddaf35a193617aba")
        );
    }
}
