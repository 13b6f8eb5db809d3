//! Pebble, the ACME server that Let's Encrypt has for tests, with a DNS server for its look-ups.

use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Daemon, ReservedAddress, TestCertificate, TestKeyKind, http, port, program};

/// How a [`Pebble`] behaves.
#[derive(Clone, Debug)]
pub struct PebbleConfig {
    /// The port at which the challenge `http-01` is asked.
    pub http_port: u16,
    /// The port at which the challenge `tls-alpn-01` is asked.
    pub tls_port: u16,
    /// How long its certificates are valid, in seconds.
    pub validity: u64,
    /// The only external account that it takes: its id, and its key in base64url. Without one, none is
    /// required.
    pub external_account: Option<(&'static str, &'static str)>,
    /// Hosts for which it issues no certificate.
    pub refused_hosts: Vec<&'static str>,
    /// Variables for its environment, such as `("PEBBLE_WFE_NONCEREJECT", "50")`. Without them, it
    /// does not wait before it asks for a challenge, reuses no authorization, and rejects no nonce.
    pub environment: Vec<(&'static str, &'static str)>,
}

/// A running server. It forgets everything when it ends. Every host name is 127.0.0.1 for it.
#[derive(Debug)]
pub struct Pebble {
    /// `None` while it is stopped.
    daemon: Option<Daemon>,
    dns: Daemon,
    dns_address: ReservedAddress,
    address: ReservedAddress,
    management: ReservedAddress,
    environment: Vec<(&'static str, &'static str)>,
    certificate: TestCertificate,
    directory: TempDir,
}

impl Default for PebbleConfig {
    fn default() -> Self {
        Self {
            http_port: 1,
            tls_port: 1,
            validity: 90 * 86_400,
            external_account: None,
            refused_hosts: Vec::new(),
            environment: Vec::new(),
        }
    }
}

impl Pebble {
    /// Starts a server.
    ///
    /// # Panics
    /// If pebble or pebble-challtestsrv is not installed, or does not start.
    #[must_use]
    pub fn start(config: &PebbleConfig) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        let certificate = TestCertificate::new(TestKeyKind::P256, path, "pebble");
        let (dns, dns_address) = start_dns(path);
        let management = ReservedAddress::new();
        let (daemon, address) = Daemon::start_on_port(&path.join("log"), |address| {
            config.write(path, &certificate, address, management.address());
            command(path, dns_address.address(), &config.environment)
        });
        Self {
            daemon: Some(daemon),
            dns,
            dns_address,
            address,
            management,
            environment: config.environment.clone(),
            certificate,
            directory,
        }
    }

    /// The URL of its directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The certificate to trust when its directory is asked.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate.certificate
    }

    /// The authority of the certificates that it issues, in PEM.
    #[must_use]
    pub fn root(&self) -> String {
        http::get(&format!("https://{}/roots/0", self.management)).body
    }

    /// Ends it, as if the machine were gone.
    pub fn stop(&mut self) {
        self.daemon = None;
    }

    /// Starts it again at the same address. It knows no account and no order any more.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let (path, port) = (self.directory.path(), self.address.port());
        let mut command = command(path, self.dns_address.address(), &self.environment);
        let mut daemon = Daemon::start_again(&mut command, &path.join("log"));
        let ready = daemon.until(|daemon| port::is_listened_on_by(port, daemon.id()).then_some(()));
        assert!(
            ready.is_some(),
            "it does not start again:\n{}",
            daemon.log()
        );
        self.daemon = Some(daemon);
    }

    /// Its log, with what a server that was stopped has written.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// How many orders were created.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.log().matches("Added order").count()
    }

    /// How many accounts were registered.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.log().matches("accounts in memory").count()
    }

    /// The log of its DNS server.
    #[must_use]
    pub fn dns_log(&self) -> String {
        self.dns.log()
    }
}

impl PebbleConfig {
    fn write(
        &self,
        directory: &Path,
        certificate: &TestCertificate,
        address: SocketAddrV4,
        management: SocketAddrV4,
    ) {
        let keys = self
            .external_account
            .map_or(String::new(), |(id, key)| format!("{id:?}: {key:?}"));
        let json = format!(
            r#"{{ "pebble": {{
                "listenAddress": "{address}", "managementListenAddress": "{management}",
                "certificate": {:?}, "privateKey": {:?},
                "httpPort": {}, "tlsPort": {}, "ocspResponderURL": "",
                "externalAccountBindingRequired": {}, "externalAccountMACKeys": {{ {keys} }},
                "domainBlocklist": {:?}, "retryAfter": {{ "authz": 1, "order": 1 }},
                "keyAlgorithm": "ecdsa",
                "profiles": {{ "default": {{ "description": "tests", "validityPeriod": {} }} }}
            }} }}"#,
            certificate.certificate,
            certificate.key,
            self.http_port,
            self.tls_port,
            self.external_account.is_some(),
            self.refused_hosts,
            self.validity,
        );
        fs::write(config_file(directory), json).expect("a configuration file");
    }
}

fn config_file(directory: &Path) -> PathBuf {
    directory.join("pebble.json")
}

fn command(
    directory: &Path,
    dns: SocketAddrV4,
    environment: &[(&'static str, &'static str)],
) -> Command {
    let mut command = Command::new(program("pebble"));
    command
        .arg("-strict")
        .args(["-dnsserver", &dns.to_string()])
        .arg("-config")
        .arg(config_file(directory))
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_AUTHZREUSE", "0")
        .env("PEBBLE_WFE_NONCEREJECT", "0")
        .envs(environment.iter().copied())
        .current_dir(directory);
    command
}

fn start_dns(directory: &Path) -> (Daemon, ReservedAddress) {
    let management = ReservedAddress::new();
    Daemon::start_on_port(&directory.join("dns.log"), |address| {
        let mut command = Command::new(program("pebble-challtestsrv"));
        command
            .args(["-dnsserver", &address.to_string()])
            .args(["-management", &management.to_string()])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""])
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""])
            .current_dir(directory);
        command
    })
}
