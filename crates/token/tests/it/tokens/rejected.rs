//! Tokens that are rejected.

use std::sync::Arc;

use serde_json::json;
use token::{
    Claims, HeaderMember, KeyKind, PrivateKey, SignatureAlgorithm, TokenError, UnverifiedToken,
    VerifyError,
};

use super::{claims, encoded, signer, verifier};
use crate::{NOW, at, certified};

#[test]
fn what_is_not_valid_is_rejected() {
    let (key, certificate) = certified(KeyKind::P256, "server");
    let (other, other_certificate) = certified(KeyKind::P256, "other");
    let (key, other) = (Arc::new(key), Arc::new(other));
    let verifier = verifier().trusting_certificates(std::slice::from_ref(&certificate));
    let good = signer(&key, HeaderMember::Kid, &[]);
    let verify = |token: &str| verifier.verify(token, at(NOW)).unwrap_err();

    let token = good.sign(&claims()).unwrap();
    verifier.verify(&token, at(NOW)).unwrap();
    let strange = |member| {
        signer(&other, member, std::slice::from_ref(&other_certificate))
            .sign(&claims())
            .unwrap()
    };
    assert!(matches!(
        verify(&strange(HeaderMember::Kid)),
        VerifyError::UnknownKeyId(_)
    ));
    assert_eq!(
        verify(&strange(HeaderMember::Jwk)),
        VerifyError::UntrustedKey
    );
    assert!(matches!(
        verify(&strange(HeaderMember::X5c)),
        VerifyError::Chain(_)
    ));

    // The header of one, the signature of the other.
    let (head, _) = token.rsplit_once('.').unwrap();
    let forged = format!(
        "{head}.{}",
        strange(HeaderMember::Kid).rsplit_once('.').unwrap().1
    );
    assert!(matches!(verify(&forged), VerifyError::Signature(_)));

    let sign = |change: fn(&mut Claims)| {
        let mut claims = claims();
        change(&mut claims);
        good.sign(&claims).unwrap()
    };
    assert_eq!(
        verify(&sign(|c| c.issuer = "other".into())),
        VerifyError::Issuer("other".into())
    );
    assert_eq!(
        verify(&sign(|c| c.audience = "other".into())),
        VerifyError::Audience(vec!["other".into()])
    );
    assert_eq!(
        verify(&sign(|c| c.expires_at = NOW - 61)),
        VerifyError::Expired { at: NOW - 61 }
    );
    assert_eq!(
        verify(&sign(|c| c.not_before = NOW + 61)),
        VerifyError::NotYetValid { from: NOW + 61 }
    );
    verifier
        .verify(&sign(|c| c.expires_at = NOW - 60), at(NOW))
        .unwrap();
    verifier
        .verify(&sign(|c| c.not_before = NOW + 60), at(NOW))
        .unwrap();
}

#[test]
fn unsigned_and_hmac_tokens_are_not_looked_at() {
    let (key, certificate) = certified(KeyKind::Rsa { bits: 2048 }, "server");
    let verifier = verifier().trusting_certificates(&[certificate]);
    let kid = key.public().libtrust_id();
    for (algorithm, signature) in [("none", ""), ("HS256", "AAAA")] {
        let header = encoded(&json!({"typ": "JWT", "alg": algorithm, "kid": kid}));
        let token = format!(
            "{header}.{}.{signature}",
            encoded(&serde_json::to_value(claims()).unwrap())
        );
        assert!(matches!(
            verifier.verify(&token, at(NOW)),
            Err(VerifyError::Algorithm(_))
        ));
    }
    let header = encoded(&json!({"alg": "RS256", "kid": kid, "crit": ["b64"], "b64": false}));
    assert_eq!(
        verifier.verify(&format!("{header}.e30."), at(NOW)),
        Err(VerifyError::Critical)
    );
    let header = encoded(&json!({"alg": "RS256"}));
    assert_eq!(
        verifier.verify(&format!("{header}.e30."), at(NOW)),
        Err(VerifyError::NoKey)
    );
}

#[test]
fn what_is_no_token_says_why() {
    let parse = |text: &str| UnverifiedToken::parse(text).unwrap_err();
    assert_eq!(parse(""), TokenError::Parts(1));
    assert_eq!(parse("a.b.c.d"), TokenError::Parts(4));
    assert_eq!(parse("e30=.e30."), TokenError::Base64("header"));
    assert_eq!(
        parse(&format!("{}.!.", encoded(&json!({"alg": "x"})))),
        TokenError::Base64("claims")
    );
    assert!(matches!(parse("e30.e30."), TokenError::Header(_)));
    assert_eq!(parse("_w.e30."), TokenError::Utf8("header"));
    assert_eq!(
        parse(&"a".repeat(70_000)),
        TokenError::TooLong { length: 70_000 }
    );
}

#[test]
fn a_key_does_not_verify_what_its_kind_cannot_sign() {
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    assert!(
        key.public()
            .verify(SignatureAlgorithm::RS256, b"", b"")
            .is_err()
    );
    let rsa = PrivateKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap();
    let signature = rsa.sign(b"message").unwrap();
    assert!(
        rsa.public()
            .verify(SignatureAlgorithm::PS256, b"message", &signature)
            .is_err()
    );
    assert!(
        rsa.public()
            .verify(SignatureAlgorithm::RS512, b"message", &signature)
            .is_err()
    );
}
