//! Registry 2.8: libtrust ids, claims first, then the key, then the signature.

use crate::go::GoClaims;
use crate::{Case, PredictedRejection, Prediction, advice};
use token::{
    Certificate, Jwk, JwkError, KeyError, KeyKind, PublicKey, SignatureAlgorithm, SignatureError,
    TokenError, TokenHeader, UnverifiedToken, verify_chain,
};

pub(crate) fn check(case: Case<'_>) -> Result<(), Prediction> {
    if case.settings.bundle.is_empty() {
        return Err(Prediction::NotApplicable);
    }
    for certificate in case.settings.bundle {
        check_startable(certificate)?;
    }
    let token = UnverifiedToken::parse(case.token).map_err(|error| unreadable(&error))?;
    let claims = GoClaims::read(token.claims_json(), case.registry);
    let claims = claims.map_err(|why| {
        PredictedRejection::new(format!("error while unmarshalling raw token: {why}"))
    })?;
    case.check_claims(&claims)?;
    if token.signature().is_empty() {
        return Err(PredictedRejection::new("token has no signature").into());
    }
    let key = key_of(case, token.header())?;
    check_signature(&key, &token).map_err(Prediction::Rejected)
}

/// libtrust knows RSA and ECDSA; a bundle with another key keeps the registry from starting.
fn check_startable(certificate: &Certificate) -> Result<(), Prediction> {
    let subject = certificate.subject();
    match certificate.public_key().map(PublicKey::kind) {
        Ok(KeyKind::Ed25519) => Err(Prediction::DoesNotStart(
            PredictedRejection::new(
                "unable to get public key from token auth root certificate: public key type ed25519.PublicKey is not \
                 supported",
            )
            .advising(format!("registry 2.8 knows RSA and ECDSA keys only: take the certificate of {subject} out")),
        )),
        Ok(_) => Ok(()),
        Err(KeyError::RsaSize(bits)) => Err(Prediction::Undecided(format!("{subject} has an RSA key of {bits} bits"))),
        Err(error) => Err(Prediction::Undecided(format!("the certificate of {subject}: {error}"))),
    }
}

fn unreadable(error: &TokenError) -> PredictedRejection {
    match error {
        // The one case in which it keeps silent about why.
        TokenError::Parts(_) => {
            PredictedRejection::new("error authorizing context: malformed token")
        }
        TokenError::Base64(part) => PredictedRejection::new(format!(
            "error while unmarshalling raw token: unable to decode {part}: …"
        )),
        _ => PredictedRejection::new("error while unmarshalling raw token: …"),
    }
    .advising(advice::not_a_token(error))
}

fn key_of(case: Case<'_>, header: &TokenHeader) -> Result<PublicKey, Prediction> {
    if header.x5c.as_ref().is_some_and(|x5c| !x5c.is_empty()) {
        let chain = header
            .chain()
            .map_err(|_| PredictedRejection::new("unable to parse leaf certificate: …"))?;
        return key_of_chain(case, &chain, "");
    }
    if let Some(jwk) = header.jwk() {
        return key_of_jwk(case, header, jwk);
    }
    let Some(kid) = header.key_id.as_ref().filter(|kid| !kid.is_empty()) else {
        return Err(PredictedRejection::new("unable to get token signing key")
            .advising(advice::no_key(case))
            .into());
    };
    let found = trusted(case).find(|key| key.libtrust_id() == *kid);
    found.cloned().ok_or_else(|| {
        let logged = format!("token signed by untrusted key with ID: {kid:?}");
        PredictedRejection::new(logged)
            .advising(advice::unknown_kid(case, kid))
            .into()
    })
}

fn key_of_chain(
    case: Case<'_>,
    presented: &[Certificate],
    before: &str,
) -> Result<PublicKey, Prediction> {
    verify_chain(presented, case.settings.bundle, case.now).map_err(|error| {
        let logged = format!("{before}unable to verify certificate chain: {error}");
        PredictedRejection::new(logged).advising(advice::chain(case, presented, &error))
    })?;
    leaf_key(presented)
}

fn leaf_key(presented: &[Certificate]) -> Result<PublicKey, Prediction> {
    let Some(leaf) = presented.first() else {
        return Err(PredictedRejection::new("empty x509 certificate chain").into());
    };
    match leaf.public_key() {
        Ok(key) if key.kind() == KeyKind::Ed25519 => Err(PredictedRejection::new(
            "unable to make libtrust public key from leaf certificate: public key type ed25519.PublicKey is not \
             supported",
        )
        .into()),
        Ok(key) => Ok(key.clone()),
        Err(error) => Err(Prediction::Undecided(error.to_string())),
    }
}

