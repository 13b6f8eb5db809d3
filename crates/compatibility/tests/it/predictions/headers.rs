//! Which member of the header names the key.

use compatibility::{Prediction, RegistryVersion, TokenAuthSettings, predict};
use serde_json::json;
use token::{Jwk, JwkSet, KeyKind};

use super::{Server, accepts, claims, refusal};
use crate::{NOW, at};

#[test]
fn one_header_member_decides() {
    let server = Server::new(KeyKind::P256);
    let other = Server::new(KeyKind::P256);
    let ids = server.key.public().ids();
    let claims = serde_json::to_value(claims()).unwrap();
    let x5c = [data_encoding::BASE64.encode(other.bundle[0].der())];
    let token = server.odd(
        &json!({"alg": "ES256", "kid": ids.libtrust, "x5c": x5c}),
        &claims,
    );
    let message =
        "unable to verify certificate chain: x509: certificate signed by unknown authority";
    assert!(
        refusal(RegistryVersion::V2_8, &token, server.settings())
            .0
            .starts_with(message)
    );
    let jwk = serde_json::to_value(other.key.public().jwk()).unwrap();
    let token = server.odd(
        &json!({"alg": "ES256", "kid": ids.libtrust, "jwk": jwk}),
        &claims,
    );
    assert_eq!(
        refusal(RegistryVersion::V2_8, &token, server.settings()).0,
        "untrusted JWK with no certificate chain"
    );
    let token = server.odd(
        &json!({"alg": "ES256", "kid": ids.registry_3_1, "jwk": jwk}),
        &claims,
    );
    let message = "failed to verify token: untrusted JWK with no certificate chain";
    assert_eq!(
        refusal(RegistryVersion::V3_1, &token, server.settings()).0,
        message
    );
    // An empty x5c counts as no x5c.
    let token = server.odd(
        &json!({"alg": "ES256", "kid": ids.libtrust, "x5c": []}),
        &claims,
    );
    assert!(accepts(RegistryVersion::V2_8, &token, server.settings()));
    let (logged, _) = refusal(
        RegistryVersion::V2_8,
        &server.odd(&json!({"alg": "ES256"}), &claims),
        server.settings(),
    );
    assert_eq!(logged, "unable to get token signing key");
    let (logged, _) = refusal(
        RegistryVersion::V3_1,
        &server.odd(&json!({"alg": "ES256"}), &claims),
        server.settings(),
    );
    assert_eq!(logged, "failed to verify token: invalid token");
}

#[test]
fn a_jwk_is_checked_by_2_8_and_looked_up_by_3() {
    let server = Server::new(KeyKind::P256);
    let ids = server.key.public().ids();
    let claims = serde_json::to_value(claims()).unwrap();
    let with_kid = |kid: Option<&str>| {
        let jwk = Jwk {
            key_id: kid.map(str::to_owned),
            ..server.key.public().jwk()
        };
        server.odd(&json!({"alg": "ES256", "jwk": jwk}), &claims)
    };
    assert!(accepts(
        RegistryVersion::V2_8,
        &with_kid(None),
        server.settings()
    ));
    assert!(accepts(
        RegistryVersion::V2_8,
        &with_kid(Some(&ids.libtrust)),
        server.settings()
    ));
    let (logged, advice) = refusal(
        RegistryVersion::V2_8,
        &with_kid(Some("x")),
        server.settings(),
    );
    assert_eq!(
        logged,
        "unable to decode raw JWK value: JWK EC Public Key ID does not match: x"
    );
    assert!(advice.contains(&ids.libtrust));
    assert!(accepts(
        RegistryVersion::V3_1,
        &with_kid(Some(&ids.registry_3_1)),
        server.settings()
    ));
    assert!(!accepts(
        RegistryVersion::V3_1,
        &with_kid(None),
        server.settings()
    ));
    // Registry 3 takes the key from its own list, whatever the token carries.
    let set: JwkSet = [Jwk {
        key_id: Some("x".to_owned()),
        ..server.key.public().jwk()
    }]
    .into_iter()
    .collect();
    let settings = TokenAuthSettings {
        bundle: &[],
        jwks: Some(&set),
        ..server.settings()
    };
    assert!(accepts(
        RegistryVersion::V3_1,
        &with_kid(Some("x")),
        settings
    ));
    assert_eq!(
        predict(
            RegistryVersion::V2_8,
            &with_kid(Some("x")),
            settings,
            at(NOW)
        ),
        Prediction::NotApplicable
    );
}

#[test]
fn a_jwk_may_carry_its_certificate() {
    let server = Server::new(KeyKind::P256);
    let claims = serde_json::to_value(claims()).unwrap();
    let jwk = Jwk {
        chain: server.bundle.clone(),
        ..server.key.public().jwk()
    };
    let token = server.odd(&json!({"alg": "ES256", "jwk": jwk}), &claims);
    assert!(RegistryVersion::ALL.iter().all(|registry| accepts(
        *registry,
        &token,
        server.settings()
    )));
    let other = Server::new(KeyKind::P256);
    let (logged, _) = refusal(RegistryVersion::V2_8, &token, other.settings());
    assert!(logged.starts_with(
        "could not verify JWK certificate chain: unable to verify certificate chain: x509"
    ));
    let jwk = Jwk {
        chain: server.bundle.clone(),
        ..other.key.public().jwk()
    };
    let token = other.odd(&json!({"alg": "ES256", "jwk": jwk}), &claims);
    let (logged, _) = refusal(RegistryVersion::V2_8, &token, server.settings());
    assert_eq!(
        logged,
        "leaf certificate public key ID does not match JWK key ID"
    );
    assert_eq!(
        refusal(RegistryVersion::V3_1, &token, server.settings()).0,
        "error authorizing context: malformed token"
    );
}
