//! The key that signs tokens, and the keys that registries accept.

use std::fs;
use std::path::Path;
use std::process::Command;

use data_encoding::BASE64URL_NOPAD;
use peers::{TestCertificate, TestKeyKind, Trust, http, run};
use token::PrivateKey;

use super::certificates::{Wanted, authority};
use super::{ALL, Made, Stage, X5C, key_ids, token};

const UNTRUSTED: [&str; 2] = ["token-key", "token-accepted"];

#[test]
fn a_key_that_is_not_in_the_bundle() {
    for kind in [TestKeyKind::Rsa, TestKeyKind::P256] {
        for made in ALL {
            let directory = tempfile::tempdir().unwrap();
            let other = TestCertificate::new(kind, directory.path(), "other").certificate;
            let stage = Stage::with_bundle(kind, made, &[], Some(&other));
            // Without the bundle, the doctor only sees that the token is rejected.
            stage
                .run_probes(&[])
                .fails(&["token-accepted"], "401", "--rootcertbundle FILE");
            let seen = stage.examine_with(&other);
            seen.fails(
                &UNTRUSTED,
                "registry 2.8 logs: token signed by untrusted key with ID",
                "into rootcertbundle",
            );
            let (named, ids) = (key_ids(&stage.pair.certificate).0, key_ids(&other));
            seen.says(
                "token-key",
                &format!("the token names its key by kid {named}"),
                "",
            );
            seen.says(
                "token-key",
                &format!(
                    "the bundle has {} (libtrust), {} (thumbprint)",
                    ids.0, ids.1
                ),
                "",
            );
            seen.says("token-accepted", "401", "see token-key");
        }
    }
}

#[test]
fn a_key_named_by_jwk_or_x5c_that_is_not_in_the_bundle() {
    for made in ALL {
        for options in [&["--header", "jwk"][..], &X5C] {
            let directory = tempfile::tempdir().unwrap();
            let other =
                TestCertificate::new(TestKeyKind::P256, directory.path(), "other").certificate;
            let stage = Stage::with_bundle(TestKeyKind::P256, made, options, Some(&other));
            let seen = stage.examine_with(&other);
            seen.fails(&UNTRUSTED, "the bundle has", "rootcertbundle");
            let ids = key_ids(&stage.pair.certificate);
            seen.says(
                "token-key",
                &format!("{} (libtrust), {} (thumbprint)", ids.0, ids.1),
                "",
            );
        }
    }
}

#[test]
fn a_key_that_is_not_in_the_jwks() {
    for made in [Made::Registry3, Made::Ours] {
        let directory = tempfile::tempdir().unwrap();
        let other = TestCertificate::new(TestKeyKind::P256, directory.path(), "other");
        let mut keys = Command::new(super::program());
        let jwks = run(keys.args(["keys", "jwks"]).arg(&other.key))
            .succeeded()
            .to_owned();
        let file = directory.path().join("jwks.json");
        fs::write(&file, &jwks).unwrap();
        let pair = TestCertificate::new(TestKeyKind::P256, directory.path(), "token");
        let token = token(&pair, &[]);
        let stage = Stage::handing_out(&token, directory, pair, made, Trust::Jwks(file.clone()));
        let seen = stage.run_probes(&["--jwks", &file.display().to_string()]);
        seen.fails(&UNTRUSTED, "registry 3.0 and 3.1 log: ", "into jwks");
        for id in [key_ids(&other.certificate).0, key_ids(&other.certificate).1] {
            seen.says("token-key", &format!("the JWKS has {id}"), "");
        }
        seen.says(
            "token-key",
            &format!("kid {}", key_ids(&stage.pair.certificate).0),
            "",
        );
    }
}

#[test]
fn a_key_id_of_the_other_version() {
    for (made, kind_of_id, accepts) in [
        (
            Made::Registry2,
            "thumbprint",
            "accepted by registry 3.0 and 3.1, rejected by 2.8",
        ),
        (
            Made::Registry3,
            "libtrust",
            "accepted by registry 2.8, rejected by 3.0 and 3.1",
        ),
    ] {
        let stage = Stage::set(TestKeyKind::Rsa, made, &["--key-id", kind_of_id]);
        let report = stage.examine_with(&stage.pair.certificate);
        report.fails(&UNTRUSTED, accepts, "token.key_id:");
        report.says(
            "token-key",
            "this registry rejects the token like version",
            "disable_legacy_key_id",
        );
    }
    // Ours takes either.
    for kind_of_id in ["thumbprint", "libtrust"] {
        let stage = Stage::set(TestKeyKind::Rsa, Made::Ours, &["--key-id", kind_of_id]);
        let report = stage.examine_with(&stage.pair.certificate);
        report.is_healthy();
        report.says("token-key", "accepted by registry ", "for registry ");
    }
}

