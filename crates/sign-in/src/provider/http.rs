//! Requests to providers: bounded in size and time, no redirects, nothing secret in an error.

use std::error::Error;
use std::time::Duration;

use common::Secret;
use data_encoding::BASE64;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use identity::tls::ClientTls;
use reqwest::{Client, Url};

use super::ProviderError;

/// The longest response that is read, in bytes.
const LIMIT: usize = 1024 * 1024;

/// Sends requests to one provider.
#[derive(Clone, Debug)]
pub struct ProviderClient {
    client: Client,
    timeout: Duration,
}

/// A response, whole.
#[derive(Debug)]
pub(crate) struct ProviderResponse {
    /// The address without its query.
    pub(crate) address: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// How a request is authorized.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RequestAuthorization<'a> {
    None,
    /// RFC 6749 §2.3.1.
    Basic {
        id: &'a str,
        secret: &'a Secret,
    },
    /// RFC 6750 §2.1.
    Bearer(&'a Secret),
}

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for a sign-in provider cannot be set up")]
pub struct ProviderClientError(#[source] Box<dyn Error + Send + Sync>);

impl ProviderClient {
    /// A client that trusts the system's authorities and gives each request this long.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(timeout: Duration) -> Result<Self, ProviderClientError> {
        let failed = |error: Box<dyn Error + Send + Sync>| ProviderClientError(error);
        let tls = ClientTls::default().config();
        let tls = tls.map_err(|error| failed(error.into()))?;
        let client = Client::builder()
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| failed(error.into()))?;
        Ok(Self { client, timeout })
    }

    pub(crate) async fn get(
        &self,
        address: &str,
        authorization: RequestAuthorization<'_>,
    ) -> Result<ProviderResponse, ProviderError> {
        self.send(Method::GET, address, authorization, None).await
    }

    pub(crate) async fn post(
        &self,
        address: &str,
        authorization: RequestAuthorization<'_>,
        form: &[(&str, &str)],
    ) -> Result<ProviderResponse, ProviderError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.send(Method::POST, address, authorization, Some(form))
            .await
    }

    async fn send(
        &self,
        method: Method,
        address: &str,
        authorization: RequestAuthorization<'_>,
        form: Option<String>,
    ) -> Result<ProviderResponse, ProviderError> {
        let url = Url::parse(address)
            .map_err(|error| ProviderError::broken(format!("{address:?} is not a URL: {error}")))?;
        let shown = format!("{}{}", url.origin().ascii_serialization(), url.path());
        let mut request = reqwest::Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(value) = authorization.header()? {
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(form) = form {
            let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, form_type);
            *request.body_mut() = Some(form.into());
        }
        let exchange = self.exchange(request, &shown);
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ProviderError::Unavailable {
                what: format!("{shown} did not respond within {:?}", self.timeout),
                source: None,
            }),
        }
    }

    async fn exchange(
        &self,
        request: reqwest::Request,
        shown: &str,
    ) -> Result<ProviderResponse, ProviderError> {
        let failed = |error: reqwest::Error| ProviderError::Unavailable {
            what: format!("{shown} cannot be reached"),
            source: Some(error.without_url().into()),
        };
        let mut response = self.client.execute(request).await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LIMIT {
                return Err(ProviderError::broken(format!(
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

impl RequestAuthorization<'_> {
    fn header(self) -> Result<Option<HeaderValue>, ProviderError> {
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
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| ProviderError::broken("a token has characters that no header can have"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl ProviderResponse {
    /// The body of a success as JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, ProviderError> {
        if self.status != StatusCode::OK {
            return Err(self.unexpected());
        }
        serde_json::from_slice(&self.body).map_err(|_| self.not_json())
    }

    /// The error for a status that is not the expected one: a failure of the provider's own passes.
    pub(crate) fn unexpected(&self) -> ProviderError {
        if self.status.is_server_error() || self.is_rate_limit() {
            return self.unavailable();
        }
        ProviderError::broken(format!("{} answered {}", self.address, self.status))
    }

    /// Whether the provider wants fewer requests. GitHub says so with 403, too.
    pub(crate) fn is_rate_limit(&self) -> bool {
        let is_used_up = self
            .headers
            .get("x-ratelimit-remaining")
            .is_some_and(|left| left == "0");
        let has_wait = self.headers.contains_key("retry-after");
        self.status == StatusCode::TOO_MANY_REQUESTS
            || (self.status == StatusCode::FORBIDDEN && (is_used_up || has_wait))
    }

    pub(crate) fn unavailable(&self) -> ProviderError {
        ProviderError::Unavailable {
            what: format!("{} answered {}", self.address, self.status),
            source: None,
        }
    }

    /// A proxy's error page, say.
    pub(crate) fn not_json(&self) -> ProviderError {
        ProviderError::Unavailable {
            what: format!("{} did not answer with the expected JSON", self.address),
            source: None,
        }
    }
}
