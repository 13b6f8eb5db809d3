//! A host's certificate with its private key, as the store has it.
//!
//! The format is that of Go's autocert, which docker_auth and Distribution use: the private key, then
//! the certificates, the host's first, all in PEM. Our own have one more line at the beginning, which
//! names the directory that they are from.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use token::Certificate;

use crate::{CertificateHost, pem};

/// The renewal is delayed by up to so many-eths of the life, so that not all servers of the world
/// renew in the same minute.
const JITTER: u32 = 60;

/// A certificate for a host, and its private key.
#[derive(Clone)]
pub struct HostCertificate {
    certified: Arc<CertifiedKey>,
    leaf: Certificate,
    directory: Option<String>,
}

/// Why a file has no certificate that can be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFileError {
    /// No private key.
    #[error("it has no private key that can be read")]
    NoKey,
    /// No certificate, or one that is damaged.
    #[error("it has no certificate that can be read")]
    NoCertificate,
    /// The certificate is for other hosts.
    #[error("its certificate is not for {0}")]
    OtherHost(CertificateHost),
    /// The key and the certificate belong to different pairs, or TLS cannot use them.
    #[error("its key and its certificate cannot be used together")]
    Unusable(#[source] rustls::Error),
}

impl HostCertificate {
    /// Reads what the store has for `host`.
    ///
    /// # Errors
    /// When it is not a key with a certificate for that host.
    pub fn from_pem(host: &CertificateHost, pem: &[u8]) -> Result<Self, CertificateFileError> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| CertificateFileError::NoKey)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = chain.map_err(|_| CertificateFileError::NoCertificate)?;
        let leaf = chain.first().ok_or(CertificateFileError::NoCertificate)?;
        let leaf = Certificate::from_der(leaf).map_err(|_| CertificateFileError::NoCertificate)?;
        let is_for_host = leaf
            .names()
            .iter()
            .any(|name| name.eq_ignore_ascii_case(host.as_str()));
        if !is_for_host {
            return Err(CertificateFileError::OtherHost(host.clone()));
        }
        let certified = CertifiedKey::from_der(chain, key, &default_provider())
            .map_err(CertificateFileError::Unusable)?;
        Ok(Self {
            certified: Arc::new(certified),
            leaf,
            directory: pem::directory(pem),
        })
    }

    /// From when it is valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.leaf.not_before()
    }

    /// Until when it is valid.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.leaf.not_after()
    }

    /// Who issued it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.leaf.issuer()
    }

    /// When to renew it: at two thirds of its life, and up to a sixtieth of it later. All servers find
    /// the same time for the same certificate.
    #[must_use]
    pub fn renewal_time(&self) -> SystemTime {
        let life = self.life();
        let hash = digest(&SHA256, self.leaf.der());
        let part = u32::from(hash.as_ref()[0]);
        let after = life * 2 / 3 + life / JITTER * part / 256;
        let time = self.not_before().checked_add(after);
        time.unwrap_or_else(|| self.not_after())
    }

    /// When its end is so near that an operator should look: half of the time for renewing it is over.
    #[must_use]
    pub fn expires_soon(&self, now: SystemTime) -> bool {
        let left = self.not_after().duration_since(now);
        left.unwrap_or_default() < self.life() / 6
    }

    /// Whether it is from the ACME server at `directory`. Of one that another program has stored, this
    /// is not known, and taken for granted.
    pub(crate) fn is_from(&self, directory: &str) -> bool {
        let from = self.directory.as_deref();
        from.is_none_or(|from| from == directory)
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    fn life(&self) -> Duration {
        let life = self.not_after().duration_since(self.not_before());
        life.unwrap_or_default()
    }
}

impl fmt::Debug for HostCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostCertificate")
            .field("names", &self.leaf.names())
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}
