//! OpenID Connect, seen from a server that trusts tokens of other issuers.
//!
//! A *provider* (also called *issuer*) publishes a document about itself and the set of keys with
//! which it signs ([`ProviderDiscovery`]). Both are fetched by a [`ProviderClient`], whose requests
//! are bounded in size and time. [`verify_signature`] checks that a token is signed by one of those
//! keys. What a token must say besides depends on its use, and is left to the caller: an ID token
//! belongs to a sign-in, a workload's token to a job or a pod.
//!
//! ```
//! use openid::{SignatureProblem, verify_signature};
//! use token::{JwkSet, SignatureAlgorithm, UnverifiedToken};
//!
//! // {"alg":"none"}.{}.
//! let token = UnverifiedToken::parse("eyJhbGciOiJub25lIn0.e30.").unwrap();
//! let refused = verify_signature(&token, &[SignatureAlgorithm::RS256], &JwkSet::default());
//! assert!(matches!(refused, Err(SignatureProblem::Algorithm(_))));
//! ```
//!
//! (OpenID Connect Core 1.0, OpenID Connect Discovery 1.0, RFC 7515, RFC 7517.)

mod claims;
mod client;
mod discovery;
mod signature;

pub use claims::claim;
pub use client::{
    ProviderClient, ProviderClientError, ProviderRequestBody, ProviderRequestError,
    ProviderResponse, RequestAuthorization,
};
pub use discovery::{ClientAuthentication, ProviderDiscovery, ProviderDocument};
pub use signature::{SignatureProblem, verify_signature};
