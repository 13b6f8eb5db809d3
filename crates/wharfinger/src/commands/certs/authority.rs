//! The authority that signs a certificate.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use common::SystemEntropy;
use token::{Certificate, CertificateRequest, KeyKind, PrivateKey};

use super::{with_extension, write_key};
use crate::commands::key_file;
use crate::failure::Failure;
use crate::files::{self, FileMode};

/// How long a new authority is valid. Every client must be given a new one.
pub(in crate::commands) const TEN_YEARS: Duration = Duration::from_secs(3652 * 86_400);

/// The authority that signs. Without one, the certificate is self-signed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Sign with the authority in NAME.pem and NAME.key. If neither file exists, create it first.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["ca_cert", "ca_key"])]
    ca: Option<PathBuf>,
    /// Sign with this authority; its certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    ca_cert: Option<PathBuf>,
    /// The authority's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    ca_key: Option<PathBuf>,
}

/// A certificate that signs others, with its key.
pub(in crate::commands) struct Authority {
    pub(in crate::commands) certificate: Certificate,
    pub(in crate::commands) key: PrivateKey,
    /// Its files, if it was created just now.
    pub(super) made: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn find(&self, not_before: SystemTime) -> Result<Option<Authority>, Failure> {
        if let (Some(certificate), Some(key)) = (&self.ca_cert, &self.ca_key) {
            return read(certificate, key).map(Some);
        }
        self.ca
            .as_deref()
            .map(|name| found_or_made(name, not_before))
            .transpose()
    }
}

/// The authority in NAME.pem and NAME.key, created if neither exists.
pub(in crate::commands) fn found_or_made(
    name: &Path,
    not_before: SystemTime,
) -> Result<Authority, Failure> {
    let (pem, key) = (with_extension(name, "pem"), with_extension(name, "key"));
    match (pem.exists(), key.exists()) {
        (true, true) => read(&pem, &key),
        (false, false) => make(&pem, &key, not_before),
        (true, false) => Err(half(&pem, &key)),
        (false, true) => Err(half(&key, &pem)),
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Authority, Failure> {
    let mut certificates = key_file::certificates(certificate)?.into_iter();
    let key = key_file::private(key)?;
    let certificate = certificates
        .find(|certificate| certificate.holds(key.public()))
        .ok_or_else(|| {
            Failure::usage(format!(
                "{} holds no certificate of the authority's key",
                certificate.display()
            ))
        })?;
    Ok(Authority {
        certificate,
        key,
        made: None,
    })
}

fn make(pem: &Path, key_path: &Path, not_before: SystemTime) -> Result<Authority, Failure> {
    let failed =
        |error: &dyn std::error::Error| Failure::usage("no authority was made").caused_by(error);
    let key = PrivateKey::generate(KeyKind::P256).map_err(|error| failed(&error))?;
    let request = CertificateRequest {
        // Clients confuse two authorities of the same name.
        common_name: format!("Wharfinger CA {}", &key.public().libtrust_id()[..9]),
        hosts: Vec::new(),
        addresses: Vec::new(),
        not_before,
        not_after: not_before + TEN_YEARS,
        authority: true,
    };
    let certificate = request
        .self_signed(&key, &SystemEntropy)
        .map_err(|error| failed(&error))?;
    write_key(key_path, &key)?;
    files::write_new(pem, certificate.to_pem().as_bytes(), FileMode::Public)?;
    Ok(Authority {
        certificate,
        key,
        made: Some(pem.to_owned()),
    })
}

fn half(there: &Path, missing: &Path) -> Failure {
    Failure::usage(format!(
        "{} is there but {} is not",
        there.display(),
        missing.display()
    ))
    .hint("an authority is both; give the pair with --ca-cert and --ca-key, or choose another name")
}
