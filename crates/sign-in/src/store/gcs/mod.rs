//! Sign-ins in a bucket of Google Cloud Storage, beside those of `docker_auth`.
//!
//! The record of a user is the object with the user's name, as there, and ends with a line feed.
//! What is ours is in objects named `.wharfinger/SECTION/passwords/USER` and
//! `.wharfinger/SECTION/spelling/USER`, so no user may have a name that begins with `.wharfinger/`.
//!
//! A change names the *generation* of the object that it replaces. The bucket refuses it if another
//! server was faster. The JSON API is used directly: names of objects are users' names, to the
//! letter, and libraries for several clouds rewrite or refuse some of them.

mod access_token;
mod service_account;

use std::sync::Arc;

use common::{BoxFuture, Clock};
use http::{Method, StatusCode};
use openid::{
    ProviderClient, ProviderRequestBody, ProviderRequestError, ProviderResponse,
    RequestAuthorization,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use self::access_token::AccessTokens;
pub use self::service_account::{ServiceAccountKey, ServiceAccountKeyError};
use super::listing::{MAX_TIME, UserListing, within};
use super::{DocumentKind, TokenStore, TokenStoreError};

/// Where the names of our own objects begin.
const OWN_PREFIX: &str = ".wharfinger/";

/// How many pages a list of objects may have, of 1000 objects each.
const MAX_PAGES: u32 = 1000;

/// The longest name of an object, in bytes.
const MAX_OBJECT_NAME: usize = 1024;

/// Characters that a path has as they are (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A bucket, and who may use it.
#[derive(Clone, Debug)]
pub struct GcsSettings {
    /// Its name.
    pub bucket: String,
    /// The account that reads and writes it.
    pub key: ServiceAccountKey,
    /// The address of the service, without a slash at its end.
    pub endpoint: String,
}

impl GcsSettings {
    /// The address of Google's service.
    pub const ENDPOINT: &'static str = "https://storage.googleapis.com";
}

/// Keeps the documents of one section of the configuration in a bucket.
pub struct GcsTokenStore {
    client: ProviderClient,
    tokens: AccessTokens,
    bucket: String,
    endpoint: String,
    section: &'static str,
}

/// A document, and the generation of its object.
struct StoredObject {
    content: Vec<u8>,
    generation: u64,
}

/// A page of a list of objects.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectPage {
    #[serde(default)]
    items: Vec<ObjectName>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct ObjectName {
    name: String,
}

impl GcsTokenStore {
    /// The documents of `section`. `docker_auth`'s records are not divided into sections, so two
    /// sections must not share a bucket.
    #[must_use]
    pub fn new(
        settings: GcsSettings,
        client: ProviderClient,
        clock: Arc<dyn Clock>,
        section: &'static str,
    ) -> Self {
        Self {
            tokens: AccessTokens::new(settings.key, client.clone(), clock),
            client,
            bucket: settings.bucket,
            endpoint: settings.endpoint,
            section,
        }
    }

    /// The object of a document, percent-encoded; `None` if no object may be called so.
    fn object_name(&self, kind: DocumentKind, user: &str) -> Option<String> {
        let name = match kind {
            DocumentKind::Record => user.to_owned(),
            DocumentKind::Passwords | DocumentKind::Spelling => {
                format!("{OWN_PREFIX}{}/{}/{user}", self.section, kind.name())
            }
        };
        let is_taken = kind == DocumentKind::Record && user.starts_with(OWN_PREFIX);
        let is_possible = !user.is_empty()
            && name.len() <= MAX_OBJECT_NAME
            && !name.contains(['\r', '\n'])
            && !matches!(name.as_str(), "." | "..")
            && !name.starts_with(".well-known/acme-challenge/");
        (is_possible && !is_taken).then(|| utf8_percent_encode(&name, ENCODED).to_string())
    }

    fn objects(&self) -> String {
        let bucket = utf8_percent_encode(&self.bucket, ENCODED);
        format!("{}/storage/v1/b/{bucket}/o", self.endpoint)
    }

    async fn object(
        &self,
        kind: DocumentKind,
        user: &str,
    ) -> Result<Option<StoredObject>, ProviderRequestError> {
        let Some(name) = self.object_name(kind, user) else {
            return Ok(None);
        };
        let address = format!("{}/{name}?alt=media", self.objects());
        let response = self.send(Method::GET, &address, None).await?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(response.unexpected()),
        }
        let generation = response.headers.get("x-goog-generation");
        let generation = generation.and_then(|value| value.to_str().ok()?.parse().ok());
        let generation = generation.ok_or_else(|| {
            ProviderRequestError::broken(format!(
                "{} did not name its generation",
                response.address
            ))
        })?;
        let mut content = response.body;
        if kind == DocumentKind::Record && content.ends_with(b"\n") {
            content.pop();
        }
        Ok(Some(StoredObject {
            content,
            generation,
        }))
    }

    async fn change(
        &self,
        kind: DocumentKind,
        user: &str,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
    ) -> Result<bool, ProviderRequestError> {
        let Some(name) = self.object_name(kind, user) else {
            return Err(ProviderRequestError::broken(format!(
                "no object can be called as the user {user:?}"
            )));
        };
        let object = self.object(kind, user).await?;
        let content = object.as_ref().map(|object| object.content.as_slice());
        if content != before {
            return Ok(false);
        }
        // 0: only if the object does not exist.
        let generation = object.map_or(0, |object| object.generation);
        let response = match after {
            Some(after) => {
                let bucket = utf8_percent_encode(&self.bucket, ENCODED);
                let address = format!(
                    "{}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}&ifGenerationMatch={generation}",
                    self.endpoint
                );
                let mut content = after.to_vec();
                if kind == DocumentKind::Record {
                    content.push(b'\n');
                }
                let body = ProviderRequestBody::json(content);
                self.send(Method::POST, &address, Some(body)).await?
            }
            None if before.is_none() => return Ok(true),
            None => {
                let address = format!("{}/{name}?ifGenerationMatch={generation}", self.objects());
                self.send(Method::DELETE, &address, None).await?
            }
        };
        match response.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(true),
            // Another server was faster.
            StatusCode::PRECONDITION_FAILED => Ok(false),
            StatusCode::NOT_FOUND if after.is_none() => Ok(false),
            _ => Err(response.unexpected()),
        }
    }

    async fn records(&self) -> Result<Vec<String>, TokenStoreError> {
        let mut users = UserListing::new(MAX_PAGES);
        let mut token: Option<String> = None;
        loop {
            let mut address = format!("{}?fields=items(name),nextPageToken", self.objects());
            if let Some(token) = &token {
                let token = utf8_percent_encode(token, ENCODED).to_string();
                address += &format!("&pageToken={token}");
            }
            let page: ObjectPage = self.send(Method::GET, &address, None).await?.json()?;
            let names = page.items.into_iter().map(|item| item.name);
            users.add(names.filter(|name| !name.starts_with(OWN_PREFIX)))?;
            match page.next_page_token.filter(|token| !token.is_empty()) {
                Some(next) => token = Some(next),
                None => return Ok(users.into_names()),
            }
        }
    }

    /// Sends a request with an access token. One that is refused is replaced once, because it may
    /// have been revoked.
    async fn send(
        &self,
        method: Method,
        address: &str,
        body: Option<ProviderRequestBody>,
    ) -> Result<ProviderResponse, ProviderRequestError> {
        let token = self.tokens.current().await?;
        let authorization = RequestAuthorization::Bearer(&token);
        let first = self
            .client
            .send(method.clone(), address, authorization, body.clone());
        let response = first.await?;
        if response.status != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.tokens.discard(&token).await;
        let token = self.tokens.current().await?;
        let authorization = RequestAuthorization::Bearer(&token);
        self.client.send(method, address, authorization, body).await
    }
}

impl TokenStore for GcsTokenStore {
    fn read<'a>(
        &'a self,
        kind: DocumentKind,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TokenStoreError>> {
        Box::pin(async move {
            let object = self.object(kind, user).await?;
            Ok(object.map(|object| object.content))
        })
    }

    fn write<'a>(
        &'a self,
        kind: DocumentKind,
        user: &'a str,
        before: Option<&'a [u8]>,
        after: Option<&'a [u8]>,
    ) -> BoxFuture<'a, Result<bool, TokenStoreError>> {
        Box::pin(async move { Ok(self.change(kind, user, before, after).await?) })
    }

    fn users(&self) -> BoxFuture<'_, Result<Vec<String>, TokenStoreError>> {
        Box::pin(within(MAX_TIME, self.records()))
    }
}

impl From<ProviderRequestError> for TokenStoreError {
    fn from(error: ProviderRequestError) -> Self {
        match error {
            ProviderRequestError::Unavailable { .. } => Self::Unavailable(error.into()),
            ProviderRequestError::Broken(_) => Self::Broken(error.into()),
        }
    }
}
