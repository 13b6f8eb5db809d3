//! Tokens signed, parsed and verified.

mod rejected;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use token::{
    Access, Claims, HeaderError, HeaderMember, HeaderOptions, Jwk, JwkSet, KeyIdKind, KeyKind,
    PrivateKey, ReceivedClaims, Signer, TokenError, UnverifiedToken, Verifier, VerifyError,
};

use crate::{DAY, NOW, at, certified};

const KINDS: [KeyKind; 5] = [
    KeyKind::Rsa { bits: 2048 },
    KeyKind::P256,
    KeyKind::P384,
    KeyKind::P521,
    KeyKind::Ed25519,
];

fn claims() -> Claims {
    Claims {
        issuer: "Acme \"auth\"".to_owned(),
        subject: "jürgen".to_owned(),
        audience: "registry.example.com".to_owned(),
        expires_at: NOW + 300,
        not_before: NOW - 10,
        issued_at: NOW,
        id: "id".to_owned(),
        access: vec![Access {
            resource_type: "repository".to_owned(),
            name: "samalba/my-app".to_owned(),
            actions: vec!["pull".to_owned(), "push".to_owned()],
        }],
        personal_token: String::new(),
    }
}

fn verifier() -> Verifier {
    Verifier::new("registry.example.com", ["Acme \"auth\"".to_owned()])
}

fn signer(key: &Arc<PrivateKey>, member: HeaderMember, chain: &[token::Certificate]) -> Signer {
    let options = HeaderOptions {
        members: &[member],
        key_id: KeyIdKind::Thumbprint,
        chain,
    };
    Signer::new(Arc::clone(key), options).unwrap()
}

#[test]
fn every_kind_of_key_and_header_is_accepted() {
    for kind in KINDS {
        let (key, certificate) = certified(kind, "server");
        let key = Arc::new(key);
        let verifier = verifier().trusting_certificates(std::slice::from_ref(&certificate));
        for member in [HeaderMember::Kid, HeaderMember::Jwk, HeaderMember::X5c] {
            let token = signer(&key, member, std::slice::from_ref(&certificate))
                .sign(&claims())
                .unwrap();
            let verified = verifier.verify(&token, at(NOW)).unwrap();
            assert_eq!(verified.subject(), "jürgen");
            assert_eq!(verified.access(), claims().access);
            assert!(verified.grants("repository", "samalba/my-app", "push"));
            assert!(!verified.grants("repository", "samalba/my-app", "delete"));
            assert!(!verified.grants("repository", "samalba", "pull"));
        }
    }
}

/// As registry 2.8.2 and 3.1.2 do: they check a certificate's dates if a token carries it, and not if
/// the token names a key of the bundle.
#[test]
fn an_expired_certificate_in_the_bundle_still_names_its_key() {
    let (key, certificate) = certified(KeyKind::P256, "server");
    let key = Arc::new(key);
    let bundle = std::slice::from_ref(&certificate);
    let verifier = verifier().trusting_certificates(bundle);
    let later = NOW + 2 * DAY;
    let claims = Claims {
        expires_at: later + 300,
        not_before: later,
        ..claims()
    };
    let verdict = |member| {
        verifier.verify(
            &signer(&key, member, bundle).sign(&claims).unwrap(),
            at(later),
        )
    };
    assert!(verdict(HeaderMember::Kid).is_ok() && verdict(HeaderMember::Jwk).is_ok());
    assert!(matches!(
        verdict(HeaderMember::X5c),
        Err(VerifyError::Chain(_))
    ));
}

#[test]
fn a_token_is_written_as_registries_read_it() {
    let key = Arc::new(PrivateKey::generate(KeyKind::P256).unwrap());
    let options = HeaderOptions {
        members: &[HeaderMember::Kid, HeaderMember::Jwk],
        key_id: KeyIdKind::Libtrust,
        chain: &[],
    };
    let signer = Signer::new(Arc::clone(&key), options).unwrap();
    assert_eq!(signer.kid(), key.public().libtrust_id());
    let anonymous = Claims {
        subject: String::new(),
        access: Vec::new(),
        ..claims()
    };
    let token = signer.sign(&anonymous).unwrap();
    let token = UnverifiedToken::parse(&token).unwrap();
    let expected = r#"{"iss":"Acme \"auth\"","sub":"","aud":"registry.example.com","exp":2000000300,"nbf":1999999990,"iat":2000000000,"jti":"id","access":[]}"#;
    assert_eq!(token.claims_json(), expected);
    let header: Value = serde_json::from_str(token.header_json()).unwrap();
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!("JWT"), &json!("ES256"))
    );
    assert_eq!(header["kid"], signer.kid());
    assert_eq!(header["jwk"]["kid"], signer.kid());
    assert!(
        token
            .header_json()
            .starts_with(r#"{"typ":"JWT","alg":"ES256","kid":"#),
        "the order is that of the seeds"
    );
}

