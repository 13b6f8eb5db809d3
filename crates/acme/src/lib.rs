//! Certificates for the server's TLS from an ACME server (RFC 8555), such as Let's Encrypt.
//!
//! A [`CertificateManager`] obtains one certificate for each host and renews it at two thirds of its
//! life. Where keys and certificates are kept is an [`AcmeStore`]: a directory in the format of Go's
//! autocert ([`CacheDirectory`]), or rows of the database ([`AcmeRows`]). Servers that share a store
//! share the certificates, and one of them orders at a time. What listeners need is in
//! [`ServerCertificates`]: the certificate for a handshake, and the answers to the ACME server's
//! challenges. An answer is there only while an order is under way.
//!
//! - *Directory*: the URL at which an ACME server describes itself (RFC 8555 §7.1.1).
//! - *Order*: the request for one certificate (§7.1.3). *Challenge*: the proof that this server is the
//!   host, by HTTP (`http-01`, §8.3) or within TLS (`tls-alpn-01`, RFC 8737).
//! - *Attempt*: one try to obtain a certificate, whatever becomes of it.
//!
//! ```no_run
//! # async fn example(tls: client_tls::ClientTls) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use acme::{AcmeSettings, CacheDirectory, CertificateManager, ChallengeKind, ServerCertificates};
//!
//! let clock: Arc<dyn common::Clock> = Arc::new(common::SystemClock);
//! let certificates = Arc::new(ServerCertificates::new(Arc::clone(&clock)));
//! let settings = AcmeSettings {
//!     directory: acme::LETS_ENCRYPT.to_owned(),
//!     email: Some("webmaster@example.com".to_owned()),
//!     hosts: vec!["registry.example.com".parse()?],
//!     challenge: ChallengeKind::TlsAlpn01,
//!     binding: None,
//!     tls,
//! };
//! let store = Arc::new(CacheDirectory::new("/var/lib/wharfinger/certificates".into()));
//! let manager = CertificateManager::new(settings, store, Arc::clone(&certificates), clock)?;
//! manager.run().await;
//! # Ok(())
//! # }
//! ```

mod account;
mod answers;
mod attempt;
mod certificate;
mod directory;
mod error;
mod handshake;
mod host;
mod http_client;
mod manager;
mod order;
mod pem;
mod server_certificates;
mod settings;
mod status;
mod store;

pub use attempt::{AttemptRecord, RetryPauses};
pub use certificate::{CertificateFileError, HostCertificate};
pub use directory::{DirectoryProblem, probe_directory};
pub use error::AcmeError;
pub use handshake::accept;
pub use host::{CertificateHost, CertificateHostError};
pub use http_client::AcmeHttpError;
pub use manager::CertificateManager;
pub use server_certificates::{AcmeStatistics, HostStatistics, ServerCertificates};
pub use settings::{AcmeSettings, ChallengeKind, ExternalAccountBinding, LETS_ENCRYPT};
pub use status::{HostStatus, retry, status};
pub use store::{AcmeLease, AcmeRows, AcmeStore, AcmeStoreError, CacheDirectory, MemoryAcmeStore};
