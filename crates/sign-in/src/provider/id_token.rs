//! Verifying ID tokens (OpenID Connect Core 1.0 §3.1.3.7).

use std::time::{Duration, SystemTime};

use common::{Secret, unix_seconds};
use openid::{SignatureProblem, verify_signature};
use serde_json::{Map, Value};
use token::{JwkSet, SignatureAlgorithm, TokenError, UnverifiedToken};

/// How far `nbf` may be in the future, as `docker_auth` has it.
const NOT_BEFORE_LEEWAY: Duration = Duration::from_secs(300);

/// What an ID token must say.
pub(crate) struct IdTokenRules<'a> {
    /// The issuers whose tokens count: one, or for Google its two spellings.
    pub(crate) issuers: &'a [String],
    pub(crate) client_id: &'a str,
    pub(crate) algorithms: &'a [SignatureAlgorithm],
    /// The nonce of the sign-in; `None` for a refreshed token, which has none (§12.2).
    pub(crate) nonce: Option<&'a str>,
    pub(crate) now: SystemTime,
}

/// Why an ID token is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It is not a token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Its signature does not count.
    #[error(transparent)]
    Signature(#[from] SignatureProblem),
    /// Its claims are not an object.
    #[error("its claims cannot be read")]
    Claims,
    /// It is another provider's.
    #[error("it is of another issuer")]
    Issuer,
    /// It is for another client.
    #[error("it is for another client")]
    Audience,
    /// Several clients may read it, and it was made for another one.
    #[error("it was issued to another client (azp)")]
    AuthorizedParty,
    /// It has expired, or never expires.
    #[error("it has expired")]
    Expired,
    /// It is not valid yet.
    #[error("it is not valid yet")]
    NotYetValid,
    /// It is of another sign-in.
    #[error("it is of another sign-in (nonce)")]
    Nonce,
    /// It names no user.
    #[error("it has no subject (sub)")]
    NoSubject,
}

/// The claims of a token whose signature and claims were verified.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedClaims(pub(crate) Map<String, Value>);

/// Verifies `token` with one of `keys`.
pub(crate) fn verify(
    token: &Secret,
    keys: &JwkSet,
    rules: &IdTokenRules<'_>,
) -> Result<VerifiedClaims, IdTokenError> {
    let token = UnverifiedToken::parse(token.expose())?;
    verify_signature(&token, rules.algorithms, keys)?;
    let claims = serde_json::from_str(token.claims_json()).map_err(|_| IdTokenError::Claims)?;
    check_claims(&claims, rules)?;
    Ok(VerifiedClaims(claims))
}

fn check_claims(claims: &Map<String, Value>, rules: &IdTokenRules<'_>) -> Result<(), IdTokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if !text("iss").is_some_and(|issuer| rules.issuers.iter().any(|known| known == issuer)) {
        return Err(IdTokenError::Issuer);
    }
    let audience: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audience.contains(&rules.client_id) {
        return Err(IdTokenError::Audience);
    }
    match text("azp") {
        Some(party) if party != rules.client_id => return Err(IdTokenError::AuthorizedParty),
        None if audience.len() > 1 => return Err(IdTokenError::AuthorizedParty),
        _ => {}
    }
    let now = unix_seconds(rules.now);
    let time = |name: &str| {
        claims
            .get(name)
            .map(|value| value.as_f64().unwrap_or(f64::NAN))
    };
    #[expect(clippy::cast_precision_loss, reason = "times are far below 2^53")]
    let (now, leeway) = (now as f64, NOT_BEFORE_LEEWAY.as_secs_f64());
    if !time("exp").is_some_and(|expires| now < expires) {
        return Err(IdTokenError::Expired);
    }
    if !time("nbf").is_none_or(|from| from <= now + leeway) {
        return Err(IdTokenError::NotYetValid);
    }
    if let Some(nonce) = rules.nonce
        && text("nonce") != Some(nonce)
    {
        return Err(IdTokenError::Nonce);
    }
    if text("sub").is_none_or(str::is_empty) {
        return Err(IdTokenError::NoSubject);
    }
    Ok(())
}
