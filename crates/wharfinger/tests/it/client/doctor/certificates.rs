//! Certificates of registry and token server: signed by an unknown authority, without a name, for
//! another name, expired, without an intermediate certificate.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Clock, SystemClock, SystemEntropy};
use peers::{Auth, Nginx, RegistryConfig, TestCertificate, TestKeyKind, Trust};
use token::{CertificateRequest, PrivateKey};

use super::{ALL, Made, examine_as, run_probes, tls};
use crate::client::runner::User;

const DAY: Duration = Duration::from_secs(86_400);

/// A certificate to be staged.
pub(super) struct Wanted(CertificateRequest);

impl Wanted {
    /// For `localhost` and 127.0.0.1, from yesterday until in a month.
    pub(super) fn for_this_machine() -> Self {
        let now = SystemClock.now();
        Self(CertificateRequest {
            common_name: "127.0.0.1".to_owned(),
            hosts: vec!["localhost".to_owned()],
            addresses: vec!["127.0.0.1".parse().unwrap()],
            not_before: now - DAY,
            not_after: now + 30 * DAY,
            authority: false,
        })
    }

    /// The same of January 2020.
    pub(super) fn expired() -> Self {
        let begin = UNIX_EPOCH + Duration::from_secs(1_577_836_800);
        Self::for_this_machine().within(begin, begin + 31 * DAY)
    }

    fn within(mut self, not_before: SystemTime, not_after: SystemTime) -> Self {
        (self.0.not_before, self.0.not_after) = (not_before, not_after);
        self
    }

    /// For this address alone.
    pub(super) fn at(mut self, address: &str) -> Self {
        self.0.hosts.clear();
        self.0.addresses = vec![address.parse().unwrap()];
        self
    }

    pub(super) fn named(mut self, hosts: &[&str]) -> Self {
        self.0.hosts = hosts.iter().map(ToString::to_string).collect();
        self.0.addresses.clear();
        self
    }

    /// Makes it, signed by itself or by an authority.
    pub(super) fn write(
        &self,
        directory: &Path,
        name: &str,
        by: Option<&TestCertificate>,
    ) -> TestCertificate {
        // Of 1 key in 128 registry 3.1 miscounts the thumbprint, which is another story.
        let keys = std::iter::repeat_with(|| PrivateKey::generate(token::KeyKind::P256).unwrap());
        let counted =
            |key: &PrivateKey| key.public().ids().thumbprint == key.public().ids().registry_3_1;
        let key = keys.into_iter().find(counted).unwrap();
        let made = match by {
            None => self.0.self_signed(&key, &SystemEntropy),
            Some(authority) => {
                let text = |path| fs::read_to_string(path).unwrap();
                let issuer = token::Certificate::bundle_from_pem(&text(&authority.certificate))
                    .unwrap()
                    .remove(0);
                let issuer_key = PrivateKey::from_pem(&text(&authority.key)).unwrap();
                self.0.signed_by(&key, &issuer, &issuer_key, &SystemEntropy)
            }
        };
        let pair = TestCertificate {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        };
        fs::write(&pair.certificate, made.unwrap().to_pem()).unwrap();
        fs::write(&pair.key, &*key.to_pkcs8_pem().unwrap()).unwrap();
        pair
    }
}

/// An authority that signs others.
pub(super) fn authority(directory: &Path) -> TestCertificate {
    let mut wanted = Wanted::for_this_machine().named(&[]);
    wanted.0.common_name = "Acme authority".to_owned();
    wanted.0.authority = true;
    wanted.write(directory, "authority", None)
}

/// What is wrong with a certificate, whether it is trusted nevertheless, and what is said of it.
struct Fault {
    pair: TestCertificate,
    trusted: bool,
    evidence: &'static str,
    remedy: String,
}

/// All that is wrong with certificates for 127.0.0.1.
fn faults(directory: &Path) -> Vec<Fault> {
    let fault = |name: &str, wanted: &Wanted, trusted, evidence, remedy: &str| Fault {
        pair: wanted.write(directory, name, None),
        trusted,
        evidence,
        remedy: remedy.to_owned(),
    };
    let now = SystemClock.now();
    vec![
        fault(
            "unknown",
            &Wanted::for_this_machine(),
            false,
            "signed by an unknown authority",
            "/ca.crt on each client",
        ),
        fault(
            "bare",
            &Wanted::for_this_machine().named(&[]),
            true,
            "has no subjectAltName",
            "subjectAltName=IP:127.0.0.1",
        ),
        fault(
            "other",
            &Wanted::for_this_machine().named(&["other.example"]),
            true,
            "is not for 127.0.0.1",
            "IP:127.0.0.1",
        ),
        fault(
            "old",
            &Wanted::expired(),
            true,
            "expired on",
            "renew the certificate",
        ),
        fault(
            "early",
            &Wanted::for_this_machine().within(now + DAY, now + 2 * DAY),
            true,
            "not valid before",
            "set the clock",
        ),
    ]
}

#[test]
fn certificates_of_the_registry() {
    let directory = tempfile::tempdir().unwrap();
    for made in ALL {
        for fault in faults(directory.path()) {
            // Ours does not start with a certificate that is not valid now.
            let outside = ["expired on", "not valid before"].contains(&fault.evidence);
            let config = RegistryConfig {
                tls: Some((fault.pair.certificate.clone(), fault.pair.key.clone())),
                ..RegistryConfig::default()
            };
            let (registry, nginx);
            let host = if made == Made::Ours && outside {
                registry = made.open();
                nginx = super::tls_proxy(&registry, &fault.pair, "");
                nginx.host_port()
            } else {
                registry = made.start(&config);
                registry.host_port()
            };
            let trusted = fault.pair.certificate.display().to_string();
            let trust: &[&str] = if fault.trusted {
                &["--ca-file", &trusted]
            } else {
                &[]
            };
            let report = run_probes(&[trust, &[&host]].concat(), "");
            report.fails(&["registry-certificate"], fault.evidence, &fault.remedy);
        }
    }
}

