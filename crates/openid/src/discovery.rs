//! What an OpenID Provider says of itself, and its keys (OpenID Connect Discovery 1.0).
//!
//! Both are fetched when they are first needed, so a provider that is down does not keep this server
//! from starting. The last good ones are kept if they cannot be fetched again. However many tokens
//! arrive, the provider gets one request at a time, and few of them: see the constants below.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use common::{Clock, Secret};
use reqwest::Url;
use serde::Deserialize;
use token::{JwkSet, SignatureAlgorithm};

use crate::{ProviderClient, ProviderRequestError, RequestAuthorization};

/// How old a document may be before it is fetched again.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// The least time between two fetches of the keys that an unknown key causes, and between two
/// attempts to replace what is kept.
const KEY_PAUSE: Duration = Duration::from_secs(10);
/// The least time between two attempts while there is nothing that could be used instead.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// The longest bearer token that is read from its file, in bytes.
const LONGEST_BEARER: usize = 64 * 1024;

/// The members of the document that are used.
#[derive(Clone, Debug, Deserialize)]
pub struct ProviderDocument {
    issuer: String,
    /// Where browsers go to sign in. An issuer of workloads' tokens may have no such page.
    #[serde(default)]
    authorization_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint: Option<String>,
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
    /// Where the keys are, if the document is not to be asked.
    keys_at: Option<String>,
    /// A file with a bearer token for the issuer's own addresses.
    bearer: Option<PathBuf>,
    document: Mutex<Kept<ProviderDocument>>,
    keys: Mutex<Kept<JwkSet>>,
    /// One fetch at a time, so that a thousand logins after a start cause one.
    fetching: tokio::sync::Mutex<()>,
}

/// The last good value, and the last attempt that brought none.
struct Kept<T> {
    last: Option<(Arc<T>, SystemTime)>,
    failed_at: Option<SystemTime>,
}

impl ProviderDocument {
    /// The algorithms by which tokens may be signed: those that a public key verifies. `none` and
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

    /// Where browsers go to sign in.
    ///
    /// # Errors
    /// When the document does not say it.
    pub fn authorization_endpoint(&self) -> Result<&str, ProviderRequestError> {
        endpoint(
            self.authorization_endpoint.as_deref(),
            "authorization_endpoint",
        )
    }

