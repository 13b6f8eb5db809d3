//! A client of the API of a Wharfinger server, which manages its users, robots, tokens and rules.
//!
//! An [`ApiClient`] logs in as clients of a registry do: the API answers without a token with a
//! challenge, and the token server issues a token for the scopes that the route needs. What is sent
//! and what is read are types of the caller's: it knows routes, pages, versions and problems only.

mod address;
mod error;
mod list;
mod route;

use std::time::Duration;

use bytes::Bytes;
use common::EntropyError;
use data_encoding::HEXLOWER;
use reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use address::{ApiAddress, ApiAddressError};
pub use error::ApiError;
use list::MAX_LIST_BYTES;
pub use route::ApiRoute;

use crate::session::{LoginProbe, Scopes};
use crate::transport::{ClientRequest, ClientResponse};
use crate::{Error, IssuedToken, LoginCredentials, RegistrySession, Step, Transport, json};

/// The largest object that is read, in bytes.
const MAX_OBJECT_BYTES: usize = 1024 * 1024;
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long to wait before a request is sent again that got no answer.
const PAUSE: Duration = Duration::from_millis(500);
/// The header that lets a server recognize a creation that is sent again
/// (draft-ietf-httpapi-idempotency-key-header-07).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A client of one server's API.
pub struct ApiClient {
    session: RegistrySession,
    address: ApiAddress,
}

/// An object, and which version of it.
#[derive(Clone, Debug)]
pub struct VersionedObject<T> {
    /// The object.
    pub object: T,
    /// The version, for a change of just this one. A server may not say it.
    pub version: Option<VersionTag>,
}

/// A version of an object (RFC 9110 §8.8.3), which only its server understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionTag(String);

/// A response that is a success, whole.
struct ReceivedResponse {
    response: ClientResponse,
    body: Bytes,
}

impl ApiClient {
    /// A client that logs in with `credentials`. Nothing is sent yet.
    #[must_use]
    pub fn new(transport: &Transport, address: ApiAddress, credentials: LoginCredentials) -> Self {
        let login = LoginProbe {
            url: address.account(),
            scopes: Scopes::api(&[("own", "read")]),
        };
        let (host, base) = (address.host().clone(), address.base().clone());
        let session = RegistrySession::with_api(transport, host, base, credentials, login);
        Self { session, address }
    }

    /// The server.
    #[must_use]
    pub fn address(&self) -> &ApiAddress {
        &self.address
    }

    /// Logs in, and returns a refresh token if the server issues them.
    ///
    /// # Errors
    /// When the login is rejected, or there is no API.
    pub async fn log_in(&self) -> Result<Option<IssuedToken>, ApiError> {
        let granted = self.session.log_in().await;
        granted.map_err(|error| self.failed(error))
    }

