//! TLS with certificates that a registry made itself: named in an option, or in `certs.d`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::{
    ConnectionError, Error, LoginCredentials, RegistryClient, RegistrySession, Transport,
    TransportOptions,
};
use common::{Clock, SystemClock, SystemEntropy};
use peers::{Nginx, RegistryConfig, RunningRegistry, TestCertificate, TestKeyKind, registry3};
use token::{CertificateRequest, PrivateKey};

struct World {
    directory: tempfile::TempDir,
    pair: TestCertificate,
    registry: RunningRegistry,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, directory.path(), "registry");
    let tls = Some((pair.certificate.clone(), pair.key.clone()));
    let registry = registry3(&RegistryConfig {
        tls,
        ..RegistryConfig::default()
    });
    World {
        directory,
        pair,
        registry,
    }
}

async fn catalog(host: &str, options: TransportOptions) -> Result<Vec<String>, Error> {
    let session = RegistrySession::begin(
        Transport::new(options),
        host.parse().unwrap(),
        LoginCredentials::Anonymous,
    )
    .await?;
    RegistryClient::new(session).catalog(None)?.all().await
}

async fn problem(host: &str, options: TransportOptions) -> ConnectionError {
    match catalog(host, options).await {
        Err(Error::Connection { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

fn certs_d(directory: &Path, host: &str, certificate: &Path) -> PathBuf {
    let certs = directory.join("certs.d");
    fs::create_dir_all(certs.join(host)).unwrap();
    fs::copy(certificate, certs.join(host).join("ca.crt")).unwrap();
    certs
}

#[tokio::test]
async fn a_certificate_of_one_s_own() {
    let world = world();
    let host = world.registry.host_port();
    assert_eq!(
        problem(&host, TransportOptions::default()).await,
        ConnectionError::UnknownAuthority
    );
    let named = TransportOptions {
        authorities: vec![world.pair.certificate.clone()],
        ..TransportOptions::default()
    };
    assert!(catalog(&host, named).await.unwrap().is_empty());
    let directory = certs_d(world.directory.path(), &host, &world.pair.certificate);
    let found = TransportOptions {
        certificate_directories: vec![directory],
        ..TransportOptions::default()
    };
    assert!(catalog(&host, found).await.unwrap().is_empty());
    let insecure = TransportOptions {
        insecure: true,
        ..TransportOptions::default()
    };
    assert!(catalog(&host, insecure).await.unwrap().is_empty());
    // Plain HTTP to a port that speaks TLS is answered, but not with what was asked for.
    assert!(
        catalog(
            &host,
            TransportOptions {
                plain_http: true,
                ..TransportOptions::default()
            }
        )
        .await
        .is_err()
    );
}

#[tokio::test]
async fn names_and_times_count_for_them_too() {
    let directory = tempfile::tempdir().unwrap();
    let now = SystemClock.now();
    let wanted = |names: &[&str], addresses: &[&str]| CertificateRequest {
        common_name: "localhost".to_owned(),
        hosts: names.iter().map(ToString::to_string).collect(),
        addresses: addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect(),
        not_before: now - DAY,
        not_after: now + DAY,
        authority: false,
    };
    let here = wanted(&["localhost"], &["127.0.0.1"]);
    for (wanted, expected) in [
        (wanted(&[], &[]), ConnectionError::WrongName(Vec::new())),
        (
            wanted(&["other.example"], &["10.0.0.1"]),
            ConnectionError::WrongName(vec!["other.example".into(), "10.0.0.1".into()]),
        ),
        (
            CertificateRequest {
                not_before: now - 3 * DAY,
                not_after: now - DAY,
                ..here.clone()
            },
            ConnectionError::Expired,
        ),
        (
            CertificateRequest {
                not_before: now + DAY,
                not_after: now + 3 * DAY,
                ..here
            },
            ConnectionError::Expired,
        ),
    ] {
        let nginx = showing(directory.path(), &wanted);
        // Whether the certificate itself is trusted, or the authority that signed it, makes no
        // difference.
        let options = TransportOptions {
            authorities: vec![directory.path().join("c.pem")],
            ..TransportOptions::default()
        };
        assert_eq!(problem(&nginx.host_port(), options).await, expected);
        let nginx = showing_signed(directory.path(), &wanted);
        let options = TransportOptions {
            authorities: vec![directory.path().join("authority.pem")],
            ..TransportOptions::default()
        };
        assert_eq!(problem(&nginx.host_port(), options).await, expected);
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// nginx with such a certificate, signed by itself.
fn showing(directory: &Path, wanted: &CertificateRequest) -> Nginx {
    let key = PrivateKey::generate(token::KeyKind::P256).unwrap();
    serving(
        directory,
        &wanted.self_signed(&key, &SystemEntropy).unwrap(),
        &key,
    )
}

/// The same, signed by an authority.
fn showing_signed(directory: &Path, wanted: &CertificateRequest) -> Nginx {
    let [key, authority_key] =
        [(); 2].map(|()| PrivateKey::generate(token::KeyKind::P256).unwrap());
    let now = SystemClock.now();
    let authority = CertificateRequest {
        common_name: "authority".to_owned(),
        hosts: Vec::new(),
        addresses: Vec::new(),
        not_before: now - DAY,
        not_after: now + DAY,
        authority: true,
    };
    let authority = authority
        .self_signed(&authority_key, &SystemEntropy)
        .unwrap();
    fs::write(directory.join("authority.pem"), authority.to_pem()).unwrap();
    serving(
        directory,
        &wanted
            .signed_by(&key, &authority, &authority_key, &SystemEntropy)
            .unwrap(),
        &key,
    )
}

fn serving(directory: &Path, certificate: &token::Certificate, key: &PrivateKey) -> Nginx {
    let (file, key_file) = (directory.join("c.pem"), directory.join("c.key"));
    fs::write(&file, certificate.to_pem()).unwrap();
    fs::write(&key_file, &*key.to_pkcs8_pem().unwrap()).unwrap();
    Nginx::start(&format!(
        "listen @listen@ ssl; ssl_certificate {}; ssl_certificate_key {}; location / {{ return 200 '{{}}'; }}",
        file.display(),
        key_file.display()
    ))
}

#[tokio::test]
async fn this_machine_may_speak_plain_http_and_others_may_not() {
    let registry = registry3(&RegistryConfig::default());
    assert!(
        catalog(&registry.host_port(), TransportOptions::default())
            .await
            .unwrap()
            .is_empty()
    );
    let closed = problem("127.0.0.1:1", TransportOptions::default()).await;
    assert_eq!(closed, ConnectionError::Unreachable);
    assert_eq!(
        problem("no-such-host.invalid", TransportOptions::default()).await,
        ConnectionError::UnknownHost
    );
}

#[tokio::test]
async fn a_server_that_asks_is_shown_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestCertificate::new(TestKeyKind::P256, directory.path(), "server");
    let own = TestCertificate::new(TestKeyKind::P256, directory.path(), "own");
    let nginx = Nginx::start(&format!(
        "listen @listen@ ssl; ssl_certificate {}; ssl_certificate_key {}; ssl_client_certificate {};\n\
         ssl_verify_client on; location / {{ default_type application/json; return 200 '{{\"repositories\":[\"seen\"]}}'; }}",
        server.certificate.display(),
        server.key.display(),
        own.certificate.display(),
    ));
    let options = TransportOptions {
        authorities: vec![server.certificate],
        ..TransportOptions::default()
    };
    assert!(catalog(&nginx.host_port(), options.clone()).await.is_err());
    let shown = TransportOptions {
        client_certificate: Some((own.certificate, own.key)),
        ..options
    };
    assert_eq!(catalog(&nginx.host_port(), shown).await.unwrap(), ["seen"]);
}
