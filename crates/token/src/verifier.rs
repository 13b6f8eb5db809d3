//! Verifying tokens.
//!
//! A [`Verifier`] has the trusted keys, issuers and the name of the service. It returns a
//! [`VerifiedToken`], which nothing else can make.

use std::time::{Duration, SystemTime};

use crate::{
    Access, Certificate, ChainError, JwkSet, PublicKey, ReceivedClaims, SignatureAlgorithm,
    SignatureError, TokenError, UnknownSignatureAlgorithm, UnverifiedToken, chain,
};
use common::unix_seconds;

/// How far the clocks of token server and registry may be apart, as Distribution's registries have
/// it.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// What a registry compares tokens with: trusted keys and issuers, and its own name.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    /// Keys by the ids that a `kid` may name them with.
    keys: Vec<(Vec<String>, PublicKey)>,
    roots: Vec<Certificate>,
    issuers: Vec<String>,
    service: String,
    leeway: Duration,
}

impl Verifier {
    /// A verifier for tokens to `service` from one of `issuers`, that trusts no key yet.
    #[must_use]
    pub fn new(service: impl Into<String>, issuers: impl IntoIterator<Item = String>) -> Self {
        Self {
            service: service.into(),
            issuers: issuers.into_iter().collect(),
            leeway: LEEWAY,
            ..Self::default()
        }
    }

    /// Trusts the keys of these certificates, under any id that a registry knows them by, and the
    /// certificates that they sign: any certificate of an authority may sign tokens. A key stays
    /// trusted when its certificate expires, but a token that carries an expired certificate is
    /// rejected. Distribution 2.8 and 3.1 do both.
    #[must_use]
    pub fn trusting_certificates(mut self, bundle: &[Certificate]) -> Self {
        for key in bundle
            .iter()
            .filter_map(|certificate| certificate.public_key().ok())
        {
            self.keys.push((ids(key), key.clone()));
        }
        self.roots.extend_from_slice(bundle);
        self
    }

    /// Trusts these keys, under the ids of the set besides their own.
    #[must_use]
    pub fn trusting_keys(mut self, set: &JwkSet) -> Self {
        for jwk in &set.keys {
            let ids = jwk.key_id.iter().cloned().chain(ids(&jwk.key)).collect();
            self.keys.push((ids, jwk.key.clone()));
        }
        self
    }

    /// Allows clocks to be this far apart instead of [`LEEWAY`].
    #[must_use]
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Checks a token in full.
    ///
    /// # Errors
    /// When the token is malformed, expired, for another service, or not signed by a trusted key.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<VerifiedToken, VerifyError> {
        let token = UnverifiedToken::parse(token)?;
        let header = token.header();
        // RFC 7515 §4.1.11: what is critical and not understood makes the token invalid.
        if header.critical.is_some() {
            return Err(VerifyError::Critical);
        }
        let algorithm: SignatureAlgorithm = header.algorithm.parse()?;
        self.key_of(&token, now)?
            .verify(algorithm, token.signing_input(), token.signature())?;
        let claims = token.claims()?;
        self.check_claims(&claims, now)?;
        Ok(VerifiedToken { claims })
    }

    /// The trusted key that the header names. A key in the header is trusted only if it was given to
    /// this verifier, or if a certificate that was given certifies it.
    fn key_of(&self, token: &UnverifiedToken, now: SystemTime) -> Result<PublicKey, VerifyError> {
        let header = token.header();
        let presented = header.chain()?;
        if let Some(leaf) = presented.first() {
            let key = leaf.public_key().map_err(|_| VerifyError::UntrustedKey)?;
            let usable = leaf.valid_at(now) && !leaf.has_unknown_critical_extension();
            if usable && self.trusts(key) {
                return Ok(key.clone());
            }
            chain::verify(&presented, &self.roots, now)?;
            return Ok(key.clone());
        }
        if let Some(jwk) = header.jwk() {
            let key = jwk.map_err(|_| VerifyError::UntrustedKey)?.key;
            return if self.trusts(&key) {
                Ok(key)
            } else {
                Err(VerifyError::UntrustedKey)
            };
        }
        let Some(kid) = &header.key_id else {
            return Err(VerifyError::NoKey);
        };
        let known = self.keys.iter().find(|(ids, _)| ids.contains(kid));
        known
            .map(|(_, key)| key.clone())
            .ok_or_else(|| VerifyError::UnknownKeyId(kid.clone()))
    }

    fn trusts(&self, key: &PublicKey) -> bool {
        self.keys.iter().any(|(_, trusted)| trusted == key)
    }

    fn check_claims(&self, claims: &ReceivedClaims, now: SystemTime) -> Result<(), VerifyError> {
        let (now, leeway) = (unix_seconds(now), self.leeway.as_secs());
        if !self.issuers.contains(&claims.issuer) {
            return Err(VerifyError::Issuer(claims.issuer.clone()));
        }
        if !claims.audience.contains(&self.service) {
            return Err(VerifyError::Audience(claims.audience.clone()));
        }
        if now > claims.expires_at.saturating_add(leeway) {
            return Err(VerifyError::Expired {
                at: claims.expires_at,
            });
        }
        if now.saturating_add(leeway) < claims.not_before {
            return Err(VerifyError::NotYetValid {
                from: claims.not_before,
            });
        }
        Ok(())
    }
}

