//! Tokens for container registries.
//!
//! A registry that delegates authorization sends its clients to a token server. There they get a
//! signed, short-lived token that says what they may do (Distribution's [token authentication]).
//! This crate has the parts of that exchange, without I/O: what is requested ([`Scope`]), what is
//! granted ([`Access`]), signing keys and their ids, certificates, and the tokens themselves.
//!
//! ```
//! let scope: token::Scope = "repository:samalba/my-app:pull,push".parse().unwrap();
//! assert_eq!(scope.resource_type, "repository");
//! assert_eq!(scope.name, "samalba/my-app");
//! assert_eq!(scope.actions, ["pull", "push"]);
//! ```
//!
//! A [`Signer`] makes tokens, and a [`Verifier`] that trusts its key accepts them:
//!
//! ```
//! use std::sync::Arc;
//! use common::{Clock, SystemClock, SystemEntropy, unix_seconds};
//! use token::{Claims, HeaderMember, HeaderOptions, KeyIdKind, KeyKind, PrivateKey, Signer, Verifier};
//!
//! let key = Arc::new(PrivateKey::generate(KeyKind::P256)?);
//! let header = HeaderOptions { members: &[HeaderMember::Kid], key_id: KeyIdKind::Thumbprint, chain: &[] };
//! let signer = Signer::new(Arc::clone(&key), header)?;
//!
//! let now = SystemClock.now();
//! let token = signer.sign(&Claims {
//!     issuer: "Acme".into(),
//!     subject: "alice".into(),
//!     audience: "registry.example.com".into(),
//!     expires_at: unix_seconds(now) + 300,
//!     not_before: unix_seconds(now),
//!     issued_at: unix_seconds(now),
//!     id: token::jti(&SystemEntropy)?,
//!     access: vec![],
//!     personal_token: String::new(),
//! })?;
//!
//! let keys = [key.public().jwk()].into_iter().collect();
//! let verifier = Verifier::new("registry.example.com", ["Acme".to_owned()]).trusting_keys(&keys);
//! assert_eq!(verifier.verify(&token, now)?.subject(), "alice");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [token authentication]: https://distribution.github.io/distribution/spec/auth/token/

mod access;
mod algorithm;
mod certificate;
mod chain;
mod challenge;
mod claims;
mod der;
mod issuance;
mod json;
mod jwk;
mod key_error;
mod key_id;
mod key_kind;
mod name_constraints;
mod pem;
mod private;
mod public;
mod scope;
mod signer;
mod unverified;
mod verifier;

pub use access::Access;
pub use algorithm::{SignatureAlgorithm, UnknownSignatureAlgorithm};
pub use certificate::{Certificate, CertificateError};
pub use chain::{ChainError, verify as verify_chain};
pub use challenge::{Challenge, ChallengeError};
pub use claims::{Claims, ReceivedClaims, jti};
pub use issuance::{CertificateIssueError, CertificateRequest};
pub use jwk::{Jwk, JwkError, JwkSet};
pub use key_error::KeyError;
pub use key_id::{KeyIdKind, KeyIds};
pub use key_kind::KeyKind;
pub use pem::PemError;
pub use private::{PrivateKey, SignError};
pub use public::{PublicKey, SignatureError};
pub use scope::{Scope, ScopeError};
pub use signer::{HeaderError, HeaderMember, HeaderOptions, Signer};
pub use unverified::{LONGEST_TOKEN, TokenError, TokenHeader, UnverifiedToken};
pub use verifier::{LEEWAY, VerifiedToken, Verifier, VerifyError};