fn key_of_jwk(
    case: Case<'_>,
    header: &TokenHeader,
    jwk: Result<Jwk, JwkError>,
) -> Result<PublicKey, Prediction> {
    let refused =
        |why: String| PredictedRejection::new(format!("unable to decode raw JWK value: {why}"));
    let jwk = match jwk {
        Ok(jwk) if jwk.key.kind() == KeyKind::Ed25519 => {
            let why = refused("JWK Public Key type not supported: \"OKP\"".to_owned());
            return Err(why
                .advising("registry 2.8 knows RSA and ECDSA keys only: sign with another key")
                .into());
        }
        Ok(jwk) => jwk,
        Err(JwkError::Key(KeyError::RsaSize(bits))) => {
            return Err(Prediction::Undecided(format!(
                "the token's jwk is an RSA key of {bits} bits"
            )));
        }
        Err(error) => return Err(refused("…".to_owned()).advising(error.to_string()).into()),
    };
    let family = if matches!(jwk.key.kind(), KeyKind::Rsa { .. }) {
        "RSA"
    } else {
        "EC"
    };
    let id = jwk.key.libtrust_id();
    if let Some(kid) = jwk.key_id.filter(|kid| *kid != id) {
        let why = refused(format!("JWK {family} Public Key ID does not match: {kid}"));
        return Err(why.advising(advice::jwk_with_other_id(&id)).into());
    }
    if family == "RSA"
        && header
            .jwk
            .as_ref()
            .is_some_and(|jwk| jwk.get("d").is_some())
    {
        return Err(
            refused("JWK RSA Public Key cannot contain private exponent".to_owned()).into(),
        );
    }
    if !jwk.chain.is_empty() {
        let key = key_of_chain(case, &jwk.chain, "could not verify JWK certificate chain: ")?;
        if key != jwk.key {
            return Err(PredictedRejection::new(
                "leaf certificate public key ID does not match JWK key ID",
            )
            .into());
        }
    } else if !trusted(case).any(|key| *key == jwk.key) {
        let rejection = PredictedRejection::new("untrusted JWK with no certificate chain");
        return Err(rejection.advising(advice::unknown_key(case)).into());
    }
    Ok(jwk.key)
}

fn check_signature(key: &PublicKey, token: &UnverifiedToken) -> Result<(), PredictedRejection> {
    let name = &token.header().algorithm;
    let known = name
        .parse::<SignatureAlgorithm>()
        .ok()
        .filter(|algorithm| !algorithm.name().starts_with("PS"));
    let outcome =
        known.map(|algorithm| key.verify(algorithm, token.signing_input(), token.signature()));
    let why = match (outcome, key.kind()) {
        (Some(Ok(())), _) => return Ok(()),
        (Some(Err(SignatureError::Wrong)), KeyKind::Rsa { .. }) => {
            format!("invalid {name} signature: crypto/rsa: verification error")
        }
        (Some(Err(SignatureError::Wrong)), kind) => wrong_length(kind, token.signature().len())
            .unwrap_or_else(|| "invalid signature".to_owned()),
        (_, KeyKind::Rsa { .. }) => {
            format!(
                "unable to verify Signature: RSA Digital Signature Algorithm {name:?} not supported"
            )
        }
        (_, kind) => format!(
            "unable to verify signature: EC Public Key with curve {:?} does not support signature algorithm {name:?}",
            curve(kind).0
        ),
    };
    Err(
        PredictedRejection::new(format!("unable to verify token signature: {why}"))
            .advising(advice::signature(known.is_some())),
    )
}

fn wrong_length(kind: KeyKind, length: usize) -> Option<String> {
    let expected = 2 * curve(kind).1;
    (length != expected)
        .then(|| format!("signature length is {length} octets long, should be {expected}"))
}

/// Name and coordinate length.
fn curve(kind: KeyKind) -> (&'static str, usize) {
    match kind {
        KeyKind::P384 => ("P-384", 48),
        KeyKind::P521 => ("P-521", 66),
        KeyKind::P256 | KeyKind::Rsa { .. } | KeyKind::Ed25519 => ("P-256", 32),
    }
}

fn trusted(case: Case<'_>) -> impl Iterator<Item = &PublicKey> {
    case.settings
        .bundle
        .iter()
        .filter_map(|certificate| certificate.public_key().ok())
}
