//! Requests to providers: bounded in size and time, no redirects, nothing secret in an error.

use std::error::Error;
use std::time::Duration;

use common::Secret;
use data_encoding::BASE64;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use identity::http::BackendUrl;
use identity::tls::ClientTls;
use reqwest::{Client, Url};

/// The longest response that is read, in bytes.
const LIMIT: usize = 1024 * 1024;

/// Sends requests to one provider.
#[derive(Clone, Debug)]
pub struct ProviderClient {
    client: Client,
    timeout: Duration,
    encryption: Encryption,
}

/// Which addresses requests may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    /// Any: the operator was warned of plain HTTP.
    Advised,
    /// `https`, or `http` on this machine.
    Required,
}

/// A response, whole.
#[derive(Debug)]
pub struct ProviderResponse {
    /// The address without its query.
    pub address: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// How a request is authorized.
#[derive(Clone, Copy, Debug)]
pub enum RequestAuthorization<'a> {
    /// Not at all.
    None,
    /// RFC 6749 §2.3.1.
    Basic {
        /// `client_id`.
        id: &'a str,
        /// `client_secret`.
        secret: &'a Secret,
    },
    /// RFC 6750 §2.1.
    Bearer(&'a Secret),
}

/// What a request sends.
#[derive(Clone, Debug)]
pub struct ProviderRequestBody {
    media_type: &'static str,
    content: Vec<u8>,
}

/// Why a provider gives no answer that can be used. Nothing secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum ProviderRequestError {
    /// It cannot be reached, has a failure of its own, or limits requests. It may answer later.
    #[error("{what}")]
    Unavailable {
        /// What was asked and what came.
        what: String,
        /// The cause, if there was no answer.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// It answers something that makes no sense, or refuses this server. The operator must act.
    #[error("{0}")]
    Broken(String),
}

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for an identity provider cannot be set up")]
pub struct ProviderClientError(#[source] Box<dyn Error + Send + Sync>);

impl ProviderClient {
    /// A client that trusts the system's authorities and gives each request this long.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(timeout: Duration) -> Result<Self, ProviderClientError> {
        Self::with_tls(timeout, &ClientTls::default())
    }

    /// A client that trusts the servers that `tls` trusts.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn with_tls(timeout: Duration, tls: &ClientTls) -> Result<Self, ProviderClientError> {
        let failed = |error: Box<dyn Error + Send + Sync>| ProviderClientError(error);
        let tls = tls.config().map_err(|error| failed(error.into()))?;
        let client = Client::builder()
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| failed(error.into()))?;
        Ok(Self {
            client,
            timeout,
            encryption: Encryption::Advised,
        })
    }

    /// The same, for `https` only, except on this machine.
    #[must_use]
    pub fn requiring_encryption(self) -> Self {
        Self {
            encryption: Encryption::Required,
            ..self
        }
    }

    /// The response to GET.
    ///
    /// # Errors
    /// When no response comes within the bounds of size and time. Any status is a response.
    pub async fn get(
        &self,
        address: &str,
        authorization: RequestAuthorization<'_>,
    ) -> Result<ProviderResponse, ProviderRequestError> {
        self.send(Method::GET, address, authorization, None).await
    }

    /// The response to POST with a form.
    ///
    /// # Errors
    /// When no response comes within the bounds of size and time. Any status is a response.
    pub async fn post(
        &self,
        address: &str,
        authorization: RequestAuthorization<'_>,
        form: &[(&str, &str)],
    ) -> Result<ProviderResponse, ProviderRequestError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let body = ProviderRequestBody {
            media_type: "application/x-www-form-urlencoded",
            content: form.into_bytes(),
        };
        self.send(Method::POST, address, authorization, Some(body))
            .await
    }

    /// The response to any request.
    ///
    /// # Errors
    /// When no response comes within the bounds of size and time. Any status is a response.
    pub async fn send(
        &self,
        method: Method,
        address: &str,
        authorization: RequestAuthorization<'_>,
        body: Option<ProviderRequestBody>,
    ) -> Result<ProviderResponse, ProviderRequestError> {
        let url = Url::parse(address).map_err(|error| {
            ProviderRequestError::broken(format!("{address:?} is not a URL: {error}"))
        })?;
        if self.encryption == Encryption::Required {
            let usable = address.parse::<BackendUrl>();
            usable.map_err(|error| {
                ProviderRequestError::broken(format!("{address:?} cannot be used: {error}"))
            })?;
        }
        let shown = format!("{}{}", url.origin().ascii_serialization(), url.path());
        let mut request = reqwest::Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(value) = authorization.header()? {
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(body) = body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(body.media_type));
            *request.body_mut() = Some(body.content.into());
        }
        let exchange = self.exchange(request, &shown);
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ProviderRequestError::Unavailable {
                what: format!("{shown} did not respond within {:?}", self.timeout),
                source: None,
            }),
        }
    }

    async fn exchange(
        &self,
        request: reqwest::Request,
        shown: &str,
    ) -> Result<ProviderResponse, ProviderRequestError> {
        let failed = |error: reqwest::Error| ProviderRequestError::Unavailable {
            what: format!("{shown} cannot be reached"),
            source: Some(error.without_url().into()),
        };
        let mut response = self.client.execute(request).await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LIMIT {
                return Err(ProviderRequestError::broken(format!(
                    "{shown} sent more than {LIMIT} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(ProviderResponse {
            address: shown.to_owned(),
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }
}

impl ProviderRequestError {
    /// An answer that makes no sense.
    pub fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }
}

impl ProviderRequestBody {
    /// A document of JSON.
    #[must_use]
    pub fn json(content: Vec<u8>) -> Self {
        Self {
            media_type: "application/json",
            content,
        }
    }
}

impl RequestAuthorization<'_> {
    fn header(self) -> Result<Option<HeaderValue>, ProviderRequestError> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Basic { id, secret } => {
                // Each part is encoded as in a form first (RFC 6749 §2.3.1).
                let encoded = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
                format!("Basic {}", BASE64.encode(pair.as_bytes()))
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose()),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            ProviderRequestError::broken("a token has characters that no header can have")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl ProviderResponse {
    /// The body of a success as JSON.
    ///
    /// # Errors
    /// When it is no success, or not this JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, ProviderRequestError> {
        if self.status != StatusCode::OK {
            return Err(self.unexpected());
        }
        serde_json::from_slice(&self.body).map_err(|_| self.not_json())
    }

    /// The error for a status that is not the expected one: a failure of the provider's own passes.
    #[must_use]
    pub fn unexpected(&self) -> ProviderRequestError {
        if self.status.is_server_error() || self.is_rate_limit() {
            return self.unavailable();
        }
        ProviderRequestError::broken(format!("{} answered {}", self.address, self.status))
    }

    /// Whether the provider wants fewer requests. GitHub says so with 403, too.
    #[must_use]
    pub fn is_rate_limit(&self) -> bool {
        let is_used_up = self
            .headers
            .get("x-ratelimit-remaining")
            .is_some_and(|left| left == "0");
        let has_wait = self.headers.contains_key("retry-after");
        self.status == StatusCode::TOO_MANY_REQUESTS
            || (self.status == StatusCode::FORBIDDEN && (is_used_up || has_wait))
    }

    /// The error for a failure that passes.
    #[must_use]
    pub fn unavailable(&self) -> ProviderRequestError {
        ProviderRequestError::Unavailable {
            what: format!("{} answered {}", self.address, self.status),
            source: None,
        }
    }

    /// The error for a proxy's error page, say.
    #[must_use]
    pub fn not_json(&self) -> ProviderRequestError {
        ProviderRequestError::Unavailable {
            what: format!("{} did not answer with the expected JSON", self.address),
            source: None,
        }
    }
}
