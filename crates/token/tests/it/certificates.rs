//! Certificates made, read, and followed to their roots.

use std::process::Command;

use common::SystemEntropy;
use token::{
    Certificate, CertificateError, CertificateIssueError, CertificateRequest, ChainError, KeyKind,
    PrivateKey, Verifier, VerifyError,
};

use crate::{DAY, NOW, at, certified, request};

#[test]
fn openssl_reads_what_is_made() {
    let directory = tempfile::tempdir().unwrap();
    for kind in [
        KeyKind::Rsa { bits: 2048 },
        KeyKind::P256,
        KeyKind::P384,
        KeyKind::P521,
        KeyKind::Ed25519,
    ] {
        let key = PrivateKey::generate(kind).unwrap();
        let request = CertificateRequest {
            addresses: vec!["192.0.2.7".parse().unwrap(), "::1".parse().unwrap()],
            ..request("host")
        };
        let certificate = request.self_signed(&key, &SystemEntropy).unwrap();
        assert!(certificate.holds(key.public()));
        assert_eq!(
            certificate.names(),
            ["host.example.com", "192.0.2.7", "::1"]
        );
        assert_eq!(
            (certificate.not_before(), certificate.not_after()),
            (at(NOW - DAY), at(NOW + DAY))
        );
        assert!(certificate.valid_at(at(NOW)) && !certificate.valid_at(at(NOW + DAY + 1)));
        assert_eq!(
            (certificate.subject(), certificate.issuer()),
            ("CN=host", "CN=host")
        );

        let path = directory.path().join("certificate.pem");
        std::fs::write(&path, certificate.to_pem()).unwrap();
        let mut command = Command::new(peers::program("openssl"));
        let output = peers::run(
            command
                .args(["verify", "-check_ss_sig", "-attime"])
                .arg(NOW.to_string())
                .arg("-CAfile")
                .arg(&path)
                .arg(&path),
        );
        assert!(output.succeeded().ends_with("OK"), "{output}");
        assert_eq!(
            Certificate::bundle_from_pem(&certificate.to_pem()).unwrap(),
            [certificate]
        );
    }
}

#[test]
fn a_reissued_certificate_is_another() {
    let (key, first) = certified(KeyKind::P256, "host");
    let second = request("host").self_signed(&key, &SystemEntropy).unwrap();
    assert_ne!(first, second);
    assert!(second.holds(key.public()));
}

#[test]
fn a_bundle_needs_certificates() {
    let missing = Certificate::bundle_from_pem("hello").unwrap_err();
    assert_eq!(
        missing.to_string(),
        "there is no certificate in it, only text"
    );
    let key = PrivateKey::generate(KeyKind::P256)
        .unwrap()
        .to_pkcs8_pem()
        .unwrap();
    let missing = Certificate::bundle_from_pem(&key).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "there is no certificate in it, only PRIVATE KEY"
    );
    let (_, good) = certified(KeyKind::P256, "host");
    let text = format!(
        "{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        good.to_pem()
    );
    assert_eq!(
        Certificate::bundle_from_pem(&text),
        Err(CertificateError::Nth { place: 2 })
    );
}

#[test]
fn what_is_cut_off_in_a_registry_s_bundle_is_passed_over() {
    let (_, good) = certified(KeyKind::P256, "host");
    let whole = good.to_pem();
    let (cut, broken) = (&whole[..whole.len() / 2], whole.replace('M', "*"));
    for text in [
        format!("{whole}{cut}"),
        format!("{cut}\n{whole}"),
        format!("{broken}{whole}"),
    ] {
        let (certificates, ignored) = Certificate::readable_in_pem(&text).unwrap();
        assert_eq!(certificates, std::slice::from_ref(&good), "{text}");
        assert_eq!(ignored.len(), 1, "{text}");
        assert!(Certificate::bundle_from_pem(&text).is_err());
    }
    for text in [cut, &broken, "hello"] {
        assert!(Certificate::readable_in_pem(text).is_err(), "{text}");
    }
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(
        Certificate::readable_in_pem(&format!("{whole}{no_certificate}")),
        Err(CertificateError::Nth { place: 2 })
    );
}

#[test]
fn only_an_authority_with_its_own_key_signs_others() {
    let (ca_key, ca) = authority("ca");
    let (key, leaf) = certified(KeyKind::P256, "leaf");
    let sign = |issuer: &Certificate, issuer_key| {
        request("x").signed_by(&key, issuer, issuer_key, &SystemEntropy)
    };
    assert!(matches!(
        sign(&ca, &key),
        Err(CertificateIssueError::OtherKey { .. })
    ));
    assert!(matches!(
        sign(&leaf, &key),
        Err(CertificateIssueError::NoAuthority { .. })
    ));
    assert!(sign(&ca, &ca_key).unwrap().holds(key.public()));
    let odd = CertificateRequest {
        hosts: vec!["höst".to_owned()],
        ..request("x")
    };
    assert!(matches!(
        odd.self_signed(&key, &SystemEntropy),
        Err(CertificateIssueError::Host(_))
    ));
}

