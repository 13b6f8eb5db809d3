//! `ldaps`, `StartTLS` and clear text, with certificates that are right, unknown, or another
//! server's.

use std::fs;
use std::path::Path;

use identity::tls::{ClientTls, ServerVerification};
use ldap::{DirectoryAddress, DirectoryServer, LdapSettings, TlsMode};
use peers::{Slapd, SlapdConfig, TestCertificate, TestKeyKind};

use crate::support::{accepted, backend, log_in, settings};

fn slapd(pair: &TestCertificate) -> Slapd {
    Slapd::start(&SlapdConfig {
        tls: Some((pair.certificate.clone(), pair.key.clone())),
        ..SlapdConfig::default()
    })
}

fn trusting(certificate: &Path) -> ClientTls {
    let pem = fs::read(certificate).unwrap();
    ClientTls::default().trusting(&pem).unwrap()
}

fn connecting(address: &str, mode: Option<TlsMode>, tls: &ClientTls) -> LdapSettings {
    let address = DirectoryAddress::parse(address, mode).unwrap();
    LdapSettings {
        servers: vec![DirectoryServer::new(address, tls).unwrap()],
        ..settings("127.0.0.1")
    }
}

/// The addresses of a server by a name and by an IP address, in each way of using TLS.
fn ways(slapd: &Slapd) -> Vec<(String, Option<TlsMode>)> {
    let mut ways = Vec::new();
    for host in ["localhost", "127.0.0.1"] {
        ways.push((format!("ldaps://{host}:{}", slapd.tls_port()), None));
        ways.push((
            format!("ldap://{host}:{}", slapd.port()),
            Some(TlsMode::StartTls),
        ));
    }
    ways
}

#[tokio::test]
async fn a_known_certificate_is_accepted_in_every_mode() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "ldap");
    let slapd = slapd(&pair);
    let tls = trusting(&pair.certificate);
    for (address, mode) in ways(&slapd) {
        let backend = backend(connecting(&address, mode, &tls));
        assert_eq!(
            log_in(&backend, "ann", "sesame").await,
            accepted("ann"),
            "{address}"
        );
    }
    assert!(slapd.log().contains("TLS established"), "{}", slapd.log());
    let clear = backend(connecting(&slapd.host_port(), Some(TlsMode::None), &tls));
    assert_eq!(log_in(&clear, "ann", "sesame").await, accepted("ann"));
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_before_a_password_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "ldap");
    let other = TestCertificate::new(TestKeyKind::P256, folder.path(), "other");
    let slapd = slapd(&pair);
    let binds = || slapd.log().matches(" BIND ").count();
    let before = binds();
    for tls in [trusting(&other.certificate), ClientTls::default()] {
        for (address, mode) in ways(&slapd) {
            let backend = backend(connecting(&address, mode, &tls));
            let told = log_in(&backend, "ann", "sesame").await.unavailable();
            assert!(
                told.contains("UnknownIssuer; set ldap_auth.ca_certificate to"),
                "{told}"
            );
        }
    }
    assert_eq!(binds(), before);
    let any = ClientTls::default().verifying(ServerVerification::Nothing);
    for (address, mode) in ways(&slapd) {
        let backend = backend(connecting(&address, mode, &any));
        assert_eq!(
            log_in(&backend, "ann", "sesame").await,
            accepted("ann"),
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pair =
        TestCertificate::of_names(folder.path(), "ldap", "DNS:ldap.example.com,IP:192.0.2.7");
    let slapd = slapd(&pair);
    let tls = trusting(&pair.certificate);
    for (address, mode) in ways(&slapd) {
        let backend = backend(connecting(&address, mode, &tls));
        let told = log_in(&backend, "ann", "sesame").await.unavailable();
        assert!(
            told.contains("write a name of the certificate into ldap_auth.addr"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn the_wrong_mode_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "ldap");
    let with_tls = slapd(&pair);
    let tls = trusting(&pair.certificate);
    let without_tls = Slapd::start(&SlapdConfig::default());
    for (address, mode) in [
        (
            format!("ldaps://127.0.0.1:{}", with_tls.port()),
            TlsMode::Always,
        ),
        (
            format!("ldap://127.0.0.1:{}", with_tls.tls_port()),
            TlsMode::StartTls,
        ),
        (without_tls.host_port(), TlsMode::StartTls),
    ] {
        let mut settings = connecting(&address, Some(mode), &tls);
        settings.timeouts.connect = std::time::Duration::from_secs(2);
        log_in(&backend(settings), "ann", "sesame")
            .await
            .unavailable();
    }
}

/// rustls cannot read the brackets that a URL has around such an address.
#[test]
fn an_ipv6_address_can_have_tls() {
    let address = DirectoryAddress::parse("ldaps://[::1]", None).unwrap();
    assert!(DirectoryServer::new(address, &ClientTls::default()).is_ok());
}
