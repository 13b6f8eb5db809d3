//! Which service responds to which paths of which listener.

use std::sync::Arc;

use auth::TokenServer;
use bytes::Bytes;
use common::{BoxFuture, RequestContext};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use registry::Registry;

use super::request_body::RequestBody;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every service's response.
pub(super) type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// Something that responds to requests.
pub(super) trait Service: Send + Sync {
    fn respond<'a>(
        &'a self,
        context: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>>;

    /// Whether the access log has a line for each request. The token server writes lines of its
    /// own.
    fn has_access_log(&self) -> bool;
}

/// Which services a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenerRole {
    /// Every service that is configured.
    All,
    TokenServer,
    Registry,
}

/// A service and the paths that it has.
pub(super) struct Mount {
    /// Empty, or a path without a slash at its end. The service has that path and all below it.
    prefix: &'static str,
    role: ListenerRole,
    service: Arc<dyn Service>,
}

/// Every mount of a configuration, of which the first that fits a request counts.
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    /// The registry has `/v2`, and what the token server has not.
    pub(super) fn new(
        token_server: Option<Arc<TokenServer>>,
        registry: Option<Arc<Registry>>,
    ) -> Self {
        let mut mounts = Vec::new();
        let mut mount = |prefix, role, service: Arc<dyn Service>| {
            mounts.push(Mount {
                prefix,
                role,
                service,
            });
        };
        if let Some(registry) = &registry {
            mount("/v2", ListenerRole::Registry, Arc::clone(registry) as _);
        }
        if let Some(token_server) = token_server {
            mount("", ListenerRole::TokenServer, token_server);
        }
        if let Some(registry) = registry {
            mount("", ListenerRole::Registry, registry);
        }
        Self(mounts)
    }

    /// The service that has `path` on a listener of this role; `None` if a new configuration took
    /// away what the listener was for.
    pub(super) fn find(&self, role: ListenerRole, path: &str) -> Option<&Arc<dyn Service>> {
        let fits = |mount: &&Mount| {
            let is_below = path
                .strip_prefix(mount.prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            is_below && (role == ListenerRole::All || role == mount.role)
        };
        self.0.iter().find(fits).map(|mount| &mount.service)
    }
}

/// The response if no service has the path.
pub(super) fn not_found() -> Response<ResponseBody> {
    let body = Full::default().map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

impl Service for TokenServer {
    fn respond<'a>(
        &'a self,
        context: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move {
            let response = Self::respond(self, context, request).await;
            response.map(|body| body.map_err(|never| match never {}).boxed_unsync())
        })
    }

    fn has_access_log(&self) -> bool {
        false
    }
}

impl Service for Registry {
    fn respond<'a>(
        &'a self,
        context: &'a RequestContext,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(async move {
            let response = Self::respond(self, context, request).await;
            response.map(|body| body.map_err(BoxError::from).boxed_unsync())
        })
    }

    fn has_access_log(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that responds with its own name.
    struct Named(&'static str);

    impl Service for Named {
        fn respond<'a>(
            &'a self,
            _: &'a RequestContext,
            _: Request<RequestBody>,
        ) -> BoxFuture<'a, Response<ResponseBody>> {
            Box::pin(async { not_found() })
        }

        fn has_access_log(&self) -> bool {
            self.0 == "registry"
        }
    }

    fn mounts(list: &[(&'static str, ListenerRole, &'static str)]) -> Mounts {
        let mount = |(prefix, role, name): &(&'static str, ListenerRole, &'static str)| Mount {
            prefix,
            role: *role,
            service: Arc::new(Named(name)),
        };
        Mounts(list.iter().map(mount).collect())
    }

    #[test]
    fn the_first_mount_that_fits_counts() {
        use ListenerRole::{All, Registry, TokenServer};
        let mounts = mounts(&[
            ("/v2", Registry, "registry"),
            ("", TokenServer, "token"),
            ("", Registry, "registry"),
        ]);
        let is_registry = |role, path| mounts.find(role, path).unwrap().has_access_log();
        for (role, path, expected) in [
            (All, "/v2", true),
            (All, "/v2/a/tags/list", true),
            (All, "/v20", false),
            (All, "/", false),
            (All, "/auth", false),
            (TokenServer, "/v2/", false),
            (Registry, "/", true),
            (Registry, "/auth", true),
        ] {
            assert_eq!(is_registry(role, path), expected, "{role:?} {path}");
        }
        assert!(Mounts(Vec::new()).find(All, "/").is_none());
    }
}