/// Proof that a token was signed by a trusted key, for this service, and is valid now. Only a [`Verifier`]
/// makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    claims: ReceivedClaims,
}

impl VerifiedToken {
    /// The account (`sub`); empty for anonymous.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.claims.subject
    }

    /// The personal token or robot's token for which it was issued, by its id; empty for another login.
    #[must_use]
    pub fn personal_token(&self) -> &str {
        &self.claims.personal_token
    }

    /// What it grants.
    #[must_use]
    pub fn access(&self) -> &[Access] {
        &self.claims.access
    }

    /// Whether it grants `action` on the resource. The action `*` grants every action.
    #[must_use]
    pub fn grants(&self, resource_type: &str, name: &str, action: &str) -> bool {
        self.access().iter().any(|access| {
            access.resource_type == resource_type
                && access.name == name
                && access
                    .actions
                    .iter()
                    .any(|granted| granted == "*" || granted == action)
        })
    }

    /// All its claims.
    #[must_use]
    pub fn claims(&self) -> &ReceivedClaims {
        &self.claims
    }
}

/// Why a token is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not a token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Signed in a way that is not accepted, or not at all.
    #[error(transparent)]
    Algorithm(#[from] UnknownSignatureAlgorithm),
    /// It has extensions that a verifier must know, and this one knows none.
    #[error("the token's header has \"crit\", which is not understood")]
    Critical,
    /// Its header names no key.
    #[error("the token's header names no key: it has neither kid nor jwk nor x5c")]
    NoKey,
    /// Its `kid` is not the ID of a trusted key. (The words are Distribution's.)
    #[error("token signed by untrusted key with ID: {0:?}")]
    UnknownKeyId(String),
    /// It carries a key that is not trusted.
    #[error("the key that the token carries is not trusted")]
    UntrustedKey,
    /// It carries a certificate that is not trusted.
    #[error("the certificate that the token carries is not trusted")]
    Chain(#[from] ChainError),
    /// Its signature is wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Its issuer is not trusted.
    #[error("the token's issuer {0:?} is not trusted")]
    Issuer(String),
    /// It is for another service.
    #[error("the token is for {0:?}, not for this service")]
    Audience(Vec<String>),
    /// No longer valid.
    #[error("the token expired at {}", common::rfc3339(*at))]
    Expired {
        /// When, in seconds since the Unix epoch.
        at: u64,
    },
    /// Not valid yet.
    #[error("the token is not valid before {}", common::rfc3339(*from))]
    NotYetValid {
        /// From when, in seconds since the Unix epoch.
        from: u64,
    },
}

/// All names a registry may know the key by. Registry 3.0's is left out: a whole curve shares it.
fn ids(key: &PublicKey) -> Vec<String> {
    let ids = key.ids();
    vec![ids.libtrust, ids.thumbprint, ids.registry_3_1]
}
