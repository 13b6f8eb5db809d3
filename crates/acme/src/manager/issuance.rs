//! One attempt: it is recorded, made, and what comes of it is stored and logged.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{CertificateManager, Known, LOOK, LOOK_AT_ANOTHER, date};
use crate::account::account;
use crate::attempt::AttemptRecord;
use crate::error::in_one_line;
use crate::http_client::AcmeHttpClient;
use crate::order::{HostOrder, IssuedCertificate};
use crate::store::{ANSWERS, attempts};
use crate::{AcmeError, AcmeLease, AcmeStoreError, CertificateHost};

/// How often a lease is renewed.
const RENEW: Duration = Duration::from_secs(20);

/// How long an attempt may take.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(600);

impl CertificateManager {
    /// Makes an attempt. Its failure is logged and recorded, and is no error.
    pub(super) async fn attempt(
        &self,
        host: &CertificateHost,
        before: Option<AttemptRecord>,
        lease: &dyn AcmeLease,
        known: &mut Known,
    ) -> Result<Duration, AcmeStoreError> {
        let now = self.clock.now();
        let fingerprint = self.fingerprint.clone();
        let record = AttemptRecord::beginning(before.as_ref(), now, fingerprint, self.pauses);
        // This also shows that the store can be written, before anything is ordered.
        write_record(lease, host, &record).await?;
        lease.write(ANSWERS, None).await?;
        let http = self.http.for_attempt();
        let outcome = keeping(lease, self.order(host, &http, lease)).await;
        let cleared = self.certificates.end_answers(lease).await;
        match outcome {
            Ok(issued) => {
                self.certificates.count(true);
                let certificate = Arc::new(issued.certificate);
                tracing::info!(
                    %host,
                    directory = self.settings.directory,
                    not_after = date(certificate.not_after()),
                    renewal = date(certificate.renewal_time()),
                    "obtained a certificate"
                );
                self.certificates.install(host, &certificate);
                known.unsaved.insert(host.clone(), issued.pem);
                self.store_issued(host, lease, known).await?;
                cleared.map(|()| LOOK)
            }
            Err(error) => {
                self.certificates.count(false);
                let now = self.clock.now();
                let text = in_one_line(&error);
                let record = record.failed(text.clone(), now, http.retry_after(), self.pauses);
                let wait = record.wait(now, &self.fingerprint, self.pauses);
                tracing::error!(
                    %host,
                    directory = self.settings.directory,
                    challenge = self.settings.challenge.name(),
                    attempt = record.failures,
                    error = text,
                    next_attempt = date(record.next_attempt()),
                    "no certificate was obtained{}: {}",
                    self.what_is_served(host),
                    error.hint()
                );
                if !matches!(error, AcmeError::Store(AcmeStoreError::Lost)) {
                    write_record(lease, host, &record).await?;
                }
                cleared.map(|()| wait.min(LOOK))
            }
        }
    }

    async fn order(
        &self,
        host: &CertificateHost,
        http: &AcmeHttpClient,
        lease: &dyn AcmeLease,
    ) -> Result<IssuedCertificate, AcmeError> {
        let account = account(&self.settings, http, self.store.as_ref(), lease).await?;
        let order = HostOrder {
            account: &account,
            directory: &self.settings.directory,
            host,
            challenge: self.settings.challenge,
            certificates: &self.certificates,
            lease,
        };
        order.place().await
    }

    /// Stores what was issued when the store could not be written.
    pub(super) async fn save(
        &self,
        host: &CertificateHost,
        known: &mut Known,
    ) -> Result<Duration, AcmeStoreError> {
        let Some(lease) = self.store.lease().await? else {
            return Ok(LOOK_AT_ANOTHER);
        };
        let saved = self.store_issued(host, lease.as_ref(), known).await;
        lease.release().await;
        saved.map(|()| LOOK)
    }

    async fn store_issued(
        &self,
        host: &CertificateHost,
        lease: &dyn AcmeLease,
        known: &mut Known,
    ) -> Result<(), AcmeStoreError> {
        let Some(pem) = known.unsaved.get(host) else {
            return Ok(());
        };
        lease.write(host.as_str(), Some(pem.as_bytes())).await?;
        if let Some(pem) = known.unsaved.remove(host) {
            known.documents.insert(host.clone(), pem.into_bytes());
        }
        lease.write(&attempts(host), None).await
    }

    /// What clients get meanwhile, for the log.
    fn what_is_served(&self, host: &CertificateHost) -> String {
        match self.certificates.certificate(host) {
            None => "; clients get none until then".to_owned(),
            Some(certificate) if certificate.not_after() < self.clock.now() => {
                format!(
                    "; the one that is served expired on {}",
                    date(certificate.not_after())
                )
            }
            Some(certificate) => {
                format!(
                    "; the one that is served expires on {}",
                    date(certificate.not_after())
                )
            }
        }
    }
}

async fn write_record(
    lease: &dyn AcmeLease,
    host: &CertificateHost,
    record: &AttemptRecord,
) -> Result<(), AcmeStoreError> {
    let json = serde_json::to_vec(record).unwrap_or_default();
    lease.write(&attempts(host), Some(&json)).await
}

/// Does `work` within a time, and keeps the lease meanwhile.
async fn keeping<T>(
    lease: &dyn AcmeLease,
    work: impl Future<Output = Result<T, AcmeError>>,
) -> Result<T, AcmeError> {
    let renew = async {
        loop {
            sleep(RENEW).await;
            // After another failure there is time for one more attempt.
            if let Err(AcmeStoreError::Lost) = lease.renew().await {
                return AcmeError::Store(AcmeStoreError::Lost);
            }
        }
    };
    tokio::select! {
        done = timeout(LONGEST_ATTEMPT, work) => {
            done.unwrap_or(Err(AcmeError::TooLong(LONGEST_ATTEMPT)))
        }
        lost = renew => Err(lost),
    }
}
