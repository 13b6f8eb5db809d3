//! How digests are stored in columns: one byte for the algorithm, and the hash. So they sort as their
//! texts do.

use oci::{Digest, DigestAlgorithm};

/// The bytes of a digest.
pub(crate) fn pack(digest: &Digest) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + digest.hash().len());
    bytes.push(algorithm_number(digest.algorithm()));
    bytes.extend_from_slice(digest.hash());
    bytes
}

/// The digest of these bytes, if they are valid.
pub(crate) fn unpack(bytes: &[u8]) -> Option<Digest> {
    let (number, hash) = bytes.split_first()?;
    Digest::new(algorithm(*number)?, hash)
}

/// The number of an algorithm.
pub(crate) fn algorithm_number(algorithm: DigestAlgorithm) -> u8 {
    match algorithm {
        DigestAlgorithm::Sha256 => 1,
        DigestAlgorithm::Sha512 => 2,
    }
}

/// The algorithm of a number.
pub(crate) fn algorithm(number: u8) -> Option<DigestAlgorithm> {
    DigestAlgorithm::ALL
        .into_iter()
        .find(|algorithm| algorithm_number(*algorithm) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_digest_is_rejected() {
        for bytes in [&[][..], &[1], &[3; 33], &[1; 65], &[2; 33]] {
            assert_eq!(unpack(bytes), None, "{bytes:?}");
        }
    }
}
