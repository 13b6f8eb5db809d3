//! Which certificates are asked of which ACME server, and how.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use client_tls::ClientTls;
use data_encoding::HEXLOWER;

use crate::CertificateHost;

/// The directory of Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The protocol by which an ACME server asks for the answer to `tls-alpn-01` (RFC 8737 §6.2).
pub(crate) const ACME_TLS_PROTOCOL: &[u8] = b"acme-tls/1";

/// Which certificates are asked of which ACME server, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeSettings {
    /// The URL of the ACME server's directory.
    pub directory: String,
    /// Where the ACME server may write to.
    pub email: Option<String>,
    /// The hosts, each of which gets its own certificate. The first one's is for clients that name no
    /// host.
    pub hosts: Vec<CertificateHost>,
    /// How this server proves that it is a host.
    pub challenge: ChallengeKind,
    /// The account at the operator of the ACME server to which ours is bound.
    pub binding: Option<ExternalAccountBinding>,
    /// Which certificates of the ACME server itself are trusted.
    pub tls: ClientTls,
}

/// How this server proves that it is a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// By a file that is served over HTTP at port 80 (RFC 8555 §8.3).
    Http01,
    /// Within a TLS handshake at port 443 (RFC 8737).
    TlsAlpn01,
}

/// An account at the operator of an ACME server (RFC 8555 §7.3.4).
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccountBinding {
    key_id: String,
    key: Vec<u8>,
}

impl AcmeSettings {
    /// Tells settings apart with which an attempt may end in another way. No secret is in it.
    pub(crate) fn fingerprint(&self) -> String {
        let Self {
            directory,
            email,
            challenge,
            binding,
            ..
        } = self;
        let key_id = binding.as_ref().map(|binding| &binding.key_id);
        let text = format!("{directory}\n{email:?}\n{challenge:?}\n{key_id:?}");
        HEXLOWER.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..8])
    }
}

impl ChallengeKind {
    /// Its name (RFC 8555 §9.7.8).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

impl ExternalAccountBinding {
    /// The account `key_id` with its HMAC key.
    #[must_use]
    pub fn new(key_id: String, key: Vec<u8>) -> Self {
        Self { key_id, key }
    }

    pub(crate) fn key(&self) -> instant_acme::ExternalAccountKey {
        instant_acme::ExternalAccountKey::new(self.key_id.clone(), &self.key)
    }
}

impl fmt::Debug for ExternalAccountBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccountBinding")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
