//! Keys in every form in which openssl writes them.

use std::process::Command;

use proptest::prelude::*;
use token::{
    Jwk, JwkError, JwkSet, KeyError, KeyKind, PrivateKey, PublicKey, SignatureAlgorithm,
    SignatureError,
};

fn openssl(arguments: &str) -> String {
    let words = arguments.split(' ');
    peers::run(Command::new(peers::program("openssl")).args(words))
        .succeeded()
        .to_owned()
        + "\n"
}

/// A key in its PKCS#8 form and in the older one of its kind.
fn forms(generate: &str, older: &str) -> [String; 2] {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    openssl(&format!("{generate} -out {path}"));
    [
        openssl(&format!("pkey -in {path}")),
        openssl(&format!("{older} -in {path}")),
    ]
}

#[test]
fn every_form_of_a_key_is_the_same_key() {
    let kinds = [
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
            "rsa -traditional",
            SignatureAlgorithm::RS256,
        ),
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072",
            "rsa -traditional",
            SignatureAlgorithm::RS256,
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
            "ec",
            SignatureAlgorithm::ES256,
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
            "ec",
            SignatureAlgorithm::ES384,
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521",
            "ec",
            SignatureAlgorithm::ES512,
        ),
        (
            "genpkey -algorithm ED25519",
            "pkey",
            SignatureAlgorithm::EdDSA,
        ),
    ];
    for (generate, older, algorithm) in kinds {
        let texts = forms(generate, older);
        assert!(older == "pkey" || texts[0] != texts[1]);
        let keys = texts
            .each_ref()
            .map(|text| PrivateKey::from_pem(text).unwrap());
        assert_eq!(keys[0].public(), keys[1].public());
        assert_eq!(keys[0].algorithm(), algorithm);
        let signature = keys[1].sign(b"a message").unwrap();
        keys[0]
            .public()
            .verify(algorithm, b"a message", &signature)
            .unwrap();
        assert_eq!(
            keys[0].public().verify(algorithm, b"another", &signature),
            Err(SignatureError::Wrong)
        );
    }
}

#[test]
fn curve_parameters_and_certificates_may_stand_before_the_key() {
    let with_parameters = openssl("ecparam -name prime256v1 -genkey");
    assert!(with_parameters.starts_with("-----BEGIN EC PARAMETERS-----"));
    assert_eq!(
        PrivateKey::from_pem(&with_parameters)
            .unwrap()
            .public()
            .kind(),
        KeyKind::P256
    );

    let directory = tempfile::tempdir().unwrap();
    let pair = peers::TestCertificate::new(peers::TestKeyKind::Rsa, directory.path(), "pair");
    let [certificate, key] =
        [pair.certificate, pair.key].map(|path| std::fs::read_to_string(path).unwrap());
    let both = PrivateKey::from_pem(&format!("{certificate}{key}")).unwrap();
    assert_eq!(both.public(), PrivateKey::from_pem(&key).unwrap().public());
    assert!(
        token::Certificate::bundle_from_pem(&format!("{key}{certificate}")).unwrap()[0]
            .holds(both.public())
    );
}

