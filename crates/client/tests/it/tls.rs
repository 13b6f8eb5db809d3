//! TLS as registries have it: certificates of their own, named by hand or lying where docker looks.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::{Credentials, Error, Options, Registry as Client, Session, Transport, Trouble};
use peers::{Certificate, KeyKind, Nginx, Registry, RegistryConfig, registry3};
use token::{CertificateRequest, Clock, PrivateKey, SystemClock, SystemEntropy};

struct World {
    directory: tempfile::TempDir,
    pair: Certificate,
    registry: Registry,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let pair = Certificate::new(KeyKind::P256, directory.path(), "registry");
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

async fn catalog(host: &str, options: Options) -> Result<Vec<String>, Error> {
    let session = Session::begin(
        Transport::new(options),
        host.parse().unwrap(),
        Credentials::Anonymous,
    )
    .await?;
    Client::new(session).catalog(None)?.all().await
}

async fn trouble(host: &str, options: Options) -> Trouble {
    match catalog(host, options).await {
        Err(Error::Connection { trouble, .. }) => trouble,
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
        trouble(&host, Options::default()).await,
        Trouble::UnknownAuthority
    );
    let named = Options {
        authorities: vec![world.pair.certificate.clone()],
        ..Options::default()
    };
    assert!(catalog(&host, named).await.unwrap().is_empty());
    let directory = certs_d(world.directory.path(), &host, &world.pair.certificate);
    let found = Options {
        certificate_directories: vec![directory],
        ..Options::default()
    };
    assert!(catalog(&host, found).await.unwrap().is_empty());
    let insecure = Options {
        insecure: true,
        ..Options::default()
    };
    assert!(catalog(&host, insecure).await.unwrap().is_empty());
    // Plain HTTP to a port that speaks TLS is answered, but not with what was asked for.
    assert!(
        catalog(
            &host,
            Options {
                plain_http: true,
                ..Options::default()
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
        (wanted(&[], &[]), Trouble::WrongName(Vec::new())),
        (
            wanted(&["other.example"], &["10.0.0.1"]),
            Trouble::WrongName(vec!["other.example".into(), "10.0.0.1".into()]),
        ),
        (
            CertificateRequest {
                not_before: now - 3 * DAY,
                not_after: now - DAY,
                ..here.clone()
            },
            Trouble::Expired,
        ),
        (
            CertificateRequest {
                not_before: now + DAY,
                not_after: now + 3 * DAY,
                ..here
            },
            Trouble::Expired,
        ),
    ] {
        let nginx = showing(directory.path(), &wanted);
        // Whether the certificate itself is trusted, or the authority that signed it, makes no
        // difference.
        let options = Options {
            authorities: vec![directory.path().join("c.pem")],
            ..Options::default()
        };
        assert_eq!(trouble(&nginx.host_port(), options).await, expected);
        let nginx = showing_signed(directory.path(), &wanted);
        let options = Options {
            authorities: vec![directory.path().join("authority.pem")],
            ..Options::default()
        };
        assert_eq!(trouble(&nginx.host_port(), options).await, expected);
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
        catalog(&registry.host_port(), Options::default())
            .await
            .unwrap()
            .is_empty()
    );
    let nobody = trouble("127.0.0.1:1", Options::default()).await;
    assert_eq!(nobody, Trouble::Unreachable);
    assert_eq!(
        trouble("no-such-host.invalid", Options::default()).await,
        Trouble::UnknownHost
    );
}

#[tokio::test]
async fn a_server_that_asks_is_shown_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let server = Certificate::new(KeyKind::P256, directory.path(), "server");
    let own = Certificate::new(KeyKind::P256, directory.path(), "own");
    let nginx = Nginx::start(&format!(
        "listen @listen@ ssl; ssl_certificate {}; ssl_certificate_key {}; ssl_client_certificate {};\n\
         ssl_verify_client on; location / {{ default_type application/json; return 200 '{{\"repositories\":[\"seen\"]}}'; }}",
        server.certificate.display(),
        server.key.display(),
        own.certificate.display(),
    ));
    let options = Options {
        authorities: vec![server.certificate],
        ..Options::default()
    };
    assert!(catalog(&nginx.host_port(), options.clone()).await.is_err());
    let shown = Options {
        client_certificate: Some((own.certificate, own.key)),
        ..options
    };
    assert_eq!(catalog(&nginx.host_port(), shown).await.unwrap(), ["seen"]);
}
