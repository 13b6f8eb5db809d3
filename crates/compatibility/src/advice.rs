//! What to change so that a registry accepts the token.

use crate::{Case, RegistryVersion};
use token::{Certificate, ChainError, KeyIdKind, PublicKey, TokenError};

pub(crate) fn not_a_token(error: &TokenError) -> String {
    format!("not a complete token: {error}")
}

pub(crate) fn issuer(wanted: &str, found: &str) -> String {
    format!(
        "registry and token server must name the same issuer: {found:?} in the registry's auth.token.issuer, or \
         {wanted:?} in the token server's token.issuer"
    )
}

pub(crate) fn service(wanted: &str, found: &[String]) -> String {
    format!(
        "the token was asked for another service: the registry's auth.token.service is {wanted:?}, the token's aud is \
         {}; clients ask for the service that the registry's challenge names",
        found.join(", ")
    )
}

pub(crate) fn expired(ago: u64) -> String {
    format!(
        "it ended {ago} s ago: get a new token; if it is new, compare the clocks of token server and registry"
    )
}

pub(crate) fn not_yet(wait: u64) -> String {
    format!("it begins in {wait} s: compare the clocks of token server and registry")
}

pub(crate) fn signature(known: bool) -> String {
    if known {
        "the key that the token names did not sign it: the token server's key and the registry's certificate or JWKS \
         are not a pair, or the token was changed on its way"
    } else {
        "the registry does not accept this algorithm: sign with RS256 or ES256"
    }
    .to_owned()
}

pub(crate) fn no_key(case: Case<'_>) -> String {
    format!(
        "the header needs one of kid, jwk and x5c: {}",
        header_for(case)
    )
}

pub(crate) fn unknown_key(case: Case<'_>) -> String {
    let place = if case.settings.bundle.is_empty() {
        "jwks"
    } else {
        "rootcertbundle"
    };
    format!(
        "the registry does not know the signing key: put its certificate or key into {place} and restart"
    )
}

/// A `jwk` whose `kid` is not what libtrust computes.
pub(crate) fn jwk_with_other_id(libtrust: &str) -> String {
    format!(
        "in a jwk registry 2.8 accepts only the libtrust id, {libtrust}: {}",
        key_id_setting(KeyIdKind::Libtrust)
    )
}

/// An id that the registry knows no key by: perhaps it knows the key by another.
pub(crate) fn unknown_kid(case: Case<'_>, kid: &str) -> String {
    let in_bundle = case
        .settings
        .bundle
        .iter()
        .filter_map(|certificate| certificate.public_key().ok());
    if let Some(key) = in_bundle.into_iter().find(|key| is_called(key, kid)) {
        return known_otherwise(case, key);
    }
    let mut in_set = case.settings.jwks.iter().flat_map(|set| &set.keys);
    match in_set.find(|jwk| is_called(&jwk.key, kid)) {
        Some(jwk) => format!(
            "the JWKS has this key under {:?}: write the set with both ids (wharfinger keys jwks KEY)",
            jwk.key_id.as_deref().unwrap_or_default()
        ),
        None => unknown_key(case),
    }
}

/// A certificate that does not lead to the bundle.
pub(crate) fn chain(case: Case<'_>, presented: &[Certificate], error: &ChainError) -> String {
    let leaf_key = presented.first().and_then(|leaf| leaf.public_key().ok());
    let has_key = leaf_key.is_some_and(|key| {
        case.settings
            .bundle
            .iter()
            .any(|certificate| certificate.holds(key))
    });
    match error {
        ChainError::Expired { .. } => {
            "renew the token server's certificate and put the new one into rootcertbundle; a header with kid does not \
             depend on dates"
                .to_owned()
        }
        ChainError::NameNotAllowed { .. } => {
            "the authority's certificate has name constraints that the token server's certificate violates: have it \
             issued for allowed names, or name the key by kid"
                .to_owned()
        }
        ChainError::CriticalExtension => {
            "the token server's certificate has a critical extension that registries do not know: have it issued \
             without, or name the key by kid"
                .to_owned()
        }
        ChainError::NotYetValid { .. } => "the certificate begins later: compare the registry's clock".to_owned(),
        ChainError::UnknownAuthority { .. } | ChainError::TooMany if case.settings.bundle.is_empty() => {
            "with jwks alone the registry refuses every x5c: name the key by kid".to_owned()
        }
        ChainError::UnknownAuthority { .. } | ChainError::TooMany if has_key => {
            "rootcertbundle has the same key in another certificate: put the token server's present one into it, or \
             name the key by kid"
                .to_owned()
        }
        ChainError::UnknownAuthority { .. } | ChainError::TooMany => {
            "put the token server's certificate, or the authority that signed it, into rootcertbundle and restart"
                .to_owned()
        }
    }
}

fn is_called(key: &PublicKey, kid: &str) -> bool {
    let ids = key.ids();
    [&ids.libtrust, &ids.thumbprint, &ids.registry_3_1]
        .into_iter()
        .any(|id| id == kid)
}

/// The key is in the bundle, but the registry looks for it under another id.
fn known_otherwise(case: Case<'_>, key: &PublicKey) -> String {
    let id = case.registry.bundle_id(key);
    match id {
        Some(id) if id == key.libtrust_id() => {
            format!(
                "this registry knows the key by its libtrust ID, {id}: {}",
                key_id_setting(KeyIdKind::Libtrust)
            )
        }
        Some(id) if id == key.thumbprint() => {
            format!(
                "this registry knows the key by its thumbprint, {id}: {}",
                key_id_setting(KeyIdKind::Thumbprint)
            )
        }
        // Neither of the two ids that a token server can be configured to write.
        _ => format!(
            "registry {} computes a wrong thumbprint for this key, a defect of that version, so no kid works with \
             rootcertbundle: set token.header: x5c, or give the registry a JWKS (wharfinger keys jwks KEY), or sign \
             with another key",
            case.registry
        ),
    }
}

fn key_id_setting(kind: KeyIdKind) -> &'static str {
    match kind {
        KeyIdKind::Libtrust => {
            "set token.key_id: libtrust (docker_auth: disable_legacy_key_id: false; wharfinger token: --key-id libtrust)"
        }
        KeyIdKind::Thumbprint => {
            "set token.key_id: thumbprint (docker_auth: disable_legacy_key_id: true; wharfinger token: --key-id thumbprint)"
        }
    }
}

fn header_for(case: Case<'_>) -> &'static str {
    match case.registry {
        RegistryVersion::V2_8 => "kid with the libtrust id suits registry 2.8",
        RegistryVersion::V3_0 => "x5c suits registry 3.0 with a bundle, kid with a JWKS",
        RegistryVersion::V3_1 => "kid with the thumbprint suits registry 3.1",
    }
}