#[test]
fn tokens_of_2016_verify() {
    let file: Value = serde_json::from_str(include_str!("../../../vectors/tokens.json")).unwrap();
    let tokens = file["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 2);
    for vector in tokens {
        let text = vector["token"].as_str().unwrap();
        let token = UnverifiedToken::parse(text).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(token.claims_json()).unwrap(),
            vector["claims"]
        );
        let key = match token.header().jwk() {
            Some(jwk) => jwk.unwrap().key,
            None => token.header().chain().unwrap()[0]
                .public_key()
                .unwrap()
                .clone(),
        };
        assert_eq!(key.libtrust_id(), vector["libtrust_kid"]);

        let claims = token.claims().unwrap();
        let trusting: JwkSet = [key.jwk()].into_iter().collect();
        let verifier =
            Verifier::new(claims.audience[0].clone(), [claims.issuer]).trusting_keys(&trusting);
        let time = vector["verify_at"].as_u64().unwrap();
        assert_eq!(
            verifier.verify(text, at(time)).unwrap().subject(),
            claims.subject
        );
        assert!(matches!(
            verifier.verify(text, at(time + DAY)),
            Err(VerifyError::Expired { .. })
        ));
    }
}

#[test]
fn a_key_set_is_trusted_under_its_own_names() {
    let key = Arc::new(PrivateKey::generate(KeyKind::Ed25519).unwrap());
    let jwk = Jwk {
        key_id: Some("2033-05".to_owned()),
        ..key.public().jwk()
    };
    let verifier = verifier().trusting_keys(&[jwk].into_iter().collect());
    for kid in ["2033-05".to_owned(), key.public().thumbprint()] {
        let head = encoded(&json!({"alg": "EdDSA", "kid": kid}));
        let head = format!(
            "{head}.{}",
            encoded(&serde_json::to_value(claims()).unwrap())
        );
        let signature = data_encoding::BASE64URL_NOPAD.encode(&key.sign(head.as_bytes()).unwrap());
        verifier
            .verify(&format!("{head}.{signature}"), at(NOW))
            .unwrap();
    }
}

#[test]
fn claims_of_other_issuers_are_read() {
    let header = encoded(&json!({"alg": "x"}));
    let parse = |claims: &Value| UnverifiedToken::parse(&format!("{header}.{}.", encoded(claims)));
    let claims = |json: &Value| parse(json).unwrap().claims();
    let read =
        claims(&json!({"aud": ["a", "b"], "exp": 1.5e9, "access": null, "custom": {}})).unwrap();
    assert_eq!(
        (read.audience, read.expires_at, read.access),
        (vec!["a".into(), "b".into()], 1_500_000_000, vec![])
    );
    assert!(matches!(
        claims(&json!({"exp": "tomorrow"})),
        Err(TokenError::Claims(_))
    ));
    // What an unset value becomes in other languages: registry 2.8 and 3.1 read it as absent.
    let unset = json!({"iss": null, "sub": null, "aud": null, "exp": null, "nbf": null, "iat": null, "jti": null,
        "access": null});
    assert_eq!(claims(&unset).unwrap(), ReceivedClaims::default());
    let denied = json!([
        {"type": "repository", "name": "denied", "actions": null},
        {"type": "repository", "name": "denied"},
        {"type": null, "name": null, "actions": [null]},
        {},
        {"type": "repository", "class": null, "name": "a", "actions": ["pull", null]},
    ]);
    let read = claims(&json!({ "access": denied })).unwrap().access;
    let granted: Vec<_> = read
        .iter()
        .filter(|access| !access.actions.is_empty())
        .collect();
    assert_eq!((read.len(), granted.len()), (5, 1));
    assert_eq!(
        (granted[0].name.as_str(), &granted[0].actions[..]),
        ("a", &["pull".to_owned()][..])
    );
    for wrong in [
        json!({"sub": 5}),
        json!({"aud": [null]}),
        json!({"access": [{"actions": "pull"}]}),
    ] {
        assert!(
            matches!(claims(&wrong), Err(TokenError::Claims(_))),
            "{wrong}"
        );
    }
    assert_eq!(parse(&json!([])).unwrap_err(), TokenError::Object("claims"));
}

/// As PEM has it, and as Go's decoder skips it.
#[test]
fn a_chain_may_be_wrapped() {
    let (_, certificate) = certified(KeyKind::P256, "server");
    let text = data_encoding::BASE64.encode(certificate.der());
    for wrapped in [
        text.clone(),
        format!("{}\r\n{}\n", &text[..64], &text[64..]),
    ] {
        let header = encoded(&json!({"alg": "x", "x5c": [wrapped]}));
        let token = UnverifiedToken::parse(&format!("{header}.e30.")).unwrap();
        assert_eq!(
            token.header().chain().unwrap(),
            std::slice::from_ref(&certificate)
        );
    }
}

