//! What the store has, for commands.

use crate::attempt::AttemptRecord;
use crate::store::attempts;
use crate::{AcmeStore, AcmeStoreError, CertificateFileError, CertificateHost, HostCertificate};

/// What the store has for one host.
#[derive(Debug)]
pub struct HostStatus {
    /// The host.
    pub host: CertificateHost,
    /// Its certificate; `None` before it has one.
    pub certificate: Option<Result<HostCertificate, CertificateFileError>>,
    /// The attempts since that certificate.
    pub attempts: Option<AttemptRecord>,
    /// Whether a server is making the last of these attempts now.
    pub is_under_way: bool,
}

/// What `store` has for each host.
///
/// # Errors
/// When the store cannot be read.
pub async fn status(
    store: &dyn AcmeStore,
    hosts: &[CertificateHost],
) -> Result<Vec<HostStatus>, AcmeStoreError> {
    let mut all = Vec::new();
    for host in hosts {
        let pem = store.read(host.as_str()).await?;
        let record = store.read(&attempts(host)).await?;
        all.push(HostStatus {
            host: host.clone(),
            certificate: pem.map(|pem| HostCertificate::from_pem(host, &pem)),
            attempts: record.and_then(|json| serde_json::from_slice(&json).ok()),
            is_under_way: false,
        });
    }
    let is_open =
        |status: &HostStatus| status.attempts.as_ref().is_some_and(AttemptRecord::is_open);
    if all.iter().any(is_open) {
        // The server that makes an attempt has the lease.
        let lease = store.lease().await?;
        for status in &mut all {
            status.is_under_way = lease.is_none() && is_open(status);
        }
        if let Some(lease) = lease {
            lease.release().await;
        }
    }
    Ok(all)
}

/// Forgets the failed attempts for `hosts`, so that the server makes the next one at its next look.
/// `false` if a server is making one now.
///
/// # Errors
/// When the store cannot be changed.
pub async fn retry(
    store: &dyn AcmeStore,
    hosts: &[CertificateHost],
) -> Result<bool, AcmeStoreError> {
    let Some(lease) = store.lease().await? else {
        return Ok(false);
    };
    let mut outcome = Ok(true);
    for host in hosts {
        if let Err(error) = lease.write(&attempts(host), None).await {
            outcome = Err(error);
        }
    }
    lease.release().await;
    outcome
}