/// What a verifier that trusts `roots` says of a chain.
fn verdict(chain: &[&Certificate], roots: &[Certificate], now: u64) -> Result<(), ChainError> {
    let x5c: Vec<_> = chain
        .iter()
        .map(|certificate| data_encoding::BASE64.encode(certificate.der()))
        .collect();
    let header = serde_json::json!({"alg": "ES256", "x5c": x5c}).to_string();
    let token = format!(
        "{}.e30.AAAA",
        data_encoding::BASE64URL_NOPAD.encode(header.as_bytes())
    );
    match Verifier::new("s", [])
        .trusting_certificates(roots)
        .verify(&token, at(now))
    {
        Err(VerifyError::Chain(error)) => Err(error),
        Err(VerifyError::Signature(_)) => Ok(()),
        other => panic!("{other:?}"),
    }
}

fn authority(name: &str) -> (PrivateKey, Certificate) {
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let request = CertificateRequest {
        authority: true,
        hosts: Vec::new(),
        not_after: at(NOW + 2 * DAY),
        ..request(name)
    };
    let certificate = request.self_signed(&key, &SystemEntropy).unwrap();
    (key, certificate)
}

#[test]
fn paths_lead_to_roots() {
    for kind in [
        KeyKind::Rsa { bits: 2048 },
        KeyKind::P256,
        KeyKind::P384,
        KeyKind::P521,
        KeyKind::Ed25519,
    ] {
        let ca_key = PrivateKey::generate(kind).unwrap();
        let ca = CertificateRequest {
            authority: true,
            ..request("ca")
        }
        .self_signed(&ca_key, &SystemEntropy)
        .unwrap();
        let key = PrivateKey::generate(KeyKind::P256).unwrap();
        let leaf = request("leaf")
            .signed_by(&key, &ca, &ca_key, &SystemEntropy)
            .unwrap();
        assert_eq!(
            verdict(&[&leaf], std::slice::from_ref(&ca), NOW),
            Ok(()),
            "{kind}"
        );
        assert_eq!(
            verdict(&[&leaf, &ca], std::slice::from_ref(&ca), NOW),
            Ok(()),
            "{kind}"
        );
        assert_eq!(
            verdict(&[&leaf, &ca], &[], NOW),
            Err(ChainError::UnknownAuthority { hint: None }),
            "{kind}"
        );
    }
}

#[test]
fn intermediates_count_only_within_their_limits() {
    let (root_key, root) = authority("root");
    let (middle_key, _) = authority("middle");
    let middle_request = CertificateRequest {
        authority: true,
        ..request("middle")
    };
    let middle = middle_request
        .signed_by(&middle_key, &root, &root_key, &SystemEntropy)
        .unwrap();
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let leaf = request("leaf")
        .signed_by(&key, &middle, &middle_key, &SystemEntropy)
        .unwrap();
    let roots = [root];
    // The root may sign leaves only: its path length is 0.
    let error = verdict(&[&leaf, &middle], &roots, NOW).unwrap_err();
    let expected = "x509: certificate signed by unknown authority (possibly because of \"x509: too many intermediates for path length constraint\" while trying to verify candidate authority certificate \"root\")";
    assert_eq!(error.to_string(), expected);
    assert_eq!(
        verdict(&[&leaf], &roots, NOW),
        Err(ChainError::UnknownAuthority { hint: None })
    );
}

#[test]
fn dates_are_those_of_the_leaf_first() {
    let (ca_key, ca) = authority("ca");
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let leaf = request("leaf")
        .signed_by(&key, &ca, &ca_key, &SystemEntropy)
        .unwrap();
    let roots = [ca];
    assert_eq!(verdict(&[&leaf], &roots, NOW + DAY), Ok(()));
    let late = verdict(&[&leaf], &roots, NOW + DAY + 1).unwrap_err();
    assert_eq!(
        late.to_string(),
        "x509: certificate has expired or is not yet valid: current time … is after 2033-05-19T03:33:20Z"
    );
    let early = verdict(&[&leaf], &roots, NOW - DAY - 1).unwrap_err();
    assert_eq!(
        early,
        ChainError::NotYetValid {
            not_before: at(NOW - DAY)
        }
    );
}

#[test]
fn a_root_of_the_same_name_and_another_key_is_named() {
    let (ca_key, ca) = authority("ca");
    let (_, other) = authority("ca");
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let leaf = request("leaf")
        .signed_by(&key, &ca, &ca_key, &SystemEntropy)
        .unwrap();
    let hint = Some((
        "x509: ECDSA verification failure".to_owned(),
        "ca".to_owned(),
    ));
    assert_eq!(
        verdict(&[&leaf], &[other], NOW),
        Err(ChainError::UnknownAuthority { hint })
    );
}
