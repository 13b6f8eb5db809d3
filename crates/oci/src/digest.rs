//! Digests: names that are computed from content.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest hash, in bytes: that of SHA-512.
const LONGEST: usize = 64;

/// A hash function that content may be named by (OCI image-spec, descriptor.md, "Registered
/// Algorithms").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256, which every registry knows.
    #[default]
    Sha256,
    /// SHA-512, which a registry may know.
    Sha512,
}

impl DigestAlgorithm {
    /// Every one that is known here.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Its registered name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of its hashes in bytes.
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => LONGEST,
        }
    }
}

impl FromStr for DigestAlgorithm {
    type Err = UnknownDigestAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownDigestAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or(UnknownDigestAlgorithm)
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A hash function that is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the digest algorithms known here are sha256 and sha512")]
pub struct UnknownDigestAlgorithm;

/// The digest of some content: a hash function and what it makes of the content, written `sha256:`
/// and 64 hexadecimal digits in lower case (OCI image-spec, descriptor.md, "Digests").
///
/// ```
/// let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// let digest: oci::Digest = text.parse().unwrap();
/// assert_eq!(digest.algorithm(), oci::DigestAlgorithm::Sha256);
/// assert_eq!(digest.to_string(), text);
/// ```
#[derive(Clone, Copy)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    /// Zero beyond the algorithm's length.
    hash: [u8; LONGEST],
}

impl Digest {
    /// The digest that `algorithm` made; `None` if `hash` has another length.
    #[must_use]
    pub fn new(algorithm: DigestAlgorithm, hash: &[u8]) -> Option<Self> {
        if hash.len() != algorithm.length() {
            return None;
        }
        let mut padded = [0; LONGEST];
        padded[..hash.len()].copy_from_slice(hash);
        Some(Self {
            algorithm,
            hash: padded,
        })
    }

    /// The hash function.
    #[must_use]
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The hash itself.
    #[must_use]
    pub fn hash(&self) -> &[u8] {
        &self.hash[..self.algorithm.length()]
    }

    /// The whole as text, without memory of its own.
    #[must_use]
    pub fn text(&self) -> DigestText {
        DigestText::of(self)
    }

    /// The hash in hexadecimal, without the algorithm's name: what paths and tags are made of.
    #[must_use]
    pub fn encoded(&self) -> String {
        let mut text = String::with_capacity(2 * self.algorithm.length());
        for byte in self.hash() {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        text
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, encoded) = text.split_once(':').ok_or(DigestError::Form)?;
        if algorithm.is_empty() || encoded.is_empty() {
            return Err(DigestError::Form);
        }
        let algorithm: DigestAlgorithm = algorithm.parse()?;
        let wrong = DigestError::Encoded { algorithm };
        if encoded.len() != 2 * algorithm.length() {
            return Err(wrong);
        }
        let mut hash = [0; LONGEST];
        for (byte, pair) in hash.iter_mut().zip(encoded.as_bytes().chunks_exact(2)) {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(wrong);
            };
            *byte = high << 4 | low;
        }
        Ok(Self { algorithm, hash })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.hash() == other.hash()
    }
}

impl Eq for Digest {}

impl PartialOrd for Digest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The order of the texts.
impl Ord for Digest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.algorithm, self.hash()).cmp(&(other.algorithm, other.hash()))
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.algorithm.hash(state);
        state.write(self.hash());
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A digest as text. Every answer of a registry has one or two, a list of referrers hundreds.
#[derive(Clone, Copy, Debug)]
pub struct DigestText {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl DigestText {
    const LONGEST: usize = "sha512:".len() + 2 * LONGEST;

    fn of(digest: &Digest) -> Self {
        let name = digest.algorithm.as_str().as_bytes();
        let (mut bytes, begin) = ([b':'; Self::LONGEST], name.len() + 1);
        bytes[..name.len()].copy_from_slice(name);
        for (pair, byte) in bytes[begin..].chunks_exact_mut(2).zip(digest.hash()) {
            pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        Self {
            bytes,
            length: begin + 2 * digest.algorithm.length(),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It is ASCII throughout.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

/// Why a text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No colon, or nothing on one side of it.
    #[error("a digest is written `sha256:` and 64 hexadecimal digits")]
    Form,
    /// An algorithm that is not known here.
    #[error(transparent)]
    Algorithm(#[from] UnknownDigestAlgorithm),
    /// Not the right number of lower-case hexadecimal digits.
    #[error("after `{algorithm}:` come {} lower-case hexadecimal digits", 2 * algorithm.length())]
    Encoded {
        /// What the digest says it was made by.
        algorithm: DigestAlgorithm,
    },
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_digest_says_why() {
        for text in ["", "sha256", ":", "sha256:", ":abcd"] {
            assert_eq!(text.parse::<Digest>(), Err(DigestError::Form), "{text:?}");
        }
        for text in [
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            "SHA256:ab",
            "sha256+b64:ab",
            "../../etc:passwd",
        ] {
            assert_eq!(
                text.parse::<Digest>(),
                Err(UnknownDigestAlgorithm.into()),
                "{text:?}"
            );
        }
        let upper = format!("sha256:{}", "AB".repeat(32));
        let long = format!("sha256:{}", "ab".repeat(33));
        for text in [
            "sha256:ab",
            &upper,
            &long,
            &format!("sha256:{}", "é".repeat(32)),
        ] {
            assert_eq!(
                text.parse::<Digest>(),
                Err(DigestError::Encoded {
                    algorithm: DigestAlgorithm::Sha256
                }),
                "{text:?}"
            );
        }
        assert!(
            format!("sha512:{}", "ab".repeat(64))
                .parse::<Digest>()
                .is_ok()
        );
    }

    #[test]
    fn only_a_hash_of_the_right_length() {
        assert!(Digest::new(DigestAlgorithm::Sha256, &[0; 32]).is_some());
        assert!(Digest::new(DigestAlgorithm::Sha256, &[0; 64]).is_none());
        assert!(Digest::new(DigestAlgorithm::Sha512, &[0; 32]).is_none());
    }

    proptest! {
        #[test]
        fn print_and_parse(hash in any::<[u8; 32]>(), other in any::<[u8; 64]>()) {
            for digest in [Digest::new(DigestAlgorithm::Sha256, &hash), Digest::new(DigestAlgorithm::Sha512, &other)] {
                let digest = digest.unwrap();
                prop_assert_eq!(digest.to_string().parse(), Ok(digest));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }

        #[test]
        fn digests_compare_as_their_texts(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
            let [a, b] = [a, b].map(|hash| Digest::new(DigestAlgorithm::Sha256, &hash).unwrap());
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