#[test]
fn openssl_computes_the_same_public_key() {
    let directory = tempfile::tempdir().unwrap();
    for kind in [
        KeyKind::Rsa { bits: 2048 },
        KeyKind::P256,
        KeyKind::P384,
        KeyKind::P521,
        KeyKind::Ed25519,
    ] {
        let key = PrivateKey::generate(kind).unwrap();
        assert_eq!(key.public().kind(), kind);
        let path = directory.path().join("key.pem");
        std::fs::write(&path, key.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
        let public = openssl(&format!("pkey -in {} -pubout", path.display()));
        assert_eq!(&PublicKey::from_pem(&public).unwrap(), key.public());
        assert_eq!(
            &PublicKey::from_spki(key.public().spki()).unwrap(),
            key.public()
        );
    }
}

#[test]
fn what_cannot_sign_says_why() {
    let refusal = |text: &str| PrivateKey::from_pem(text).unwrap_err();
    assert_eq!(
        refusal("").to_string(),
        "there is no private key in it: it has no PEM block at all"
    );
    let parameters = openssl("ecparam -name prime256v1");
    assert_eq!(
        refusal(&parameters).to_string(),
        "there is no private key in it, only EC PARAMETERS"
    );
    let encrypted = openssl("genpkey -algorithm ED25519 -aes256 -pass pass:secret");
    assert_eq!(refusal(&encrypted), KeyError::Encrypted);
    let old = openssl("genrsa -traditional -aes128 -passout pass:secret 2048");
    assert_eq!(refusal(&old), KeyError::Encrypted);
    assert_eq!(refusal(&openssl("genrsa 1024")), KeyError::RsaPrivateSize);
    assert_eq!(
        refusal(&openssl("genrsa -traditional 1024")),
        KeyError::RsaPrivateSize
    );
    assert_eq!(
        refusal(&openssl("ecparam -name secp256k1 -genkey")),
        KeyError::EcPrivate
    );
    assert_eq!(
        refusal(&openssl("genpkey -algorithm X25519")),
        KeyError::Unsupported("1.3.101.110".to_owned())
    );
    let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
    assert_eq!(refusal(damaged), KeyError::Malformed("private key"));
    assert_eq!(
        PrivateKey::generate(KeyKind::Rsa { bits: 1024 }).unwrap_err(),
        KeyError::NewRsaSize(1024)
    );
}

#[test]
fn a_private_key_is_never_printed() {
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    assert_eq!(
        format!("{key:?}"),
        format!(
            "PrivateKey of PublicKey(ECDSA P-256, {})",
            key.public().thumbprint()
        )
    );
}

#[test]
fn jwks_are_printed_and_read_back() {
    let kinds = [
        KeyKind::Rsa { bits: 2048 },
        KeyKind::P256,
        KeyKind::P384,
        KeyKind::P521,
        KeyKind::Ed25519,
    ];
    let keys = kinds.map(|kind| {
        PrivateKey::generate(kind)
            .unwrap()
            .public()
            .jwk()
            .published()
    });
    let set: JwkSet = keys.into_iter().collect();
    let json = serde_json::to_string(&set).unwrap();
    assert_eq!(JwkSet::from_json(&json).unwrap(), set);
    for key in &set.keys {
        let json = serde_json::to_string(key).unwrap();
        assert_eq!(&Jwk::from_json(&json).unwrap(), key);
    }
}

#[test]
fn a_set_passes_over_keys_of_other_uses() {
    let good = PrivateKey::generate(KeyKind::P256).unwrap().public().jwk();
    let good = serde_json::to_string(&good).unwrap();
    let text = format!(
        r#"{{"keys": [{{"kty": "oct", "k": "AA"}}, {good}, {{"kty": "OKP", "crv": "X25519", "x": "AA"}},
            {{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}, {{"kty": "RSA", "e": "AQAB"}}, 7], "more": true}}"#
    );
    let set = JwkSet::from_json(&text).unwrap();
    assert_eq!(set.keys.len(), 1);
    let ignored: Vec<_> = set
        .ignored
        .iter()
        .map(|(place, error)| (*place, error.to_string()))
        .collect();
    let expected = [
        (1, r#"a key of kind "oct" verifies no tokens"#),
        (3, r#"a key of kind "OKP X25519" verifies no tokens"#),
        (4, "the elliptic curve point cannot be read: it is damaged"),
        (5, r#"the key has no "n""#),
    ];
    assert_eq!(
        ignored[..4],
        expected.map(|(place, text)| (place, text.to_owned()))
    );
    assert!(matches!(&set.ignored[4], (6, JwkError::Json(_))));
    assert!(JwkSet::from_json(r#"{"kty": "EC"}"#).is_err());
}

#[test]
fn a_point_beside_the_curve_is_no_key() {
    let text = r#"{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}"#;
    assert_eq!(
        Jwk::from_json(text),
        Err(JwkError::Key(KeyError::Malformed("public key")))
    );
}

proptest! {
    #[test]
    fn no_text_is_a_surprise(der in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
        let _ = PublicKey::from_spki(&der);
        let _ = token::Certificate::from_der(&der);
        let _ = PrivateKey::from_pem(&text);
        let _ = Jwk::from_json(&text);
        let _ = JwkSet::from_json(&text);
    }
}

#[test]
fn a_new_key_is_one_that_every_registry_accepts() {
    for (kind, count) in [
        (KeyKind::P256, 300),
        (KeyKind::P384, 100),
        (KeyKind::P521, 20),
    ] {
        for _ in 0..count {
            let key = PrivateKey::generate(kind).unwrap();
            let ids = key.public().ids();
            assert_eq!(ids.registry_3_1, ids.thumbprint, "{kind}");
            assert!(!key.public().has_leading_zero());
        }
    }
    let old = PrivateKey::from_pem(include_str!("../../vectors/p256-leading-zero.pem")).unwrap();
    assert!(
        old.public().has_leading_zero(),
        "it is read and used all the same"
    );
}