    /// Where codes become tokens.
    ///
    /// # Errors
    /// When the document does not say it.
    pub fn token_endpoint(&self) -> Result<&str, ProviderRequestError> {
        endpoint(self.token_endpoint.as_deref(), "token_endpoint")
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
            keys_at: None,
            bearer: None,
            document: Mutex::default(),
            keys: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// The same for an issuer whose keys are at `address`, whatever its document says.
    #[must_use]
    pub fn with_keys_at(self, address: String) -> Self {
        Self {
            keys_at: Some(address),
            ..self
        }
    }

    /// The same with the bearer token in `file`, which is read for each request. It goes to the
    /// issuer itself and to the address of [`with_keys_at`](Self::with_keys_at), and to no other
    /// host.
    #[must_use]
    pub fn authorized_by(self, file: PathBuf) -> Self {
        Self {
            bearer: Some(file),
            ..self
        }
    }

    /// Takes over what `other`, an earlier discovery of the same issuer, has fetched.
    pub fn take_over(&self, other: &Self) {
        take_over(&self.document, &other.document);
        take_over(&self.keys, &other.keys);
    }

    /// The document.
    ///
    /// # Errors
    /// When it cannot be fetched and never was.
    pub async fn document(&self) -> Result<Arc<ProviderDocument>, ProviderRequestError> {
        if let Some(kept) = self.kept(&self.document, MAX_AGE) {
            return kept;
        }
        let _turn = self.fetching.lock().await;
        if let Some(kept) = self.kept(&self.document, MAX_AGE) {
            return kept;
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
        if let Some(kept) = self.kept(&self.keys, max_age) {
            return kept;
        }
        let address = match &self.keys_at {
            Some(address) => address.clone(),
            None => self.document().await?.jwks_uri.clone(),
        };
        let _turn = self.fetching.lock().await;
        if let Some(kept) = self.kept(&self.keys, max_age) {
            return kept;
        }
        let fetched = self.fetch_keys(&address).await;
        self.keep_or_reuse(&self.keys, fetched)
    }

    /// The algorithms by which the issuer says that it signs; `None` if only its keys are asked for.
    ///
    /// # Errors
    /// When the document cannot be fetched and never was.
    pub async fn algorithms(
        &self,
    ) -> Result<Option<Vec<SignatureAlgorithm>>, ProviderRequestError> {
        match &self.keys_at {
            Some(_) => Ok(None),
            None => Ok(Some(self.document().await?.algorithms())),
        }
    }

    /// What is kept, if it is not to be fetched now.
    fn kept<T>(
        &self,
        place: &Mutex<Kept<T>>,
        max_age: Duration,
    ) -> Option<Result<Arc<T>, ProviderRequestError>> {
        let kept = place.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let is_within = |at: SystemTime, limit| now.duration_since(at).is_ok_and(|age| age < limit);
        let failed_within = |limit| kept.failed_at.is_some_and(|at| is_within(at, limit));
        match &kept.last {
            Some((value, at)) if is_within(*at, max_age) || failed_within(KEY_PAUSE) => {
                Some(Ok(Arc::clone(value)))
            }
            None if failed_within(FAILURE_PAUSE) => Some(Err(ProviderRequestError::Unavailable {
                what: format!("{} did not answer a moment ago", self.issuer),
                source: None,
            })),
            _ => None,
        }
    }

    /// Keeps what was fetched. If it could not be, the last good one counts.
    fn keep_or_reuse<T>(
        &self,
        place: &Mutex<Kept<T>>,
        fetched: Result<T, ProviderRequestError>,
    ) -> Result<Arc<T>, ProviderRequestError> {
        let mut kept = place.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let error = match fetched {
            Ok(value) => {
                let value = Arc::new(value);
                *kept = Kept {
                    last: Some((Arc::clone(&value), now)),
                    failed_at: None,
                };
                return Ok(value);
            }
            Err(error) => error,
        };
        kept.failed_at = Some(now);
        let Some((last, _)) = &kept.last else {
            return Err(error);
        };
        let error = &error as &dyn std::error::Error;
        tracing::warn!(
            issuer = self.issuer,
            error,
            "the last known document is used"
        );
        Ok(Arc::clone(last))
    }

    async fn fetch_document(&self) -> Result<ProviderDocument, ProviderRequestError> {
        let base = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        let address = format!("{base}/.well-known/openid-configuration");
        let document: ProviderDocument = self.get(&address).await?;
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
        let text: serde_json::Value = self.get(address).await?;
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

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        address: &str,
    ) -> Result<T, ProviderRequestError> {
        let bearer = self.bearer_for(address).await?;
        let authorization = match &bearer {
            Some(bearer) => RequestAuthorization::Bearer(bearer),
            None => RequestAuthorization::None,
        };
        self.client.get(address, authorization).await?.json()
    }

    /// The bearer token, if there is one and it may go to `address`.
    async fn bearer_for(&self, address: &str) -> Result<Option<Secret>, ProviderRequestError> {
        let Some(file) = &self.bearer else {
            return Ok(None);
        };
        let is_named = self.keys_at.as_deref() == Some(address);
        if !is_named && !has_same_origin(address, &self.issuer) {
            return Ok(None);
        }
        let unreadable = |why: &str| {
            ProviderRequestError::broken(format!("{} cannot be used: {why}", file.display()))
        };
        let content = tokio::fs::read(file).await;
        let content = content.map_err(|error| unreadable(&error.to_string()))?;
        if content.len() > LONGEST_BEARER {
            return Err(unreadable("it is too long for a token"));
        }
        let text = String::from_utf8(content).map_err(|_| unreadable("it is not text"))?;
        Ok(Some(text.trim().into()))
    }
}

fn take_over<T>(place: &Mutex<Kept<T>>, from: &Mutex<Kept<T>>) {
    let from = from.lock().unwrap_or_else(PoisonError::into_inner);
    let last = from.last.clone();
    let failed_at = from.failed_at;
    drop(from);
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Kept { last, failed_at };
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            last: None,
            failed_at: None,
        }
    }
}

fn endpoint<'a>(address: Option<&'a str>, name: &str) -> Result<&'a str, ProviderRequestError> {
    address.ok_or_else(|| {
        ProviderRequestError::broken(format!("the provider's document has no {name}"))
    })
}

/// Whether two addresses have the same scheme, host and port.
fn has_same_origin(one: &str, other: &str) -> bool {
    match (one.parse::<Url>(), other.parse::<Url>()) {
        (Ok(one), Ok(other)) => one.origin() == other.origin(),
        _ => false,
    }
}
