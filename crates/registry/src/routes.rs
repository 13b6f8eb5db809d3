//! Every address of the registry, and what answers there.

use std::sync::Arc;

use bytes::Bytes;
use common::{Entropy, RequestContext};
use http::header::{ALLOW, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Body;
use storage::{Error as StorageError, Storage};

use crate::access::{AccessControl, Cancel, Delete, Pull, Push};
use crate::body::HttpResponse;
use crate::catalog::Lists;
use crate::error::RegistryError;
use crate::payload::Payload;
use crate::request::ApiRequest;
use crate::response;
use crate::route::Route;
use crate::settings::RegistrySettings;
use crate::{blobs, manifests, referrers, tags, uploads};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// A registry, ready to answer.
pub struct Registry {
    access: AccessControl,
    relative_urls: bool,
    lists: Lists,
    manifest_limit: usize,
    stall: std::time::Duration,
    headers: HeaderMap,
    entropy: Arc<dyn Entropy>,
}

/// What a request wants done: its method, where `HEAD` reads as `GET` does.
enum Verb {
    Read,
    Post,
    Put,
    Patch,
    Delete,
    Other,
}

impl Registry {
    /// A registry of what lies in `storage`.
    #[must_use]
    pub fn new(settings: RegistrySettings, storage: Storage) -> Self {
        let RegistrySettings {
            auth,
            relative_urls,
            delete,
            read_only,
            catalog,
            manifest_limit,
            stall,
            headers,
            clock,
            entropy,
        } = settings;
        let lists = Lists {
            max: catalog.max,
            cursors: catalog.cursors,
            entropy: Arc::clone(&entropy),
        };
        let access = AccessControl {
            storage,
            auth,
            read_only,
            delete,
            visibility: catalog.visibility,
            clock,
        };
        Self {
            access,
            relative_urls,
            lists,
            manifest_limit,
            stall,
            headers,
            entropy,
        }
    }

    /// Responds to one request.
    pub async fn respond<B>(&self, context: &RequestContext, request: Request<B>) -> HttpResponse
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let mut payload = Payload::new(body, self.stall);
        let call = ApiRequest::new(&head, context, self.relative_urls);
        let mut answer = match self
            .answer(&call, &head.method, head.uri.path(), &mut payload)
            .await
        {
            Ok(answer) => answer,
            Err(refusal) => {
                // Who was told to wait for permission to send (RFC 9110 §10.1.1) has not sent
                // anything.
                if !head.headers.contains_key(http::header::EXPECT) {
                    payload.drain().await;
                }
                self.refuse(&refusal, &context.request_id)
            }
        };
        answer
            .headers_mut()
            .insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        for (name, value) in &self.headers {
            answer.headers_mut().append(name, value.clone());
        }
        answer
    }

    async fn answer(
        &self,
        call: &ApiRequest<'_>,
        method: &Method,
        path: &str,
        payload: &mut Payload,
    ) -> Result<HttpResponse, RegistryError> {
        let access = &self.access;
        let route = Route::parse(path)?;
        if method == Method::OPTIONS {
            return Ok(options(&route));
        }
        match (route, Verb::of(method)) {
            (Route::Index, Verb::Read) => Ok(response::text("wharfinger: ready\n")),
            (Route::Unslashed, Verb::Read) => {
                Ok(response::moved(&call.context.origin.path("/v2/")))
            }
            (Route::Version, Verb::Read) => {
                access.authenticate(call).await?;
                Ok(response::json(&serde_json::json!({})))
            }
            (Route::Catalog, Verb::Read) => {
                self.lists
                    .page(&access.authorize_catalog(call).await?, call)
                    .await
            }
            (Route::Tags(name), Verb::Read) => {
                tags::list(&access.authorize::<Pull>(call, name).await?, call).await
            }
            (Route::Referrers(name, subject), Verb::Read) => {
                referrers::list(&access.authorize::<Pull>(call, name).await?, &subject, call).await
            }
            (Route::Blob(name, digest), Verb::Read) => {
                blobs::fetch(&access.authorize::<Pull>(call, name).await?, &digest, call).await
            }
            (Route::Blob(name, digest), Verb::Delete) => {
                blobs::delete(&access.authorize::<Delete>(call, name).await?, &digest).await
            }
            (Route::Manifest(name, reference), Verb::Read) => {
                manifests::fetch(
                    &access.authorize::<Pull>(call, name).await?,
                    &reference,
                    call,
                )
                .await
            }
            (Route::Manifest(name, reference), Verb::Put) => {
                let proof = access.authorize::<Push>(call, name).await?;
                manifests::push(&proof, reference, call, payload, self.manifest_limit).await
            }
            (Route::Manifest(name, reference), Verb::Delete) => {
                manifests::delete(&access.authorize::<Delete>(call, name).await?, &reference).await
            }
            (Route::NoManifest(name, error), Verb::Put) => {
                access.authorize::<Push>(call, name).await?;
                Err(error.into())
            }
            (Route::NoManifest(name, _), Verb::Read) => {
                access.authorize::<Pull>(call, name).await?;
                Err(StorageError::ManifestUnknown.into())
            }
            (Route::NoManifest(name, _), Verb::Delete) => {
                access.authorize::<Delete>(call, name).await?;
                Err(StorageError::ManifestUnknown.into())
            }
            (Route::Uploads(name), Verb::Post) => {
                let from = uploads::mounted_from(call);
                let proof = access
                    .authorize_with::<Push>(call, name, from.as_ref())
                    .await?;
                uploads::begin(&proof, from, call, payload, self.entropy.as_ref()).await
            }
            (Route::Upload(name, id), Verb::Read) => {
                uploads::status(&access.authorize::<Pull>(call, name).await?, id, call).await
            }
            (Route::Upload(name, id), Verb::Patch) => {
                uploads::append(
                    &access.authorize::<Push>(call, name).await?,
                    id,
                    call,
                    payload,
                )
                .await
            }
            (Route::Upload(name, id), Verb::Put) => {
                uploads::finish(
                    &access.authorize::<Push>(call, name).await?,
                    id,
                    call,
                    payload,
                )
                .await
            }
            (Route::Upload(name, id), Verb::Delete) => {
                uploads::cancel(&access.authorize::<Cancel>(call, name).await?, id).await
            }
            (route, _) => Err(RegistryError::Method {
                allow: route.methods(),
            }),
        }
    }

    /// A refusal as an answer. The log hears the cause of what is ours.
    fn refuse(&self, refusal: &RegistryError, request_id: &str) -> HttpResponse {
        let error = refusal as &dyn std::error::Error;
        if refusal.is_trouble() {
            tracing::error!(error, "a request cannot be served for now");
        }
        if !refusal.is_ours() {
            return refusal.answer("");
        }
        tracing::error!(request_id, error, "a request failed");
        refusal.answer(request_id)
    }
}

impl Verb {
    fn of(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD => Self::Read,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// What can be done at an address, which is no secret: browsers ask before they send anything of
/// their own.
fn options(route: &Route) -> HttpResponse {
    let mut answer = response::empty(StatusCode::NO_CONTENT);
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(route.methods()));
    answer
}
