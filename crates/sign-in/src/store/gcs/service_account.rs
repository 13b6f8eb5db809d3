//! The key of a service account, as Google gives it: a file of JSON.

use std::fmt;
use std::sync::Arc;

use common::Secret;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::json;
use token::{KeyError, PrivateKey, SignError, SignatureAlgorithm};

/// Reading and writing objects.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";

/// How long an assertion counts. Google takes no longer one.
const ASSERTION_LIFE: u64 = 3600;

/// Who asks for access tokens.
#[derive(Clone)]
pub struct ServiceAccountKey {
    email: String,
    id: String,
    key: Arc<PrivateKey>,
    token_address: String,
}

/// The members that count.
#[derive(Deserialize)]
struct KeyFile {
    #[serde(rename = "type")]
    kind: String,
    client_email: Option<String>,
    private_key_id: Option<String>,
    private_key: Option<String>,
    token_uri: Option<String>,
}

/// Why a file is no key of a service account. Its content is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceAccountKeyError {
    /// It is something else.
    #[error("not the JSON of a service account's key")]
    Form,
    /// It is the credentials of something else.
    #[error("its \"type\" is {0:?}, and must be \"service_account\"")]
    Kind(String),
    /// A member is not there.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// Its private key cannot be used.
    #[error("its private_key cannot be used: {0}")]
    Key(KeyError),
    /// Google's keys are RSA.
    #[error("its private_key is not an RSA key")]
    NotRsa,
}

impl ServiceAccountKey {
    /// Where Google gives access tokens.
    const TOKEN_ADDRESS: &'static str = "https://oauth2.googleapis.com/token";

    /// Reads a key file.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_json(json: &[u8]) -> Result<Self, ServiceAccountKeyError> {
        use ServiceAccountKeyError::{Form, Key, Kind, Missing, NotRsa};
        let file: KeyFile = serde_json::from_slice(json).map_err(|_| Form)?;
        if file.kind != "service_account" {
            return Err(Kind(file.kind));
        }
        let pem = file.private_key.ok_or(Missing("private_key"))?;
        let key = PrivateKey::from_pem(&pem).map_err(Key)?;
        if key.algorithm() != SignatureAlgorithm::RS256 {
            return Err(NotRsa);
        }
        let token_address = file.token_uri.filter(|address| !address.is_empty());
        Ok(Self {
            email: file.client_email.ok_or(Missing("client_email"))?,
            id: file.private_key_id.unwrap_or_default(),
            key: Arc::new(key),
            token_address: token_address.unwrap_or_else(|| Self::TOKEN_ADDRESS.to_owned()),
        })
    }

    /// Where it gets access tokens.
    #[must_use]
    pub fn token_address(&self) -> &str {
        &self.token_address
    }

    /// What it shows there, `now` in seconds since 1970 (RFC 7523 §2.1).
    pub(super) fn assertion(&self, now: u64) -> Result<Secret, SignError> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.id});
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_address,
            "iat": now,
            "exp": now + ASSERTION_LIFE,
        });
        let encode = |json: serde_json::Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = BASE64URL_NOPAD.encode(&self.key.sign(signed.as_bytes())?);
        Ok(Secret::from(format!("{signed}.{signature}")))
    }
}

impl fmt::Debug for ServiceAccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceAccountKey")
            .field(&self.email)
            .finish()
    }
}
