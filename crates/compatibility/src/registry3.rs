//! Registry 3: thumbprints and JWKS, the key first, then the signature, then the claims.

use crate::go::GoClaims;
use crate::{Case, PredictedRejection, Prediction, advice};
use token::{
    Certificate, Jwk, JwkError, KeyError, PublicKey, SignatureAlgorithm, TokenError, TokenHeader,
    UnverifiedToken, verify_chain,
};

/// What it says when a token cannot be taken apart, a key in its header included.
const MALFORMED: &str = "error authorizing context: malformed token";

pub(crate) fn check(case: Case<'_>) -> Result<(), Prediction> {
    check_startable(case)?;
    let malformed = |error: &TokenError| {
        PredictedRejection::new(MALFORMED).advising(advice::not_a_token(error))
    };
    let token = UnverifiedToken::parse(case.token).map_err(|error| malformed(&error))?;
    let header = token.header();
    let presented = header.chain().map_err(|error| malformed(&error))?;
    let jwk = header.jwk().map(|jwk| readable(header, jwk)).transpose()?;
    let algorithm = known_algorithm(&header.algorithm)?;
    let key = key_of(case, header, &presented, jwk)?;
    let valid =
        algorithm.map(|algorithm| key.verify(algorithm, token.signing_input(), token.signature()));
    if header.critical.is_some() || !matches!(valid, Some(Ok(()))) {
        let logged = "error authorizing context: go-jose/go-jose: error in cryptographic primitive";
        return Err(PredictedRejection::new(logged)
            .advising(advice::signature(algorithm.is_some()))
            .into());
    }
    let claims = GoClaims::read(token.claims_json(), case.registry);
    let claims = claims
        .map_err(|why| PredictedRejection::new(format!("error authorizing context: {why}")))?;
    case.check_claims(&claims).map_err(Prediction::Rejected)
}

/// A set with one key that it cannot read keeps it from starting.
fn check_startable(case: Case<'_>) -> Result<(), Prediction> {
    let keys = case
        .settings
        .jwks
        .map_or(0, |set| set.keys.len() + set.ignored.len());
    if case.settings.bundle.is_empty() && keys == 0 {
        let rejection =
            PredictedRejection::new("token auth requires at least one token signing key");
        return Err(Prediction::DoesNotStart(
            rejection.advising("give it rootcertbundle or jwks, with a key in it"),
        ));
    }
    for (place, error) in case.settings.jwks.iter().flat_map(|set| &set.ignored) {
        let advice = format!("key {place} of the JWKS: {error}; take it out");
        match error {
            JwkError::Key(KeyError::RsaSize(_)) => return Err(Prediction::Undecided(advice)),
            JwkError::Unsupported(kind) if kind == "oct" => {}
            _ => {
                return Err(Prediction::DoesNotStart(
                    PredictedRejection::new("failed to parse jwks: …").advising(advice),
                ));
            }
        }
    }
    Ok(())
}

/// The header's `jwk`, which has to be a whole public key even when it is not the one that decides.
fn readable(header: &TokenHeader, jwk: Result<Jwk, JwkError>) -> Result<Jwk, Prediction> {
    let malformed =
        |why: String| Prediction::Rejected(PredictedRejection::new(MALFORMED).advising(why));
    let jwk = match jwk {
        Ok(jwk) => jwk,
        Err(JwkError::Key(KeyError::RsaSize(bits))) => {
            return Err(Prediction::Undecided(format!(
                "the token's jwk is an RSA key of {bits} bits"
            )));
        }
        Err(error) => return Err(malformed(format!("the token's jwk: {error}"))),
    };
    if header
        .jwk
        .as_ref()
        .is_some_and(|jwk| jwk.get("d").is_some())
    {
        return Err(malformed(
            "the token's jwk is a private key: replace the key, it is known to others now"
                .to_owned(),
        ));
    }
    if jwk.chain.first().is_some_and(|leaf| !leaf.holds(&jwk.key)) {
        return Err(malformed(
            "the certificate in the token's jwk is another key's".to_owned(),
        ));
    }
    Ok(jwk)
}

/// `None` is HMAC, which it takes for an algorithm and then refuses with every key.
fn known_algorithm(name: &str) -> Result<Option<SignatureAlgorithm>, PredictedRejection> {
    match name.parse() {
        Ok(algorithm) => Ok(Some(algorithm)),
        Err(_) if matches!(name, "HS256" | "HS384" | "HS512") => Ok(None),
        Err(error) => Err(PredictedRejection::new(MALFORMED).advising(error.to_string())),
    }
}

fn key_of(
    case: Case<'_>,
    header: &TokenHeader,
    presented: &[Certificate],
    jwk: Option<Jwk>,
) -> Result<PublicKey, Prediction> {
    if !presented.is_empty() {
        return key_of_chain(case, presented);
    }
    if let Some(jwk) = jwk {
        if !jwk.chain.is_empty() {
            return key_of_chain(case, &jwk.chain);
        }
        let kid = jwk.key_id.as_deref().unwrap_or_default();
        return trusted(case, kid).ok_or_else(|| {
            let rejection = PredictedRejection::new(
                "failed to verify token: untrusted JWK with no certificate chain",
            );
            rejection.advising(advice::unknown_kid(case, kid)).into()
        });
    }
    let Some(kid) = header.key_id.as_ref().filter(|kid| !kid.is_empty()) else {
        let rejection = PredictedRejection::new("failed to verify token: invalid token");
        return Err(rejection.advising(advice::no_key(case)).into());
    };
    trusted(case, kid).ok_or_else(|| {
        let logged =
            format!("failed to verify token: token signed by untrusted key with ID: {kid:?}");
        PredictedRejection::new(logged)
            .advising(advice::unknown_kid(case, kid))
            .into()
    })
}

fn key_of_chain(case: Case<'_>, presented: &[Certificate]) -> Result<PublicKey, Prediction> {
    verify_chain(presented, case.settings.bundle, case.now).map_err(|error| {
        let rejection = PredictedRejection::new(format!("failed to verify token: {error}"));
        rejection.advising(advice::chain(case, presented, &error))
    })?;
    let key = presented.first().map(Certificate::public_key);
    key.and_then(Result::ok)
        .cloned()
        .ok_or_else(|| Prediction::Undecided("the key of the token's certificate".to_owned()))
}

/// The key under this id. When several have it the last one counts, and those of the JWKS come
/// after the bundle's.
fn trusted(case: Case<'_>, id: &str) -> Option<PublicKey> {
    let jwks = case
        .settings
        .jwks
        .into_iter()
        .flat_map(|set| set.keys.iter().rev());
    let mut jwks = jwks
        .filter(|jwk| jwk.key_id.as_deref().unwrap_or_default() == id)
        .map(|jwk| &jwk.key);
    let bundle = case
        .settings
        .bundle
        .iter()
        .rev()
        .filter_map(|certificate| certificate.public_key().ok());
    let mut bundle = bundle.filter(|key| case.registry.bundle_id(key).as_deref() == Some(id));
    jwks.next().or_else(|| bundle.next()).cloned()
}
