//! The answers to the ACME server's challenges, while an order is under way.
//!
//! The server that orders publishes them in the store, because the ACME server's request may reach any
//! of the servers that share it. A server looks there if it has no order of its own, at most four
//! times a second, whatever strangers ask.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use common::{Clock, unix_seconds};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::settings::ACME_TLS_PROTOCOL;
use crate::store::ANSWERS;
use crate::{AcmeLease, AcmeStore, AcmeStoreError, CertificateHost, ChallengeKind};

/// How long what was read from the store counts.
const READ_EVERY: Duration = Duration::from_millis(250);

/// How long a read may take.
const READ_LIMIT: Duration = Duration::from_secs(3);

/// How long answers of a server that died are given.
const VALID: Duration = Duration::from_secs(600);

/// The answers to all open challenges, as the store has them, in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct AnswersDocument {
    /// When they end, in seconds since the Unix epoch.
    until: u64,
    /// Key authorizations (RFC 8555 §8.1) by the token of a challenge `http-01`.
    http: BTreeMap<String, String>,
    /// Key authorizations by the host of a challenge `tls-alpn-01`.
    tls: BTreeMap<String, String>,
}

/// What answers challenges.
pub(crate) struct ChallengeAnswers {
    clock: Arc<dyn Clock>,
    state: Mutex<AnswersState>,
    /// Held while the store is read, so that requests share one read.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct AnswersState {
    store: Option<Arc<dyn AcmeStore>>,
    /// Of an order of this server.
    own: Option<Arc<AnswersDocument>>,
    /// What the store had, and when it was read.
    shared: Option<(SystemTime, Arc<AnswersDocument>)>,
    /// By key authorization. Emptied with the answers.
    handshakes: HashMap<String, Arc<ServerConfig>>,
}

impl ChallengeAnswers {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// From now on, the answers of other servers are in `store`.
    pub(crate) fn share(&self, store: Option<Arc<dyn AcmeStore>>) {
        *self.state() = AnswersState {
            store,
            ..AnswersState::default()
        };
    }

    /// Publishes one more answer of this server's order.
    pub(crate) async fn publish(
        &self,
        lease: &dyn AcmeLease,
        kind: ChallengeKind,
        host: &CertificateHost,
        token: &str,
        key_authorization: &str,
    ) -> Result<(), AcmeStoreError> {
        let own = self.state().own.clone();
        let mut document = own.as_deref().cloned().unwrap_or_default();
        document.until = unix_seconds(self.clock.now() + VALID);
        let answers = match kind {
            ChallengeKind::Http01 => &mut document.http,
            ChallengeKind::TlsAlpn01 => &mut document.tls,
        };
        let key = match kind {
            ChallengeKind::Http01 => token,
            ChallengeKind::TlsAlpn01 => host.as_str(),
        };
        answers.insert(key.to_owned(), key_authorization.to_owned());
        let json = serde_json::to_vec(&document).unwrap_or_default();
        lease.write(ANSWERS, Some(&json)).await?;
        self.state().own = Some(Arc::new(document));
        Ok(())
    }

    /// Takes all answers back when the order is over.
    pub(crate) async fn clear(&self, lease: &dyn AcmeLease) -> Result<(), AcmeStoreError> {
        let had = {
            let mut state = self.state();
            state.shared = None;
            state.handshakes.clear();
            state.own.take().is_some()
        };
        match had {
            true => lease.write(ANSWERS, None).await,
            false => Ok(()),
        }
    }

    /// The answer to the challenge `http-01` with this token.
    pub(crate) async fn http(&self, token: &str) -> Option<String> {
        self.current().await.http.get(token).cloned()
    }

    /// What answers the challenge `tls-alpn-01` for this host in its handshake.
    pub(crate) async fn tls(&self, host: &str) -> Option<Arc<ServerConfig>> {
        let host = host.to_ascii_lowercase();
        let key_authorization = self.current().await.tls.get(&host)?.clone();
        if let Some(known) = self.state().handshakes.get(&key_authorization) {
            return Some(Arc::clone(known));
        }
        let config = handshake(&host, &key_authorization).map(Arc::new);
        let config = config.inspect_err(|error| {
            tracing::error!(%error, host, "cannot answer the challenge tls-alpn-01");
        });
        let config = config.ok()?;
        let mut state = self.state();
        state
            .handshakes
            .insert(key_authorization, Arc::clone(&config));
        Some(config)
    }

    async fn current(&self) -> Arc<AnswersDocument> {
        if let Some(known) = self.known() {
            return known;
        }
        let _turn = self.reading.lock().await;
        if let Some(known) = self.known() {
            return known;
        }
        let store = self.state().store.clone();
        let document = match store {
            Some(store) => self.read(store.as_ref()).await,
            None => AnswersDocument::default(),
        };
        let document = Arc::new(document);
        let mut state = self.state();
        if document.tls.is_empty() {
            state.handshakes.clear();
        }
        state.shared = Some((self.clock.now(), Arc::clone(&document)));
        document
    }

    async fn read(&self, store: &dyn AcmeStore) -> AnswersDocument {
        let found = match timeout(READ_LIMIT, store.read(ANSWERS)).await {
            Ok(Ok(found)) => found,
            // What cannot be read is logged where certificates are read.
            Ok(Err(_)) | Err(_) => None,
        };
        let document = found.and_then(|json| serde_json::from_slice(&json).ok());
        let is_valid = |document: &AnswersDocument| {
            let until = UNIX_EPOCH.checked_add(Duration::from_secs(document.until));
            let left = until.and_then(|until| until.duration_since(self.clock.now()).ok());
            left.is_some_and(|left| left <= VALID)
        };
        document.filter(is_valid).unwrap_or_default()
    }

    /// What need not be read.
    fn known(&self) -> Option<Arc<AnswersDocument>> {
        let state = self.state();
        if let Some(own) = &state.own {
            return Some(Arc::clone(own));
        }
        let (read_at, shared) = state.shared.as_ref()?;
        // A clock that was set back has no effect: then it is read again.
        let age = self.clock.now().duration_since(*read_at).ok()?;
        (age < READ_EVERY).then(|| Arc::clone(shared))
    }

    fn state(&self) -> MutexGuard<'_, AnswersState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ChallengeAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeAnswers")
    }
}

/// Why no answer to `tls-alpn-01` could be made.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("no certificate for the challenge was made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the certificate for the challenge cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// RFC 8737 §3: a self-signed certificate for the host alone, with the digest of the key
/// authorization in a critical extension, and `acme-tls/1` as the only protocol.
fn handshake(host: &str, key_authorization: &str) -> Result<ServerConfig, HandshakeError> {
    let mut parameters = CertificateParams::new(vec![host.to_owned()])?;
    parameters.distinguished_name = DistinguishedName::new();
    let digest = digest(&SHA256, key_authorization.as_bytes());
    let extension = CustomExtension::new_acme_identifier(digest.as_ref());
    parameters.custom_extensions = vec![extension];
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = default_provider();
    let key = provider.key_provider.load_private_key(key)?;
    // The library's usual way refuses a certificate with a critical extension that it does not know.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ACME_TLS_PROTOCOL.to_vec()];
    Ok(config)
}