    /// Has the server revoke the refresh token with which this client logs in. Returns whether it did.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn revoke(&self) -> Result<bool, ApiError> {
        let revoked = self.session.revoke().await;
        revoked.map_err(|error| self.failed(error))
    }

    /// The object at `route`.
    ///
    /// # Errors
    /// When the server does not send it.
    pub async fn get<T: DeserializeOwned>(
        &self,
        route: ApiRoute,
    ) -> Result<VersionedObject<T>, ApiError> {
        self.get_within(route, MAX_OBJECT_BYTES).await
    }

    /// The list at `route`, which has no pages.
    ///
    /// # Errors
    /// When the server does not send it.
    pub async fn get_list<T: DeserializeOwned>(
        &self,
        route: ApiRoute,
    ) -> Result<VersionedObject<T>, ApiError> {
        self.get_within(route, MAX_LIST_BYTES).await
    }

    async fn get_within<T: DeserializeOwned>(
        &self,
        route: ApiRoute,
        limit: usize,
    ) -> Result<VersionedObject<T>, ApiError> {
        let request = self.request(Method::GET, &route)?;
        let sent = self.send(&route, request, limit).await?;
        let version = sent.response.header(ETAG.as_str());
        let version = version.map(|tag| VersionTag(tag.to_owned()));
        let object = self.parsed(&sent)?;
        Ok(VersionedObject { object, version })
    }

    /// Asks for what the server works out of `question`, or does because of it. The same question may be asked
    /// twice.
    ///
    /// # Errors
    /// When the server does not answer it.
    pub async fn ask<Q: Serialize + Sync, T: DeserializeOwned>(
        &self,
        route: ApiRoute,
        question: &Q,
    ) -> Result<T, ApiError> {
        let request = self.with_json(Method::POST, &route, question)?;
        let sent = self.send(&route, request, MAX_OBJECT_BYTES).await?;
        self.parsed(&sent)
    }

    /// Creates an object at `route`. If the connection breaks, the request is sent again, and the
    /// server creates the object once.
    ///
    /// # Errors
    /// When the server does not create it.
    pub async fn create<N: Serialize + Sync, T: DeserializeOwned>(
        &self,
        route: ApiRoute,
        new: &N,
    ) -> Result<T, ApiError> {
        let key = self.idempotency_key()?;
        let request = self.with_json(Method::POST, &route, new)?;
        let request = request.header(IDEMPOTENCY_KEY, &key);
        let sent = self.send(&route, request, MAX_OBJECT_BYTES).await?;
        self.parsed(&sent)
    }

    /// Changes the object at `route` by a merge patch (RFC 7396), and returns it. If `version` is
    /// given, only this version is changed.
    ///
    /// # Errors
    /// When the server does not change it.
    pub async fn change<C: Serialize + Sync, T: DeserializeOwned>(
        &self,
        route: ApiRoute,
        change: &C,
        version: Option<&VersionTag>,
    ) -> Result<T, ApiError> {
        let request = self.with_json(Method::PATCH, &route, change)?;
        let request = request.header(CONTENT_TYPE, "application/merge-patch+json");
        let request = of_version(request, version);
        let sent = self.send(&route, request, MAX_OBJECT_BYTES).await?;
        self.parsed(&sent)
    }

    /// Deletes the object at `route`. If `version` is given, only this version is deleted.
    ///
    /// # Errors
    /// When the server does not delete it.
    pub async fn delete(
        &self,
        route: ApiRoute,
        version: Option<&VersionTag>,
    ) -> Result<(), ApiError> {
        let request = of_version(self.request(Method::DELETE, &route)?, version);
        let sent = self.send(&route, request, MAX_OBJECT_BYTES).await;
        sent.map(drop)
    }

    /// Deletes all objects that `route` selects, and returns what the server says of them.
    ///
    /// # Errors
    /// When the server does not delete them.
    pub async fn delete_all<T: DeserializeOwned>(&self, route: ApiRoute) -> Result<T, ApiError> {
        let request = self.request(Method::DELETE, &route)?;
        let sent = self.send(&route, request, MAX_OBJECT_BYTES).await?;
        self.parsed(&sent)
    }

    fn request(&self, method: Method, route: &ApiRoute) -> Result<ClientRequest, ApiError> {
        let request = ClientRequest::new(method, route.url(&self.address)?);
        let request = request.header(ACCEPT, "application/json");
        Ok(request.once().without_redirects())
    }

    fn with_json<B: Serialize>(
        &self,
        method: Method,
        route: &ApiRoute,
        body: &B,
    ) -> Result<ClientRequest, ApiError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::Unsupported(format!("this has no form in JSON: {error}")))?;
        let request = self.request(method, route)?.body(body);
        Ok(request.header(CONTENT_TYPE, "application/json"))
    }

    /// Sends a request, and reads a body of at most `limit` bytes. The request is sent once more if its
    /// response was lost and another one does no harm, and once more if the server asks to wait.
    async fn send(
        &self,
        route: &ApiRoute,
        request: ClientRequest,
        limit: usize,
    ) -> Result<ReceivedResponse, ApiError> {
        let scopes = route.scopes();
        let (mut may_repeat, mut may_wait) = (is_repeatable(&request), true);
        loop {
            let error = match self.send_once(&scopes, request.clone(), limit).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let may = match &error {
                // Requests for tokens have been repeated already.
                Error::Connection { step, .. } | Error::HttpErrorResponse { step, .. }
                    if *step == Step::Token =>
                {
                    false
                }
                Error::HttpErrorResponse { source, .. }
                    if source.status == StatusCode::TOO_MANY_REQUESTS =>
                {
                    std::mem::take(&mut may_wait)
                }
                error => error.is_transient() && std::mem::take(&mut may_repeat),
            };
            let pause = error.retry_after().unwrap_or(PAUSE);
            if !may || pause > LONGEST_PAUSE {
                return Err(self.failed(error));
            }
            let transport = self.session.transport();
            transport.pause(pause, &error.to_string()).await;
        }
    }

    async fn send_once(
        &self,
        scopes: &Scopes,
        request: ClientRequest,
        limit: usize,
    ) -> Result<ReceivedResponse, Error> {
        let response = self.session.send(scopes, request).await?;
        let mut response = response.success().await?;
        let body = response.bytes(limit).await?;
        Ok(ReceivedResponse { response, body })
    }

    /// What a body says. If it is not as expected, its text is not shown: it may hold a secret.
    fn parsed<T: DeserializeOwned>(&self, sent: &ReceivedResponse) -> Result<T, ApiError> {
        json::parse(&sent.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let what = format!("its body is not what the API sends, at {line}:{column}");
            self.failed(sent.response.malformed(what))
        })
    }

    fn failed(&self, error: Error) -> ApiError {
        ApiError::of(&self.address, self.session.account(), error)
    }

    fn idempotency_key(&self) -> Result<String, ApiError> {
        let mut key = [0; 16];
        let entropy = &self.session.transport().options().entropy;
        let filled = entropy.fill(&mut key);
        filled.map_err(|error: EntropyError| Error::Unsupported(error.to_string()))?;
        Ok(HEXLOWER.encode(&key))
    }
}

/// The request, for just this version of the object (RFC 9110 §13.1.1).
fn of_version(request: ClientRequest, version: Option<&VersionTag>) -> ClientRequest {
    match version {
        Some(VersionTag(tag)) => request.header(IF_MATCH, tag),
        None => request,
    }
}

/// Whether sending it twice comes to the same as sending it once. A deletion that is repeated does
/// not find what it has deleted, and a change of one version does not find that version.
fn is_repeatable(request: &ClientRequest) -> bool {
    match request.method {
        Method::DELETE => false,
        _ => !request.headers.contains_key(IF_MATCH),
    }
}