#[test]
fn certificates_of_the_realm() {
    let directory = tempfile::tempdir().unwrap();
    let key = TestCertificate::new(TestKeyKind::P256, directory.path(), "token");
    let token = super::token(&key, &super::X5C);
    for made in ALL {
        for fault in faults(directory.path()) {
            let server = Nginx::start(&format!(
                "listen @listen@ ssl; {} location /auth {{ default_type application/json; return 200 '{{\"token\":\"{token}\"}}'; }}",
                tls(&fault.pair)
            ));
            let auth = Auth::Token {
                realm: format!("https://{}/auth", server.host_port()),
                service: "r".to_owned(),
                issuer: "Acme".to_owned(),
                trust: Trust::Bundle(key.certificate.clone()),
            };
            let registry = made.start(&RegistryConfig {
                auth,
                ..RegistryConfig::default()
            });
            let trusted = fault.pair.certificate.display().to_string();
            let trust: &[&str] = if fault.trusted {
                &["--ca-file", &trusted]
            } else {
                &[]
            };
            let report = run_probes(&[trust, &[&registry.host_port()]].concat(), "");
            report.fails(&["realm-certificate"], fault.evidence, &fault.remedy);
            if !fault.trusted {
                // The file that the remedy names, which is what docker, podman and containerd look
                // at.
                let (user, host) = (User::new(), registry.host_port());
                report.says(
                    "realm-certificate",
                    "",
                    &format!("/etc/docker/certs.d/{host}/ca.crt"),
                );
                let certs = user.path(&format!(".docker/certs.d/{host}"));
                fs::create_dir_all(&certs).unwrap();
                fs::copy(&fault.pair.certificate, format!("{certs}/ca.crt")).unwrap();
                examine_as(&user, &[&host], "").is_healthy();
            }
        }
    }
}

#[test]
fn a_chain_with_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let root = authority(directory.path());
    let mut between = Wanted::for_this_machine().named(&[]);
    (between.0.authority, between.0.common_name) = (true, "Acme intermediate".to_owned());
    let between = between.write(directory.path(), "between", Some(&root));
    let pair = Wanted::for_this_machine().write(directory.path(), "leaf", Some(&between));
    for made in ALL {
        let tls = Some((pair.certificate.clone(), pair.key.clone()));
        let registry = made.start(&RegistryConfig {
            tls,
            ..RegistryConfig::default()
        });
        let trusting = |path: &Path| {
            run_probes(
                &[
                    "--ca-file",
                    &path.display().to_string(),
                    &registry.host_port(),
                ],
                "",
            )
        };
        let issuer = "issuer \"CN=Acme intermediate\"";
        let remedy =
            "if the authority is an intermediate one, have the server send its certificate, too";
        trusting(&root.certificate).fails(&["registry-certificate"], issuer, remedy);
        trusting(&between.certificate).is_healthy();
    }
}

#[test]
fn certificates_as_openssl_makes_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let openssl = |line: &str| {
        peers::run(
            Command::new("openssl")
                .args(line.split(' '))
                .current_dir(directory.path()),
        )
        .succeeded()
        .to_owned()
    };
    // Of version 1, which has no extensions at all; and with a key that every client finds too short.
    openssl("req -newkey rsa:2048 -nodes -keyout old.key -out old.csr -subj /CN=127.0.0.1");
    openssl("x509 -req -in old.csr -signkey old.key -days 30 -out old.pem");
    let weak =
        "req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.pem -days 30 -subj /CN=x";
    openssl(&format!("{weak} -addext subjectAltName=IP:127.0.0.1"));
    let registry = Made::Registry2.open();
    for (name, evidence, remedy) in [
        (
            "old",
            "has no subjectAltName",
            "subjectAltName=IP:127.0.0.1",
        ),
        (
            "weak",
            "and this client do not agree on TLS",
            "an RSA key of at least 2048 bits",
        ),
    ] {
        let pair = TestCertificate {
            certificate: path(&format!("{name}.pem")).into(),
            key: path(&format!("{name}.key")).into(),
        };
        let nginx = Nginx::start_with(
            "ssl_ciphers DEFAULT@SECLEVEL=0;",
            &format!(
                "listen @listen@ ssl; {} location / {{ proxy_pass http://{}; }}",
                tls(&pair),
                registry.host_port()
            ),
        );
        let report = run_probes(
            &[
                "--ca-file",
                &path(&format!("{name}.pem")),
                &nginx.host_port(),
            ],
            "",
        );
        report.fails(&["registry-certificate"], evidence, remedy);
        let report = run_probes(&[&nginx.host_port()], "");
        report.fails(
            &["registry-certificate"],
            "signed by an unknown authority",
            "/etc/docker/certs.d",
        );
    }
}

#[test]
fn a_certificate_that_ends_soon() {
    let directory = tempfile::tempdir().unwrap();
    let now = SystemClock.now();
    let pair = Wanted::for_this_machine()
        .within(now - DAY, now + 5 * DAY)
        .write(directory.path(), "soon", None);
    for made in ALL {
        let tls = Some((pair.certificate.clone(), pair.key.clone()));
        let registry = made.start(&RegistryConfig {
            tls,
            ..RegistryConfig::default()
        });
        let trusted = pair.certificate.display().to_string();
        let report = run_probes(&["--ca-file", &trusted, &registry.host_port()], "");
        report.warns(
            "registry-certificate",
            "the certificate expires soon",
            "renew the certificate",
        );
    }
}
