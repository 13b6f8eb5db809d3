//! What an OpenID Provider says of itself, and its keys (OpenID Connect Discovery 1.0).
//!
//! Both are fetched when they are first needed, so a provider that is down does not keep this server
//! from starting. The last good ones are kept if they cannot be fetched again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use common::Clock;
use serde::Deserialize;
use token::{JwkSet, SignatureAlgorithm};

use crate::{ProviderClient, ProviderRequestError, RequestAuthorization};

/// How old a document may be before it is fetched again.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// The least time between two fetches of the keys that an unknown key causes.
const KEY_PAUSE: Duration = Duration::from_secs(10);

/// The members of the document that are used.
#[derive(Clone, Debug, Deserialize)]
pub struct ProviderDocument {
    issuer: String,
    /// Where browsers go to sign in.
    pub authorization_endpoint: String,
    /// Where codes become tokens.
    pub token_endpoint: String,
    /// Where further claims of a user are.
    #[serde(default)]
    pub userinfo_endpoint: Option<String>,
    jwks_uri: String,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// How this server says who it is at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Form,
}

/// Fetches and keeps the document and the keys of one issuer.
pub struct ProviderDiscovery {
    issuer: String,
    client: ProviderClient,
    clock: Arc<dyn Clock>,
    document: Mutex<Option<Fetched<ProviderDocument>>>,
    keys: Mutex<Option<Fetched<JwkSet>>>,
    /// One fetch at a time, so that a thousand logins after a start cause one.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Fetched<T> {
    value: Arc<T>,
    at: SystemTime,
}

impl ProviderDocument {
    /// The algorithms by which ID tokens may be signed: those that a public key verifies. `none` and
    /// HMAC are no [`SignatureAlgorithm`] and therefore never among them.
    #[must_use]
    pub fn algorithms(&self) -> Vec<SignatureAlgorithm> {
        let named = self.id_token_signing_alg_values_supported.iter();
        let known: Vec<_> = named.filter_map(|name| name.parse().ok()).collect();
        if known.is_empty() {
            vec![SignatureAlgorithm::RS256]
        } else {
            known
        }
    }

    /// How the token endpoint wants to know this server.
    ///
    /// # Errors
    /// When it knows no way that is implemented here.
    pub fn client_authentication(&self) -> Result<ClientAuthentication, ProviderRequestError> {
        let Some(methods) = &self.token_endpoint_auth_methods_supported else {
            return Ok(ClientAuthentication::Basic);
        };
        let has = |name: &str| methods.iter().any(|method| method == name);
        if has("client_secret_basic") {
            Ok(ClientAuthentication::Basic)
        } else if has("client_secret_post") {
            Ok(ClientAuthentication::Form)
        } else {
            Err(ProviderRequestError::broken(
                "the provider's token endpoint takes neither client_secret_basic nor \
                 client_secret_post",
            ))
        }
    }
}

impl ProviderDiscovery {
    /// The discovery of `issuer`. Nothing is fetched yet.
    #[must_use]
    pub fn new(issuer: &str, client: ProviderClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            issuer: issuer.to_owned(),
            client,
            clock,
            document: Mutex::default(),
            keys: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// The document.
    ///
    /// # Errors
    /// When it cannot be fetched and never was.
    pub async fn document(&self) -> Result<Arc<ProviderDocument>, ProviderRequestError> {
        if let Some(fresh) = self.kept(&self.document, MAX_AGE) {
            return Ok(fresh);
        }
        let _turn = self.fetching.lock().await;
        if let Some(fresh) = self.kept(&self.document, MAX_AGE) {
            return Ok(fresh);
        }
        let fetched = self.fetch_document().await;
        self.keep_or_reuse(&self.document, fetched)
    }

    /// The keys. With `unknown_key`, a token names a key that is not among them.
    ///
    /// # Errors
    /// When they cannot be fetched and never were.
    pub async fn keys(&self, unknown_key: bool) -> Result<Arc<JwkSet>, ProviderRequestError> {
        let max_age = if unknown_key { KEY_PAUSE } else { MAX_AGE };
        if let Some(fresh) = self.kept(&self.keys, max_age) {
            return Ok(fresh);
        }
        let document = self.document().await?;
        let _turn = self.fetching.lock().await;
        if let Some(fresh) = self.kept(&self.keys, max_age) {
            return Ok(fresh);
        }
        let fetched = self.fetch_keys(&document.jwks_uri).await;
        self.keep_or_reuse(&self.keys, fetched)
    }

    fn kept<T>(&self, place: &Mutex<Option<Fetched<T>>>, max_age: Duration) -> Option<Arc<T>> {
        let kept = place.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref()?;
        let age = self.clock.now().duration_since(kept.at);
        age.is_ok_and(|age| age < max_age)
            .then(|| Arc::clone(&kept.value))
    }

    /// Keeps what was fetched. If it could not be, the last good one counts.
    fn keep_or_reuse<T>(
        &self,
        place: &Mutex<Option<Fetched<T>>>,
        fetched: Result<T, ProviderRequestError>,
    ) -> Result<Arc<T>, ProviderRequestError> {
        let mut kept = place.lock().unwrap_or_else(PoisonError::into_inner);
        match (fetched, &mut *kept) {
            (Ok(value), _) => {
                let value = Arc::new(value);
                let at = self.clock.now();
                *kept = Some(Fetched {
                    value: Arc::clone(&value),
                    at,
                });
                Ok(value)
            }
            (Err(error), Some(last)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    issuer = self.issuer,
                    error,
                    "the last known document is used"
                );
                Ok(Arc::clone(&last.value))
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn fetch_document(&self) -> Result<ProviderDocument, ProviderRequestError> {
        let base = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        let address = format!("{base}/.well-known/openid-configuration");
        let response = self
            .client
            .get(&address, RequestAuthorization::None)
            .await?;
        let document: ProviderDocument = response.json()?;
        // Discovery §4.3: exactly, so that no provider speaks for another.
        if document.issuer != self.issuer {
            return Err(ProviderRequestError::broken(format!(
                "the document at {address} is of the issuer {:?}, not of {:?}: write that as issuer",
                document.issuer, self.issuer
            )));
        }
        Ok(document)
    }

    async fn fetch_keys(&self, address: &str) -> Result<JwkSet, ProviderRequestError> {
        let response = self.client.get(address, RequestAuthorization::None).await?;
        let text: serde_json::Value = response.json()?;
        let keys = JwkSet::from_json(&text.to_string()).map_err(|error| {
            ProviderRequestError::broken(format!("{address} is not a set of keys: {error}"))
        })?;
        if keys.keys.is_empty() {
            return Err(ProviderRequestError::broken(format!(
                "{address} has no key that signs tokens"
            )));
        }
        Ok(keys)
    }
}
