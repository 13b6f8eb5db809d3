//! Predictions of what registries answer. The binary's tests run the registries themselves; here is
//! the rest of each table, and the advice.

use std::sync::Arc;

use common::SystemEntropy;
use compatibility::{Prediction, RegistryVersion, TokenAuthSettings, predict};
use serde_json::{Value, json};
use token::{
    Certificate, Claims, HeaderMember, HeaderOptions, Jwk, JwkSet, KeyIdKind, KeyKind, PrivateKey,
    Signer,
};

use crate::{NOW, at, certified};

const LEADING_ZERO: &str = include_str!("../../../token/vectors/p256-leading-zero.pem");

fn claims() -> Claims {
    Claims {
        issuer: "auth".to_owned(),
        subject: String::new(),
        audience: "registry".to_owned(),
        expires_at: NOW + 300,
        not_before: NOW,
        issued_at: NOW,
        id: String::new(),
        access: Vec::new(),
        personal_token: String::new(),
    }
}

struct Server {
    key: Arc<PrivateKey>,
    bundle: Vec<Certificate>,
}

impl Server {
    fn new(kind: KeyKind) -> Self {
        let (key, certificate) = certified(kind, "server");
        Self {
            key: Arc::new(key),
            bundle: vec![certificate],
        }
    }

    fn token(&self, member: HeaderMember, key_id: KeyIdKind) -> String {
        let options = HeaderOptions {
            members: &[member],
            key_id,
            chain: &self.bundle,
        };
        Signer::new(Arc::clone(&self.key), options)
            .unwrap()
            .sign(&claims())
            .unwrap()
    }

    fn kid(&self, key_id: KeyIdKind) -> String {
        self.token(HeaderMember::Kid, key_id)
    }

    /// A token with any header and claims.
    fn odd(&self, header: &Value, claims: &Value) -> String {
        let encoded =
            |json: &Value| data_encoding::BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let head = format!("{}.{}", encoded(header), encoded(claims));
        let signature =
            data_encoding::BASE64URL_NOPAD.encode(&self.key.sign(head.as_bytes()).unwrap());
        format!("{head}.{signature}")
    }

    fn settings(&self) -> TokenAuthSettings<'_> {
        TokenAuthSettings {
            bundle: &self.bundle,
            jwks: None,
            issuer: Some("auth"),
            service: Some("registry"),
        }
    }
}

/// What is logged, and the advice.
#[track_caller]
fn refusal(
    registry: RegistryVersion,
    token: &str,
    settings: TokenAuthSettings<'_>,
) -> (String, String) {
    match predict(registry, token, settings, at(NOW)) {
        Prediction::Rejected(refusal) | Prediction::DoesNotStart(refusal) => {
            (refusal.logged, refusal.advice.unwrap_or_default())
        }
        other => panic!("{other:?}"),
    }
}

fn accepts(registry: RegistryVersion, token: &str, settings: TokenAuthSettings<'_>) -> bool {
    predict(registry, token, settings, at(NOW)) == Prediction::Accepted
}

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
fn claims_come_before_the_key_in_2_8_and_after_it_in_3() {
    let server = Server::new(KeyKind::P256);
    let other = Server::new(KeyKind::P256);
    let token = other.kid(KeyIdKind::Libtrust);
    let settings = TokenAuthSettings {
        issuer: Some("other"),
        ..server.settings()
    };
    assert_eq!(
        refusal(RegistryVersion::V2_8, &token, settings).0,
        "token from untrusted issuer: \"auth\""
    );
    assert!(
        refusal(RegistryVersion::V3_1, &token, settings)
            .0
            .contains("token signed by untrusted key")
    );
    // What is not known is not compared.
    let unknown = TokenAuthSettings {
        issuer: None,
        service: None,
        ..server.settings()
    };
    assert!(accepts(
        RegistryVersion::V2_8,
        &server.kid(KeyIdKind::Libtrust),
        unknown
    ));
}

#[test]
fn audience_and_times_are_compared() {
    let server = Server::new(KeyKind::P256);
    let token = server.token(HeaderMember::X5c, KeyIdKind::Libtrust);
    let settings = TokenAuthSettings {
        service: Some("other"),
        ..server.settings()
    };
    assert_eq!(
        refusal(RegistryVersion::V2_8, &token, settings).0,
        "token intended for another audience: \"registry\""
    );
    assert_eq!(
        refusal(RegistryVersion::V3_1, &token, settings).0,
        "token intended for another audience: [registry]"
    );
    let at_time = |time| match predict(RegistryVersion::V2_8, &token, server.settings(), at(time)) {
        Prediction::Rejected(refusal) => refusal.logged,
        other => format!("{other:?}"),
    };
    assert_eq!(at_time(NOW + 360), "Accepted");
    assert_eq!(
        at_time(NOW + 361),
        "token not to be used after 2033-05-18 03:39:20 +0000 UTC - currently …"
    );
    assert_eq!(at_time(NOW - 60), "Accepted");
    assert_eq!(
        at_time(NOW - 61),
        "token not to be used before 2033-05-18 03:32:20 +0000 UTC - currently …"
    );
}

#[test]
fn a_list_of_audiences_is_too_new_for_2_8() {
    let server = Server::new(KeyKind::P256);
    let ids = server.key.public().ids();
    let claims = |aud: &Value| json!({"iss": "auth", "aud": aud, "exp": NOW + 300, "nbf": NOW});
    let header = |kid: &str| json!({"alg": "ES256", "kid": kid});
    let list = server.odd(&header(&ids.libtrust), &claims(&json!(["registry"])));
    let message = "error while unmarshalling raw token: json: cannot unmarshal array into Go struct field ClaimSet.aud of type string";
    assert_eq!(
        refusal(RegistryVersion::V2_8, &list, server.settings()).0,
        message
    );
    let list = server.odd(
        &header(&ids.registry_3_1),
        &claims(&json!(["x", "registry"])),
    );
    assert!(accepts(RegistryVersion::V3_1, &list, server.settings()));
    let odd = server.odd(&header(&ids.registry_3_1), &json!({"exp": 1.5}));
    let message =
        "error authorizing context: json: cannot unmarshal number 1.5 into Go value of type int64";
    assert_eq!(
        refusal(RegistryVersion::V3_1, &odd, server.settings()).0,
        message
    );
}

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
