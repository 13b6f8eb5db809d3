//! The signature of another issuer's token.

use token::{
    JwkSet, SignatureAlgorithm, SignatureError, UnknownSignatureAlgorithm, UnverifiedToken,
};

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureProblem {
    /// Signed in a way that is not accepted, or not at all.
    #[error(transparent)]
    Algorithm(#[from] UnknownSignatureAlgorithm),
    /// Signed by an algorithm that the provider does not name.
    #[error("the provider does not say that it signs with {0}")]
    OtherAlgorithm(SignatureAlgorithm),
    /// The token has extensions that a verifier must know.
    #[error("its header has \"crit\", which is not understood")]
    Critical,
    /// Its key is not one of the provider's.
    #[error("its key is not one of the provider's")]
    UnknownKey,
    /// Its signature is wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// Checks that one of `keys` signed `token`, by one of `algorithms`.
///
/// A token without a `kid` may be of any key of the set that signs so (OpenID Connect Core §10.1).
/// A key in the token's header counts for nothing.
///
/// # Errors
/// When the signature does not count. [`SignatureProblem::UnknownKey`] may have another answer once
/// the keys are fetched again.
pub fn verify_signature(
    token: &UnverifiedToken,
    algorithms: &[SignatureAlgorithm],
    keys: &JwkSet,
) -> Result<(), SignatureProblem> {
    let header = token.header();
    // RFC 7515 §4.1.11: what is critical and not understood makes the token invalid.
    if header.critical.is_some() {
        return Err(SignatureProblem::Critical);
    }
    let algorithm: SignatureAlgorithm = header.algorithm.parse()?;
    if !algorithms.contains(&algorithm) {
        return Err(SignatureProblem::OtherAlgorithm(algorithm));
    }
    let usable = keys.keys.iter().filter(|jwk| {
        let is_named = header.key_id.is_none() || jwk.key_id == header.key_id;
        let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        let named = jwk.algorithm.as_deref();
        is_named && signs && named.is_none_or(|name| name == algorithm.name())
    });
    let mut found = Err(SignatureProblem::UnknownKey);
    for jwk in usable {
        match jwk
            .key
            .verify(algorithm, token.signing_input(), token.signature())
        {
            Ok(()) => return Ok(()),
            Err(error) => found = Err(error.into()),
        }
    }
    found
}