#[test]
fn a_key_that_is_not_its_certificate_s() {
    for made in ALL {
        let directory = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(TestKeyKind::Rsa, directory.path(), "token");
        let other = TestCertificate::new(TestKeyKind::Rsa, directory.path(), "other");
        let ids = key_ids(&pair.certificate);
        let kid = if made == Made::Registry3 {
            ids.1
        } else {
            ids.0
        };
        let forged = signed_by_another(&token(&pair, &[]), &kid, &other.key);
        let trust = Trust::Bundle(pair.certificate.clone());
        let stage = Stage::handing_out(&forged, directory, pair, made, trust);
        let report = stage.examine_with(&stage.pair.certificate);
        report.fails(
            &UNTRUSTED,
            &format!("kid {kid}"),
            "the key that the token names did not sign it",
        );
    }
}

/// The claims of `token` with the name of its key, signed by another.
fn signed_by_another(token: &str, kid: &str, key: &Path) -> String {
    let key = PrivateKey::from_pem(&fs::read_to_string(key).unwrap()).unwrap();
    let header = BASE64URL_NOPAD
        .encode(format!(r#"{{"typ":"JWT","alg":"RS256","kid":"{kid}"}}"#).as_bytes());
    let signed = format!("{header}.{}", token.split('.').nth(1).unwrap());
    format!(
        "{signed}.{}",
        BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()).unwrap())
    )
}

#[test]
fn a_certificate_that_was_made_anew() {
    for made in [Made::Registry2, Made::Registry3] {
        // The token server has a new certificate for its old key; the registry still runs with the
        // old one.
        let directory = tempfile::tempdir().unwrap();
        let old = TestCertificate::new(TestKeyKind::Rsa, directory.path(), "old");
        let new = directory.path().join("new.pem");
        let mut command = Command::new("openssl");
        command
            .args([
                "req",
                "-x509",
                "-new",
                "-days",
                "10",
                "-subj",
                "/CN=renewed",
                "-key",
            ])
            .arg(&old.key);
        run(command.arg("-out").arg(&new)).succeeded();
        let renewed = TestCertificate {
            certificate: new.clone(),
            key: old.key.clone(),
        };
        let token = token(&renewed, &X5C);
        let stage = Stage::handing_out(
            &token,
            directory,
            renewed,
            made,
            Trust::Bundle(old.certificate.clone()),
        );
        let behind = stage.examine_with(&old.certificate);
        behind.fails(
            &UNTRUSTED,
            "x5c of 1 certificates: \"CN=renewed\"",
            "the same key in another certificate",
        );
        // The new one is in the bundle, but the registry was not restarted.
        stage.examine_with(&new).fails(
            &["token-accepted"],
            "401",
            "restart the registry: it reads rootcertbundle",
        );
    }
}

#[test]
fn another_bundle_than_the_registry_s_is_a_doubt() {
    for made in ALL {
        let directory = tempfile::tempdir().unwrap();
        let other = TestCertificate::new(TestKeyKind::Rsa, directory.path(), "other").certificate;
        let options: &[&str] = if made == Made::Registry3 {
            &["--key-id", "thumbprint"]
        } else {
            &[]
        };
        let stage = Stage::set(TestKeyKind::Rsa, made, options);
        stage.examine_with(&other).warns(
            "token-key",
            "the registry accepts the token, though",
            "restart the registry",
        );
    }
}

#[test]
fn a_certificate_whose_time_is_over() {
    for made in ALL {
        let directory = tempfile::tempdir().unwrap();
        let pair = Wanted::expired().write(directory.path(), "token", None);
        let bundle = pair.certificate.clone();
        let x5c = token(&pair, &X5C);
        let stage = Stage::handing_out(&x5c, directory, pair, made, Trust::Bundle(bundle.clone()));
        let report = stage.examine_with(&bundle);
        report.fails(
            &UNTRUSTED,
            "certificate has expired",
            "renew the token server's certificate",
        );
        // By its id the key is accepted as before.
        let directory = tempfile::tempdir().unwrap();
        let pair = Wanted::expired().write(directory.path(), "token", None);
        let bundle = pair.certificate.clone();
        let kind = if made == Made::Registry3 {
            "thumbprint"
        } else {
            "libtrust"
        };
        let kid = token(&pair, &["--key-id", kind]);
        Stage::handing_out(&kid, directory, pair, made, Trust::Bundle(bundle.clone()))
            .examine_with(&bundle)
            .is_healthy();
    }
}

#[test]
fn a_chain_to_the_bundle_is_accepted() {
    for made in ALL {
        let directory = tempfile::tempdir().unwrap();
        let authority = authority(directory.path());
        let pair = Wanted::for_this_machine().write(directory.path(), "token", Some(&authority));
        let token = token(&pair, &X5C);
        let trust = Trust::Bundle(authority.certificate.clone());
        let stage = Stage::handing_out(&token, directory, pair, made, trust);
        assert_eq!(http::get(&stage.registry.url("/v2/")).status, 401);
        stage.examine_with(&authority.certificate).is_healthy();
    }
}
