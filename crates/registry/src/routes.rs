//! Every address of the registry, and its handler.

use std::sync::Arc;

use bytes::Bytes;
use common::{Clock, Entropy, RequestContext};
use event::{AccessRefusal, EventKind, Observers, QuotaEvent};
use http::header::{ALLOW, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Body;
use storage::{Error as StorageError, QuotaExceeded, Storage};

use crate::access::AccessControl;
use crate::authorized::{Cancel, Delete, Pull, Push, Resources};
use crate::body_memory::BodyMemory;
use crate::caching_verifier::VerifierStatistics;
use crate::catalog::CatalogPages;
use crate::error::RegistryError;
use crate::mount_challenges::MountChallenges;
use crate::outbox::OutboxWriter;
use crate::pull_recorder::PullRecorder;
use crate::redirects::RedirectRules;
use crate::request::{ApiRequest, Environment};
use crate::request_body::BoundedBody;
use crate::response;
use crate::response_body::HttpResponse;
use crate::route::Route;
use crate::settings::{Authentication, RegistrySettings};
use crate::tag_settings::TagSettings;
use crate::{blobs, extensions, manifests, referrers, tag_history, tags, uploads};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// The `ns` parameter of a request (OCI distribution-spec, "Registry Proxying").
const NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");

/// A registry, ready to serve.
pub struct Registry {
    access: AccessControl,
    relative_urls: bool,
    catalog: CatalogPages,
    manifest_rules: manifests::ManifestRules,
    tags: TagSettings,
    body_timeout: std::time::Duration,
    body_memory: Arc<BodyMemory>,
    headers: HeaderMap,
    redirects: Option<RedirectRules>,
    observers: Observers,
    outbox: Option<Arc<dyn OutboxWriter>>,
    pulls: Option<Arc<dyn PullRecorder>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// A request's method, with `HEAD` as `GET`.
enum MethodKind {
    Read,
    Post,
    Put,
    Patch,
    Delete,
    Other,
}

impl Registry {
    /// A registry of the content of `storage`.
    #[must_use]
    pub fn new(settings: RegistrySettings, storage: Storage) -> Self {
        let RegistrySettings {
            auth,
            relative_urls,
            delete,
            read_only,
            catalog,
            manifest_limit,
            validation,
            tags,
            quotas,
            stall: body_timeout,
            headers,
            upload_grace,
            redirects,
            upstream,
            shared_failures,
            observers,
            outbox,
            pulls,
            clock,
            entropy,
        } = settings;
        let pages = CatalogPages {
            max: catalog.max,
            cursors: catalog.cursors,
            entropy: Arc::clone(&entropy),
        };
        let access = AccessControl {
            resources: Resources {
                storage,
                quotas,
                upstream,
            },
            auth,
            read_only,
            delete,
            pull_permissions: catalog.pull_permissions,
            upload_grace,
            mount_challenges: MountChallenges::new(shared_failures),
            clock: Arc::clone(&clock),
        };
        Self {
            access,
            relative_urls,
            catalog: pages,
            manifest_rules: manifests::ManifestRules {
                limit: manifest_limit,
                validation,
            },
            tags,
            body_timeout,
            body_memory: Arc::default(),
            headers,
            redirects,
            observers,
            outbox,
            pulls,
            clock,
            entropy,
        }
    }

    /// How tokens were verified; `None` if clients do not prove themselves with tokens.
    #[must_use]
    pub fn token_verifications(&self) -> Option<VerifierStatistics> {
        match &self.access.auth {
            Authentication::Token(auth) => Some(auth.verifier.statistics()),
            Authentication::Htpasswd { .. } | Authentication::Open => None,
        }
    }

    /// Responds to one request.
    pub async fn respond<B>(&self, context: &RequestContext, request: Request<B>) -> HttpResponse
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let mut body = BoundedBody::new(body, self.body_timeout);
        let environment = Environment {
            relative_urls: self.relative_urls,
            observers: &self.observers,
            outbox: self.outbox.as_deref(),
            tags: &self.tags,
            pulls: self.pulls.as_deref(),
            clock: self.clock.as_ref(),
            body_memory: &self.body_memory,
        };
        let call = ApiRequest::new(&head, context, environment);
        let result = self
            .dispatch(&call, &head.method, head.uri.path(), &mut body)
            .await;
        let mut response = match result {
            Ok(response) => response,
            Err(error) => {
                report(&error, &call);
                error.response(&context.request_id)
            }
        };
        let headers = response.headers_mut();
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        if let Some(namespace) = call.query.first("ns") {
            response::set(&mut response, NAMESPACE, namespace);
        }
        response
    }

    async fn dispatch(
        &self,
        call: &ApiRequest<'_>,
        method: &Method,
        path: &str,
        body: &mut BoundedBody,
    ) -> Result<HttpResponse, RegistryError> {
        let (access, entropy) = (&self.access, self.entropy.as_ref());
        let route = Route::parse(path)?;
        if method == Method::OPTIONS {
            return Ok(options(&route));
        }
        match (route, MethodKind::of(method)) {
            (Route::Index, MethodKind::Read) => Ok(response::text("wharfinger: ready\n")),
            (Route::V2WithoutSlash, MethodKind::Read) => {
                Ok(response::moved(&call.context.origin.path("/v2/")))
            }
            (Route::Version, MethodKind::Read) => {
                access.authenticate(call).await?;
                Ok(response::json(&serde_json::json!({})))
            }
            (Route::Extensions, MethodKind::Read) => {
                access.authenticate(call).await?;
                Ok(extensions::list())
            }
            (Route::Catalog, MethodKind::Read) => {
                let proof = access.authorize_catalog(call).await?;
                self.catalog.page(&proof, call).await
            }
            (Route::Tags(name), MethodKind::Read) => {
                let proof = access.authorize::<Pull>(call, name).await?;
                tags::list(&proof, call).await
            }
            (Route::TagHistory(name), MethodKind::Read) => {
                let proof = access.authorize::<Pull>(call, name).await?;
                tag_history::list(&proof, call).await
            }
            (Route::Referrers(name, subject), MethodKind::Read) => {
                let proof = access.authorize::<Pull>(call, name).await?;
                referrers::list(&proof, &subject, call).await
            }
            (Route::Blob(name, digest), MethodKind::Read) => {
                let proof = access.authorize::<Pull>(call, name).await?;
                blobs::fetch(&proof, &digest, call, self.redirects.as_ref(), entropy).await
            }
            (Route::Blob(name, digest), MethodKind::Delete) => {
                let proof = access.authorize::<Delete>(call, name).await?;
                blobs::delete(&proof, &digest, call).await
            }
            (Route::Manifest(name, reference), MethodKind::Read) => {
                let proof = access.authorize::<Pull>(call, name).await?;
                manifests::fetch(&proof, &reference, call, entropy).await
            }
            (Route::Manifest(name, reference), MethodKind::Put) => {
                let proof = access.authorize::<Push>(call, name).await?;
                manifests::push(&proof, reference, call, body, &self.manifest_rules).await
            }
            (Route::Manifest(name, reference), MethodKind::Delete) => {
                let proof = access.authorize::<Delete>(call, name).await?;
                manifests::delete(&proof, &reference, call).await
            }
            (Route::InvalidReference(name, error), MethodKind::Put) => {
                access.authorize::<Push>(call, name).await?;
                Err(error.into())
            }
            (Route::InvalidReference(name, _), MethodKind::Read) => {
                access.authorize::<Pull>(call, name).await?;
                Err(StorageError::ManifestUnknown.into())
            }
            (Route::InvalidReference(name, _), MethodKind::Delete) => {
                access.authorize::<Delete>(call, name).await?;
                Err(StorageError::ManifestUnknown.into())
            }
            (Route::Uploads(name), MethodKind::Post) => {
                let from = uploads::mount_source(call);
                let proof = access.authorize_mount(call, name, from.as_ref()).await?;
                uploads::post(&proof, from, call, body, entropy).await
            }
            (Route::Upload(name, id), MethodKind::Read) => {
                let proof = access.authorize_upload::<Pull>(call, name, id).await?;
                uploads::status(&proof, id, call).await
            }
            (Route::Upload(name, id), MethodKind::Patch) => {
                let proof = access.authorize_upload::<Push>(call, name, id).await?;
                uploads::append(&proof, id, call, body).await
            }
            (Route::Upload(name, id), MethodKind::Put) => {
                let proof = access.authorize_upload::<Push>(call, name, id).await?;
                uploads::finish(&proof, id, call, body).await
            }
            (Route::Upload(name, id), MethodKind::Delete) => {
                let proof = access.authorize_upload::<Cancel>(call, name, id).await?;
                uploads::cancel(&proof, id).await
            }
            (route, _) => Err(RegistryError::MethodNotAllowed {
                allow: route.methods(),
            }),
        }
    }
}

/// Tells the observers why access was refused, and the log what failed here.
fn report(failed: &RegistryError, call: &ApiRequest<'_>) {
    let error = failed as &dyn std::error::Error;
    let request_id = &call.context.request_id;
    if let RegistryError::Denied { scope, .. } | RegistryError::OverCeiling { scope, .. } = failed {
        call.observe(EventKind::AccessRefused(AccessRefusal {
            status: 403,
            requested: scope,
            reason: &failed.to_string(),
        }));
    } else if let RegistryError::Storage(StorageError::TagImmutable(refused)) = failed {
        call.observe(EventKind::TagRefused {
            repository: &refused.repository,
            tag: &refused.tag,
            digest: &refused.digest,
            rule: &refused.rule.to_string(),
        });
    } else if let RegistryError::Storage(StorageError::QuotaExceeded(exceeded)) = failed {
        let QuotaExceeded {
            prefix,
            resource,
            used,
            limit,
            requested,
            is_partial: _,
        } = exceeded.as_ref();
        // The refusal is of a repository, which the path names.
        if let Some(repository) = call.repository() {
            call.observe(EventKind::QuotaExceeded {
                quota: QuotaEvent {
                    repository: &repository,
                    prefix: &prefix.to_string(),
                    resource: &resource.to_string(),
                    used: *used,
                    limit: *limit,
                },
                requested: *requested,
            });
        }
    } else if let RegistryError::Challenge(challenge) = failed {
        // A client without credentials is asked for them, not refused.
        if let Some(reason) = &challenge.reason {
            call.observe(EventKind::AccessRefused(AccessRefusal {
                status: 401,
                requested: &challenge.scope,
                reason,
            }));
        }
    } else if failed.is_internal() {
        tracing::error!(request_id, error, "request failed");
    } else if failed.needs_operator() {
        tracing::error!(
            request_id,
            error,
            "request failed: storage temporarily unavailable"
        );
    }
}

impl MethodKind {
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

/// The methods of an address, which are no secret: browsers ask for them before they send a request.
fn options(route: &Route) -> HttpResponse {
    let mut response = response::empty(StatusCode::NO_CONTENT);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(route.methods()));
    response
}
