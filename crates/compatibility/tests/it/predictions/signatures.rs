//! Signatures, and what is no token.

use compatibility::RegistryVersion;
use serde_json::json;
use token::{KeyIdKind, KeyKind};

use super::{Server, claims, refusal};

#[test]
fn signatures_are_checked_last_in_2_8() {
    let [rsa, ec] = [KeyKind::Rsa { bits: 2048 }, KeyKind::P256].map(Server::new);
    let claims = serde_json::to_value(claims()).unwrap();
    let cases = [
        (
            &rsa,
            "RS256",
            "invalid RS256 signature: crypto/rsa: verification error",
        ),
        (
            &rsa,
            "PS256",
            "unable to verify Signature: RSA Digital Signature Algorithm \"PS256\" not supported",
        ),
        (
            &rsa,
            "HS256",
            "unable to verify Signature: RSA Digital Signature Algorithm \"HS256\" not supported",
        ),
        (&ec, "ES256", "invalid signature"),
        (
            &ec,
            "ES384",
            "unable to verify signature: EC Public Key with curve \"P-256\" does not support signature algorithm \"ES384\"",
        ),
    ];
    for (server, algorithm, expected) in cases {
        let kid = server.key.public().ids();
        let [token2, token3] = [&kid.libtrust, &kid.registry_3_1].map(|kid| {
            let mut token = server.odd(&json!({"alg": algorithm, "kid": kid}), &claims);
            let at = token.len() - 8;
            let changed = if token[at..].starts_with('A') {
                "Q"
            } else {
                "A"
            };
            token.replace_range(at..=at, changed);
            token
        });
        let (logged, _) = refusal(RegistryVersion::V2_8, &token2, server.settings());
        assert_eq!(
            logged,
            format!("unable to verify token signature: {expected}")
        );
        let (logged, _) = refusal(RegistryVersion::V3_1, &token3, server.settings());
        assert_eq!(
            logged,
            "error authorizing context: go-jose/go-jose: error in cryptographic primitive"
        );
    }
    let none = ec.odd(
        &json!({"alg": "none", "kid": ec.key.public().ids().registry_3_1}),
        &claims,
    );
    assert_eq!(
        refusal(RegistryVersion::V3_1, &none, ec.settings()).0,
        "error authorizing context: malformed token"
    );
    let unsigned = ec.kid(KeyIdKind::Libtrust);
    let unsigned = &unsigned[..=unsigned.rfind('.').unwrap()];
    assert_eq!(
        refusal(RegistryVersion::V2_8, unsigned, ec.settings()).0,
        "token has no signature"
    );
}

#[test]
fn what_is_no_token_is_refused() {
    let server = Server::new(KeyKind::P256);
    assert_eq!(
        refusal(RegistryVersion::V2_8, "a.b", server.settings()).0,
        "error authorizing context: malformed token"
    );
    assert_eq!(
        refusal(RegistryVersion::V3_1, "a.b", server.settings()).0,
        "error authorizing context: malformed token"
    );
    let (logged, advice) = refusal(RegistryVersion::V2_8, "e30.e30.AAAA", server.settings());
    assert_eq!(logged, "error while unmarshalling raw token: …");
    assert!(
        advice.starts_with("not a complete token: its header cannot be read"),
        "{advice}"
    );
}
