//! TLS as registries have it: certificates of their own, named by hand or lying where docker looks.

use std::fs;
use std::path::{Path, PathBuf};

use client::{Credentials, Error, Options, Registry as Client, Session, Transport, Trouble};
use peers::{Certificate, KeyKind, Nginx, Registry, RegistryConfig, registry3};

struct World {
    directory: tempfile::TempDir,
    pair: Certificate,
    registry: Registry,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let pair = Certificate::new(KeyKind::P256, directory.path(), "registry");
    let tls = Some((pair.certificate.clone(), pair.key.clone()));
    let registry = registry3(&RegistryConfig { tls, ..RegistryConfig::default() });
    World { directory, pair, registry }
}

async fn catalog(host: &str, options: Options) -> Result<Vec<String>, Error> {
    let session = Session::begin(Transport::new(options), host.parse().unwrap(), Credentials::Anonymous).await?;
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
    assert_eq!(trouble(&host, Options::default()).await, Trouble::UnknownAuthority);
    let named = Options { authorities: vec![world.pair.certificate.clone()], ..Options::default() };
    assert!(catalog(&host, named).await.unwrap().is_empty());
    let directory = certs_d(world.directory.path(), &host, &world.pair.certificate);
    let found = Options { certificate_directories: vec![directory], ..Options::default() };
    assert!(catalog(&host, found).await.unwrap().is_empty());
    let insecure = Options { insecure: true, ..Options::default() };
    assert!(catalog(&host, insecure).await.unwrap().is_empty());
    // Plain HTTP to a port that speaks TLS is answered, but not with what was asked for.
    assert!(catalog(&host, Options { plain_http: true, ..Options::default() }).await.is_err());
}

#[tokio::test]
async fn names_and_times_count_for_them_too() {
    let directory = tempfile::tempdir().unwrap();
    for (subject, extension, days, expected) in [
        ("/CN=localhost", None, "1", Trouble::WrongName(Vec::new())),
        (
            "/CN=x",
            Some("subjectAltName=DNS:other.example,IP:10.0.0.1"),
            "1",
            Trouble::WrongName(vec!["other.example".into(), "10.0.0.1".into()]),
        ),
        ("/CN=x", Some("subjectAltName=DNS:localhost,IP:127.0.0.1"), "-1", Trouble::Expired),
    ] {
        let (certificate, key) = (directory.path().join("c.pem"), directory.path().join("c.key"));
        let mut command = std::process::Command::new("openssl");
        command.args([
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-subj",
            subject,
        ]);
        match days {
            "-1" => command.args(["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"]),
            days => command.args(["-days", days]),
        };
        command.args(extension.iter().flat_map(|extension| ["-addext", extension]));
        let made = peers::run(command.arg("-keyout").arg(&key).arg("-out").arg(&certificate));
        if !made.status.success() && days == "-1" {
            // OpenSSL before 3.4 cannot make a certificate of the past this way.
            continue;
        }
        made.succeeded();
        let nginx = Nginx::start(&format!(
            "listen @listen@ ssl; ssl_certificate {}; ssl_certificate_key {}; location / {{ return 200 '{{}}'; }}",
            certificate.display(),
            key.display()
        ));
        let options = Options { authorities: vec![certificate], ..Options::default() };
        assert_eq!(trouble(&nginx.host_port(), options).await, expected);
    }
}

#[tokio::test]
async fn this_machine_may_speak_plain_http_and_others_may_not() {
    let registry = registry3(&RegistryConfig::default());
    assert!(catalog(&registry.host_port(), Options::default()).await.unwrap().is_empty());
    let nobody = trouble("127.0.0.1:1", Options::default()).await;
    assert_eq!(nobody, Trouble::Unreachable);
    assert_eq!(trouble("no-such-host.invalid", Options::default()).await, Trouble::UnknownHost);
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
    let options = Options { authorities: vec![server.certificate], ..Options::default() };
    assert!(catalog(&nginx.host_port(), options.clone()).await.is_err());
    let shown = Options { client_certificate: Some((own.certificate, own.key)), ..options };
    assert_eq!(catalog(&nginx.host_port(), shown).await.unwrap(), ["seen"]);
}
