//! Which keys a registry knows, and under which ids.

use std::sync::Arc;

use common::SystemEntropy;
use compatibility::{Prediction, RegistryVersion, TokenAuthSettings, predict};
use token::{HeaderMember, JwkSet, KeyIdKind, KeyKind, PrivateKey};

use super::{Server, accepts, refusal};
use crate::{NOW, at};

const LEADING_ZERO: &str = include_str!("../../../../token/vectors/p256-leading-zero.pem");

#[test]
fn each_registry_knows_a_bundle_key_by_its_own_id() {
    for kind in [
        KeyKind::Rsa { bits: 2048 },
        KeyKind::P256,
        KeyKind::P384,
        KeyKind::P521,
    ] {
        let server = Server::new(kind);
        let [libtrust, thumbprint] =
            [KeyIdKind::Libtrust, KeyIdKind::Thumbprint].map(|id| server.kid(id));
        assert!(accepts(RegistryVersion::V2_8, &libtrust, server.settings()));
        let (logged, advice) = refusal(RegistryVersion::V2_8, &thumbprint, server.settings());
        let ids = server.key.public().ids();
        assert_eq!(
            logged,
            format!(
                "token signed by untrusted key with ID: {:?}",
                ids.thumbprint
            )
        );
        assert!(
            advice.contains(&ids.libtrust) && advice.contains("set token.key_id: libtrust"),
            "{advice}"
        );

        let (logged, advice) = refusal(RegistryVersion::V3_1, &libtrust, server.settings());
        let expected = format!(
            "failed to verify token: token signed by untrusted key with ID: {:?}",
            ids.libtrust
        );
        assert_eq!(logged, expected);
        if ids.registry_3_1 == ids.thumbprint {
            assert!(accepts(
                RegistryVersion::V3_1,
                &thumbprint,
                server.settings()
            ));
            assert!(
                advice.contains(&ids.thumbprint) && advice.contains("set token.key_id: thumbprint"),
                "{advice}"
            );
        }
        assert!(RegistryVersion::ALL.iter().all(|r| accepts(
            *r,
            &server.token(HeaderMember::X5c, KeyIdKind::Libtrust),
            server.settings()
        )));
        let rsa = matches!(kind, KeyKind::Rsa { .. });
        assert_eq!(
            accepts(RegistryVersion::V3_0, &thumbprint, server.settings()),
            rsa
        );
    }
}

#[test]
fn registry_3_computes_a_wrong_thumbprint_for_some_keys() {
    let key = Arc::new(PrivateKey::from_pem(LEADING_ZERO).unwrap());
    let bundle = vec![
        crate::request("server")
            .self_signed(&key, &SystemEntropy)
            .unwrap(),
    ];
    let server = Server { key, bundle };
    let token = server.kid(KeyIdKind::Thumbprint);
    for registry in [RegistryVersion::V3_0, RegistryVersion::V3_1] {
        let (_, advice) = refusal(registry, &token, server.settings());
        assert!(
            advice.starts_with(&format!(
                "registry {registry} computes a wrong thumbprint for this key"
            )),
            "{advice}"
        );
    }
    let set: JwkSet = [server.key.public().jwk().with_id(KeyIdKind::Thumbprint)]
        .into_iter()
        .collect();
    assert!(accepts(
        RegistryVersion::V3_1,
        &token,
        TokenAuthSettings {
            bundle: &[],
            jwks: Some(&set),
            ..server.settings()
        }
    ));
}

#[test]
fn some_keys_keep_a_registry_from_starting() {
    let server = Server::new(KeyKind::Ed25519);
    let token = server.kid(KeyIdKind::Thumbprint);
    assert!(matches!(
        predict(RegistryVersion::V2_8, &token, server.settings(), at(NOW)),
        Prediction::DoesNotStart(_)
    ));
    assert!(!accepts(RegistryVersion::V3_0, &token, server.settings()));
    assert!(accepts(RegistryVersion::V3_1, &token, server.settings()));
    let set =
        JwkSet::from_json(r#"{"keys": [{"kty": "OKP", "crv": "X25519", "x": "AA"}]}"#).unwrap();
    let settings = TokenAuthSettings {
        jwks: Some(&set),
        ..server.settings()
    };
    let (logged, advice) = refusal(RegistryVersion::V3_1, &token, settings);
    assert_eq!(logged, "failed to parse jwks: …");
    assert!(advice.starts_with("key 1 of the JWKS: "), "{advice}");
    let (logged, _) = refusal(
        RegistryVersion::V3_1,
        &token,
        TokenAuthSettings {
            bundle: &[],
            ..server.settings()
        },
    );
    assert_eq!(logged, "token auth requires at least one token signing key");
}

#[test]
fn advice_for_a_set_under_other_names() {
    let server = Server::new(KeyKind::P256);
    let set: JwkSet = [server.key.public().jwk().with_id(KeyIdKind::Thumbprint)]
        .into_iter()
        .collect();
    let settings = TokenAuthSettings {
        bundle: &[],
        jwks: Some(&set),
        ..server.settings()
    };
    let (_, advice) = refusal(
        RegistryVersion::V3_1,
        &server.kid(KeyIdKind::Libtrust),
        settings,
    );
    assert!(
        advice.contains(&server.key.public().thumbprint())
            && advice.contains("wharfinger keys jwks"),
        "{advice}"
    );
    let (logged, advice) = refusal(
        RegistryVersion::V3_1,
        &server.token(HeaderMember::X5c, KeyIdKind::Thumbprint),
        settings,
    );
    assert_eq!(
        logged,
        "failed to verify token: x509: certificate signed by unknown authority"
    );
    assert_eq!(
        advice,
        "with jwks alone the registry refuses every x5c: name the key by kid"
    );
}
