//! Keys and certificates that OpenSSL makes, so that our programs do not only read their own files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::BASE64;

use crate::{program, run};

/// The kind of a key pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestKeyKind {
    /// RSA with 2048 bits.
    Rsa,
    /// ECDSA on P-256. No coordinate begins with a zero byte: registry 3.1 has another ID for such a
    /// key, and the program warns of it.
    P256,
}

/// A private key and a self-signed certificate, valid for `localhost` and 127.0.0.1 for 30 days
/// from now.
#[derive(Clone, Debug)]
pub struct TestCertificate {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM (PKCS#8).
    pub key: PathBuf,
}

impl TestCertificate {
    /// Makes a pair: `NAME.pem` and `NAME.key` in `directory`.
    ///
    /// # Panics
    /// If openssl is missing or fails.
    #[must_use]
    pub fn new(kind: TestKeyKind, directory: &Path, name: &str) -> Self {
        Self::make(kind, directory, name, "DNS:localhost,IP:127.0.0.1", &[])
    }

    /// Makes a pair for other hosts, which `names` has as OpenSSL's `subjectAltName` does.
    ///
    /// # Panics
    /// If openssl is missing or fails.
    #[must_use]
    pub fn of_names(directory: &Path, name: &str, names: &str) -> Self {
        Self::make(TestKeyKind::P256, directory, name, names, &[])
    }

    /// The same, with a certificate that says that it is no authority's.
    ///
    /// # Panics
    /// If openssl is missing or fails.
    #[must_use]
    pub fn of_no_authority(directory: &Path, name: &str, names: &str) -> Self {
        let more = ["-addext", "basicConstraints=critical,CA:FALSE"];
        Self::make(TestKeyKind::P256, directory, name, names, &more)
    }

    fn make(kind: TestKeyKind, directory: &Path, name: &str, names: &str, more: &[&str]) -> Self {
        let pair = Self {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        };
        pair.write(kind, names, more);
        while kind == TestKeyKind::P256 && has_zero_byte(&pair.key) {
            pair.write(kind, names, more);
        }
        pair
    }

    fn write(&self, kind: TestKeyKind, names: &str, more: &[&str]) {
        let mut command = Command::new(program("openssl"));
        command.args([
            "req",
            "-x509",
            "-nodes",
            "-sha256",
            "-days",
            "30",
            "-subj",
            "/CN=localhost",
        ]);
        command.args(["-addext", &format!("subjectAltName={names}")]);
        command.args(more);
        match kind {
            TestKeyKind::Rsa => command.args(["-newkey", "rsa:2048"]),
            TestKeyKind::P256 => {
                command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            }
        };
        run(command
            .arg("-keyout")
            .arg(&self.key)
            .arg("-out")
            .arg(&self.certificate))
        .succeeded();
    }
}

/// Whether a coordinate of a key on P-256 begins with a zero byte: one key in 128.
fn has_zero_byte(key: &Path) -> bool {
    let pem = fs::read_to_string(key).expect("the key");
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let der = BASE64
        .decode(lines.collect::<String>().as_bytes())
        .expect("a key in PEM");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
    let pair = pair.expect("a key on P-256");
    // 4, and two coordinates of 32 bytes (SEC 1, 2.3.3).
    let point = pair.public_key().as_ref();
    point[1] == 0 || point[33] == 0
}