#[test]
fn a_header_needs_the_certificate_that_it_is_to_carry() {
    let (_, certificate) = certified(KeyKind::P256, "server");
    let key = Arc::new(PrivateKey::generate(KeyKind::P256).unwrap());
    let with = |chain: &[_]| {
        let options = HeaderOptions {
            members: &[HeaderMember::X5c],
            key_id: KeyIdKind::Libtrust,
            chain,
        };
        Signer::new(Arc::clone(&key), options).unwrap_err()
    };
    assert_eq!(with(&[]), HeaderError::NoCertificate);
    assert_eq!(
        with(&[certificate]),
        HeaderError::OtherKey {
            subject: "CN=server".to_owned()
        }
    );
}

#[test]
fn ids_are_fresh() {
    struct Counting;
    impl common::Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), common::EntropyError> {
            bytes.fill(0xfb);
            Ok(())
        }
    }
    assert_eq!(token::jti(&Counting).unwrap(), "-_v7-_v7-_v7-_v7-_v7-w");
    assert_ne!(
        token::jti(&common::SystemEntropy).unwrap(),
        token::jti(&common::SystemEntropy).unwrap()
    );
}

fn encoded(json: &Value) -> String {
    data_encoding::BASE64URL_NOPAD.encode(json.to_string().as_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_claims_survive_the_journey(
        issuer in ".{0,20}", subject in ".{0,20}", audience in ".{0,20}", name in ".{0,40}",
        actions in proptest::collection::hash_set(".{0,8}", 0..4), life in 0u64..100_000,
    ) {
        let key = Arc::new(PrivateKey::generate(KeyKind::Ed25519).unwrap());
        let access = vec![Access { resource_type: "repository".to_owned(), name, actions: actions.into_iter().collect() }];
        let claims = Claims { issuer: issuer.clone(), subject, audience: audience.clone(), access, expires_at: NOW + life, ..claims() };
        let token = signer(&key, HeaderMember::Kid, &[]).sign(&claims).unwrap();
        let verifier = Verifier::new(audience, [issuer]).trusting_keys(&[key.public().jwk()].into_iter().collect());
        let verified = verifier.verify(&token, at(NOW)).unwrap();
        prop_assert_eq!(verified.subject(), claims.subject);
        prop_assert_eq!(verified.access(), claims.access);
        prop_assert_eq!(verified.claims().expires_at, claims.expires_at);
    }

    #[test]
    fn a_changed_token_is_always_rejected(position in 0usize..400, letter in "[A-Za-z0-9_-]") {
        let key = Arc::new(PrivateKey::generate(KeyKind::P256).unwrap());
        let verifier = verifier().trusting_keys(&[key.public().jwk()].into_iter().collect());
        let token = signer(&key, HeaderMember::Kid, &[]).sign(&claims()).unwrap();
        let position = position % token.len();
        let mut changed = token.clone();
        changed.replace_range(position..=position, &letter);
        prop_assume!(changed != token);
        prop_assert!(verifier.verify(&changed, at(NOW)).is_err());
    }

    #[test]
    fn no_text_is_a_surprise(text in "[A-Za-z0-9._=-]{0,80}") {
        let _ = UnverifiedToken::parse(&text);
    }
}

#[test]
fn repeated_actions_are_signed_and_read_once() {
    let key = Arc::new(PrivateKey::generate(KeyKind::P256).unwrap());
    let header = HeaderOptions {
        members: &[HeaderMember::Kid],
        key_id: KeyIdKind::Thumbprint,
        chain: &[],
    };
    let signer = Signer::new(Arc::clone(&key), header).unwrap();
    let many = |actions: &[&str]| Access {
        resource_type: "repository".to_owned(),
        name: "alice/x".to_owned(),
        actions: actions.iter().map(ToString::to_string).collect(),
    };
    let repeated = vec!["a"; 10_000];
    let claims = Claims {
        access: vec![many(&["push", "pull", "push"]), many(&repeated)],
        ..claims()
    };
    let token = signer.sign(&claims).unwrap();
    assert!(token.len() < 1000, "{}", token.len());
    let read = UnverifiedToken::parse(&token).unwrap().claims().unwrap();
    assert_eq!(read.access, [many(&["push", "pull"]), many(&["a"])]);

    // Another issuer may have written them.
    let json = serde_json::json!({"access": [{"type": "repository", "name": "alice/x", "actions": repeated}]});
    let encode = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let token = format!(
        "{}.{}.AAAA",
        encode(r#"{"alg":"ES256"}"#),
        encode(&json.to_string())
    );
    let read = UnverifiedToken::parse(&token).unwrap().claims().unwrap();
    assert_eq!(read.access, [many(&["a"])]);
}
