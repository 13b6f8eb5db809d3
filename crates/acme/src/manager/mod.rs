//! Obtains certificates, and renews them in time.

mod issuance;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Clock, rfc3339, unix_seconds};
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::attempt::{AttemptRecord, RetryPauses};
use crate::error::in_one_line;
use crate::http_client::AcmeHttpClient;
use crate::store::attempts;
use crate::{
    AcmeError, AcmeSettings, AcmeStore, AcmeStoreError, CertificateHost, HostCertificate,
    ServerCertificates,
};

/// How often the store is read for what other servers have obtained.
const LOOK: Duration = Duration::from_secs(30);

/// How often it is read while another server obtains what this one lacks.
const LOOK_AT_ANOTHER: Duration = Duration::from_secs(2);

/// Obtains the certificates of the settings and renews them.
pub struct CertificateManager {
    settings: AcmeSettings,
    fingerprint: String,
    store: Arc<dyn AcmeStore>,
    certificates: Arc<ServerCertificates>,
    clock: Arc<dyn Clock>,
    http: AcmeHttpClient,
    pauses: RetryPauses,
    known: Mutex<Known>,
}

/// What the manager remembers between two looks.
#[derive(Default)]
struct Known {
    /// What the store had for a host when it was read last.
    documents: HashMap<CertificateHost, Vec<u8>>,
    /// What was issued and could not be stored yet.
    unsaved: HashMap<CertificateHost, String>,
    /// What was wrong with the store when it was used last, so that it is logged once.
    store_failure: Option<String>,
}

/// What is to be done for a host.
enum NextStep {
    /// An attempt.
    Attempt(Option<AttemptRecord>),
    /// Nothing for so long.
    Wait(Duration),
}

impl CertificateManager {
    /// A manager that has done nothing yet. From now on, `certificates` is for these settings.
    ///
    /// # Errors
    /// When the trusted certificates of the settings cannot be used.
    pub fn new(
        settings: AcmeSettings,
        store: Arc<dyn AcmeStore>,
        certificates: Arc<ServerCertificates>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AcmeError> {
        let http = AcmeHttpClient::new(&settings.tls, Arc::clone(&clock))?;
        certificates.serve(&settings.hosts, Arc::clone(&store));
        Ok(Self {
            fingerprint: settings.fingerprint(),
            settings,
            store,
            certificates,
            clock,
            http,
            pauses: RetryPauses::default(),
            known: Mutex::default(),
        })
    }

    /// The same with other pauses between attempts that failed.
    #[must_use]
    pub fn with_pauses(self, pauses: RetryPauses) -> Self {
        Self { pauses, ..self }
    }

    /// Works until it is dropped.
    pub async fn run(self) {
        loop {
            let wait = self.step().await;
            sleep(wait).await;
        }
    }

    /// Serves what the store has.
    pub async fn load(&self) {
        let mut known = self.known.lock().await;
        self.look_at_all(&mut known).await;
    }

    /// Serves what the store has, and makes the attempts that are due. Returns how long to wait until
    /// the next step.
    pub async fn step(&self) -> Duration {
        let mut known = self.known.lock().await;
        // An attempt takes minutes if it fails, and no host has to wait for that of another one.
        self.look_at_all(&mut known).await;
        let mut wait = LOOK;
        for host in &self.settings.hosts {
            let step = self.step_for(host, &mut known).await;
            wait = wait.min(self.reported(step, &mut known).unwrap_or(LOOK));
        }
        wait
    }

    async fn look_at_all(&self, known: &mut Known) {
        for host in &self.settings.hosts {
            if !known.unsaved.contains_key(host) {
                let looked = self.look(host, known).await;
                self.reported(looked.map(|()| LOOK), known);
            }
        }
    }

    async fn step_for(
        &self,
        host: &CertificateHost,
        known: &mut Known,
    ) -> Result<Duration, AcmeStoreError> {
        if known.unsaved.contains_key(host) {
            return self.save(host, known).await;
        }
        if let NextStep::Wait(wait) = self.next_step(host).await? {
            return Ok(wait);
        }
        let Some(lease) = self.store.lease().await? else {
            return Ok(LOOK_AT_ANOTHER);
        };
        // Another server may have obtained it, or failed, since this one looked.
        let wait = match self.look_again(host, known).await {
            Ok(NextStep::Wait(wait)) => Ok(wait),
            Ok(NextStep::Attempt(before)) => {
                self.attempt(host, before, lease.as_ref(), known).await
            }
            Err(error) => Err(error),
        };
        lease.release().await;
        wait
    }

    async fn look_again(
        &self,
        host: &CertificateHost,
        known: &mut Known,
    ) -> Result<NextStep, AcmeStoreError> {
        self.look(host, known).await?;
        self.next_step(host).await
    }

    /// Serves what the store has for a host, if it is new.
    async fn look(&self, host: &CertificateHost, known: &mut Known) -> Result<(), AcmeStoreError> {
        let Some(pem) = self.store.read(host.as_str()).await? else {
            known.documents.remove(host);
            return Ok(());
        };
        if known.documents.get(host) == Some(&pem) {
            return Ok(());
        }
        match HostCertificate::from_pem(host, &pem) {
            Ok(certificate) => {
                tracing::info!(
                    %host,
                    issuer = certificate.issuer(),
                    not_after = date(certificate.not_after()),
                    "serving a certificate of the ACME store"
                );
                self.certificates.install(host, &Arc::new(certificate));
            }
            Err(error) => {
                let error = in_one_line(&error);
                tracing::error!(%host, error, "the ACME store has no usable certificate; another one is obtained");
            }
        }
        known.documents.insert(host.clone(), pem);
        Ok(())
    }

    /// What is to be done for a host with the certificate that is served.
    async fn next_step(&self, host: &CertificateHost) -> Result<NextStep, AcmeStoreError> {
        let now = self.clock.now();
        let served = self.certificates.certificate(host);
        let current = served.filter(|served| served.is_from(&self.settings.directory));
        if let Some(current) = current {
            let until = current.renewal_time().duration_since(now);
            if let Ok(until) = until
                && !until.is_zero()
            {
                return Ok(NextStep::Wait(until));
            }
        }
        let record = self.store.read(&attempts(host)).await?;
        let record: Option<AttemptRecord> =
            record.and_then(|json| serde_json::from_slice(&json).ok());
        let wait = record
            .as_ref()
            .map(|record| record.wait(now, &self.fingerprint, self.pauses));
        Ok(match wait {
            Some(wait) if !wait.is_zero() => NextStep::Wait(wait),
            _ => NextStep::Attempt(record),
        })
    }

    /// The value of `step`. A failure of the store is logged when it begins or changes.
    fn reported(
        &self,
        step: Result<Duration, AcmeStoreError>,
        known: &mut Known,
    ) -> Option<Duration> {
        let error = match step {
            Ok(wait) => {
                if known.store_failure.take().is_some() {
                    tracing::info!("the ACME store can be used again");
                }
                return Some(wait);
            }
            Err(AcmeStoreError::Lost) => return None,
            Err(error) => AcmeError::Store(error),
        };
        let text = in_one_line(&error);
        if known.store_failure.as_ref() != Some(&text) {
            tracing::error!(
                error = text,
                "certificates are not renewed: {}",
                error.hint()
            );
            known.store_failure = Some(text);
        }
        None
    }
}

fn date(time: SystemTime) -> String {
    rfc3339(unix_seconds(time))
}
