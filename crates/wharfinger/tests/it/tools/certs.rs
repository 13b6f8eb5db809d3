//! `wharfinger certs`, judged by openssl and by registry 2.8 speaking TLS.

use std::process::Command;

use peers::{Output, RegistryConfig, program, registry2, run};
use token::{Certificate, PrivateKey};

use super::{Folder, mode};

fn certificate(folder: &Folder, name: &str) -> Certificate {
    Certificate::bundle_from_pem(&folder.read(name))
        .unwrap()
        .remove(0)
}

fn openssl(folder: &Folder, words: &str) -> Output {
    run(Command::new(program("openssl"))
        .args(words.split(' '))
        .current_dir(folder.path("")))
}

#[test]
fn a_self_signed_certificate_names_its_hosts() {
    let folder = Folder::new();
    let said = folder
        .said("certs new --host registry.example.com --host *.example.com --ip 192.0.2.7 --ip ::1");
    assert!(said.starts_with(
        "registry.example.com.key: the private key\nregistry.example.com.pem: the certificate for"
    ));
    let certificate = certificate(&folder, "registry.example.com.pem");
    assert_eq!(
        certificate.names(),
        ["registry.example.com", "*.example.com", "192.0.2.7", "::1"]
    );
    let key = PrivateKey::from_pem(&folder.read("registry.example.com.key")).unwrap();
    assert!(certificate.holds(key.public()));
    assert_eq!(mode(&folder.path("registry.example.com.key")), 0o600);
    assert_eq!(mode(&folder.path("registry.example.com.pem")), 0o644);
    let words = "verify -verify_hostname a.example.com -CAfile registry.example.com.pem registry.example.com.pem";
    openssl(&folder, words).succeeded();
}

#[test]
fn an_authority_is_made_once_and_used_again() {
    let folder = Folder::new();
    let said = folder.said("certs new --host a.example.com --out a --ca ca --valid 30d");
    assert!(
        said.contains("ca.pem: the authority, which clients trust as their CA\n"),
        "{said}"
    );
    let authority = folder.read("ca.pem");
    let said = folder.said("certs new --ip 127.0.0.1 --out b --ca ca --algorithm RS256");
    assert!(!said.contains("ca.pem: the authority"), "{said}");
    folder.said(
        "certs new --host c.example.com --out c --ca-cert ca.pem --ca-key ca.key --algorithm EdDSA",
    );
    assert_eq!(folder.read("ca.pem"), authority);
    assert_eq!(mode(&folder.path("ca.key")), 0o600);
    for name in ["a.pem", "b.pem", "c.pem"] {
        openssl(
            &folder,
            &format!("verify -x509_strict -purpose sslserver -CAfile ca.pem {name}"),
        )
        .succeeded();
    }
}

#[test]
fn an_existing_key_is_certified() {
    let folder = Folder::new();
    folder.said("keys new token.key --algorithm RS256");
    let before = folder.read("token.key");
    folder.said("certs new --host auth.example.com --key token.key --out token");
    assert_eq!(folder.read("token.key"), before);
    let key = PrivateKey::from_pem(&before).unwrap();
    assert!(certificate(&folder, "token.pem").holds(key.public()));
    // Again, elsewhere: the same key, another certificate.
    folder.said("certs new --host auth.example.com --key token.key --out again");
    assert_ne!(folder.read("token.pem"), folder.read("again.pem"));
}

#[test]
fn a_registry_serves_tls_with_it() {
    let folder = Folder::new();
    folder.said("certs new --host localhost --ip 127.0.0.1 --out self");
    folder.said("certs new --host localhost --ip 127.0.0.1 --out leaf --ca ca --algorithm RS256");
    for (name, trusted) in [("self", "self.pem"), ("leaf", "ca.pem")] {
        let tls = Some((
            folder.path(&format!("{name}.pem")),
            folder.path(&format!("{name}.key")),
        ));
        let registry = registry2(&RegistryConfig {
            tls,
            ..RegistryConfig::default()
        });
        let mut curl = Command::new(program("curl"));
        let answer = run(curl
            .args(["-s", "--fail", "--cacert"])
            .arg(folder.path(trusted))
            .arg(registry.url("/v2/")));
        assert_eq!(answer.succeeded(), "{}");
    }
}

#[test]
fn mistakes_leave_nothing_behind() {
    let folder = Folder::new();
    for (words, expected) in [
        ("certs new --out a", "a certificate needs a name"),
        (
            "certs new --host https://registry --out a",
            "\"https://registry\" is not a host name",
        ),
        (
            "certs new --host a --out a --valid 0",
            "a certificate is valid for",
        ),
        ("certs new --host a --out a --ca-cert ca.pem", "--ca-key"),
        (
            "certs new --host a --out a --key missing.key",
            "cannot read missing.key",
        ),
    ] {
        let (code, error) = folder.refused(words);
        assert_eq!(code, 2, "{error}");
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(folder.path("").read_dir().unwrap().count(), 0);

    folder.said("certs new --host leaf.example.com --out leaf");
    let (_, error) = folder.refused("certs new --host a --out a --ca leaf");
    assert!(error.contains("is not an authority's"), "{error}");
    folder.said("keys new ca.key");
    let (_, error) = folder.refused("certs new --host a --out a --ca ca");
    assert!(
        error.starts_with("error: ca.key is there but ca.pem is not\n"),
        "{error}"
    );
    let (_, error) = folder.refused("certs new --host leaf.example.com --out leaf");
    assert!(
        error.starts_with("error: leaf.pem exists already"),
        "{error}"
    );
    assert!(!folder.path("a.key").exists() && !folder.path("a.pem").exists());
}
