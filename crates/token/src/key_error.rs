//! What can be wrong with a key.

use crate::PemError;

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The PEM text is broken.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// There is no such key in the text.
    #[error("there is no {wanted} in it{}", but(found))]
    Missing {
        /// What was looked for.
        wanted: &'static str,
        /// The blocks that are there.
        found: Vec<String>,
    },
    /// A password protects the key.
    #[error("the private key is encrypted; decrypt it first (openssl pkey -in KEY -out PLAIN)")]
    Encrypted,
    /// Not a kind of key that tokens are signed with.
    #[error("keys of kind {0} sign no tokens: RSA, ECDSA (P-256, P-384, P-521) and Ed25519 do")]
    Unsupported(String),
    /// Not a curve that tokens are signed on.
    #[error("the elliptic curve ({0}) is not P-256, P-384 or P-521 by name")]
    Curve(String),
    /// An elliptic private key that could not be read.
    #[error(
        "the elliptic curve key cannot be read: damaged, or not on P-256, P-384 or P-521 by name"
    )]
    EcPrivate,
    /// An RSA modulus out of range.
    #[error("the RSA key has {0} bits; 2048 to 8192 are accepted")]
    RsaSize(usize),
    /// An RSA private key out of range.
    #[error("the RSA key is smaller than 2048 bits or larger than 8192")]
    RsaPrivateSize,
    /// A new RSA key cannot have this size.
    #[error("a new RSA key has 2048, 3072 or 4096 bits, not {0}")]
    NewRsaSize(usize),
    /// It says what it is but is not that.
    #[error("the {0} cannot be read: it is damaged")]
    Malformed(&'static str),
    /// No key could be made.
    #[error("the system could not make a key")]
    Generation,
}

/// What is there instead.
fn but(found: &[String]) -> String {
    match found {
        [] => ": it has no PEM block at all".to_owned(),
        labels => format!(", only {}", labels.join(", ")),
    }
}
