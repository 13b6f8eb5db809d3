//! Which service responds to which paths of which listener.

use std::sync::Arc;

use api::Api;
use auth::TokenServer;
use common::Origin;
use http::Uri;
use http::uri::PathAndQuery;
use registry::Registry;
use sign_in::SignInServer;

use super::health::DebugHealth;
use super::metrics::MetricsService;
use super::readiness::{Liveness, Readiness};
use super::service::Service;
use super::waiting::WaitingForDatabase;

/// Which services a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenerRole {
    /// Every service that is configured.
    All,
    TokenServer,
    Registry,
    /// What operators and their programs read. It has no other service, and no other listener has
    /// its services.
    Operators,
}

impl ListenerRole {
    /// Whether connections use TLS if the server has a certificate.
    pub(super) fn has_tls(self) -> bool {
        self != Self::Operators
    }

    /// Whether a listener of this role has what a mount is for.
    fn has(self, mount: MountRole) -> bool {
        match mount {
            MountRole::Everywhere => true,
            MountRole::Operators => self == Self::Operators,
            MountRole::Clients => self != Self::Operators,
            MountRole::TokenServer => matches!(self, Self::All | Self::TokenServer),
            MountRole::Registry => matches!(self, Self::All | Self::Registry),
        }
    }
}

/// Which listeners have a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MountRole {
    Everywhere,
    /// All but that of operators.
    Clients,
    TokenServer,
    Registry,
    Operators,
}

/// What operators read.
pub(super) struct OperatorServices {
    /// The path of the metrics, and who may read them where.
    pub(super) metrics: Option<(String, MountRole, MetricsService)>,
    pub(super) health: DebugHealth,
}

/// A service and the paths that it has.
pub(super) struct Mount {
    /// Empty, or a path without a slash at its end: the service has that path and all below it. With
    /// a slash at its end, it has this path alone.
    path: String,
    /// The part of `path` that the service does not see (`registry.path_prefix`).
    prefix: String,
    /// The listeners that have it.
    role: MountRole,
    /// `None` if there is nothing at the path.
    service: Option<Arc<dyn Service>>,
}

/// Every mount of a configuration, of which the first that fits a request counts.
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    /// The registry has `/v2` below `registry_prefix`, and what the token server does not have. The
    /// sign-in pages come before the token server, whose index their own replaces, and so does the
    /// API.
    pub(super) fn new(
        sign_in: Option<Arc<SignInServer>>,
        api: Option<Arc<Api>>,
        token_server: Option<Arc<TokenServer>>,
        registry: Option<Arc<Registry>>,
        registry_prefix: &str,
        readiness: Readiness,
        operators: OperatorServices,
    ) -> Self {
        let mut mounts = Vec::new();
        let mut mount = |path: String, prefix: &str, role, service: Option<Arc<dyn Service>>| {
            mounts.push(Mount {
                path,
                prefix: prefix.to_owned(),
                role,
                service,
            });
        };
        let registry_role = MountRole::Registry;
        let readiness = Some(Arc::new(readiness) as _);
        if let Some((path, role, metrics)) = operators.metrics {
            mount(path, "", role, Some(Arc::new(metrics) as _));
        }
        let health = Some(Arc::new(operators.health) as _);
        mount("/debug/health".to_owned(), "", MountRole::Operators, health);
        mount("/readyz".to_owned(), "", MountRole::Everywhere, readiness);
        let liveness = Some(Arc::new(Liveness) as _);
        mount("/livez".to_owned(), "", MountRole::Everywhere, liveness);
        if let Some(registry) = &registry {
            let service = Arc::clone(registry) as _;
            let path = format!("{registry_prefix}/v2");
            mount(path, registry_prefix, registry_role, Some(service));
            if !registry_prefix.is_empty() {
                mount("/v2".to_owned(), "", registry_role, None);
            }
        }
        if let Some(sign_in) = sign_in {
            for path in sign_in.paths() {
                let service = Some(Arc::clone(&sign_in) as _);
                mount(path, "", MountRole::TokenServer, service);
            }
        }
        if let Some(api) = api {
            let path = api.path().to_owned();
            mount(path, "", MountRole::TokenServer, Some(api as _));
        }
        if let Some(token_server) = token_server {
            let service = Some(token_server as _);
            mount(String::new(), "", MountRole::TokenServer, service);
        }
        if let Some(registry) = registry {
            mount(String::new(), "", registry_role, Some(registry as _));
        }
        Self(mounts)
    }

    /// Until the database was reached: one service for all paths.
    pub(super) fn waiting() -> Self {
        Self(vec![Mount {
            path: String::new(),
            prefix: String::new(),
            role: MountRole::Everywhere,
            service: Some(Arc::new(WaitingForDatabase)),
        }])
    }

    /// The mount that has `path` on a listener of this role; `None` if a new configuration took away
    /// what the listener was for.
    pub(super) fn find(&self, role: ListenerRole, path: &str) -> Option<&Mount> {
        self.0.iter().find(|mount| {
            let is_below = path
                .strip_prefix(&mount.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            is_below && role.has(mount.role)
        })
    }
}

impl Mount {
    pub(super) fn service(&self) -> Option<&Arc<dyn Service>> {
        self.service.as_ref()
    }

    /// Takes the prefix off a request, whose responses name paths with it.
    pub(super) fn strip_prefix(&self, uri: &mut Uri, origin: &mut Origin) {
        if self.prefix.is_empty() {
            return;
        }
        let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let stripped = target.strip_prefix(&self.prefix).unwrap_or(target);
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = stripped.parse().ok();
        if let Ok(stripped) = Uri::from_parts(parts) {
            *uri = stripped;
            origin.prefix.push_str(&self.prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use common::{BoxFuture, RequestContext};
    use http::{Request, Response};

    use super::super::request_body::RequestBody;
    use super::super::service::{ResponseBody, empty_response};
    use super::*;

    /// A service that responds with its own name.
    struct Named(&'static str);

    impl Service for Named {
        fn respond<'a>(
            &'a self,
            _: &'a RequestContext,
            _: Request<RequestBody>,
        ) -> BoxFuture<'a, Response<ResponseBody>> {
            Box::pin(async { empty_response(http::StatusCode::NOT_FOUND) })
        }

        fn has_access_log(&self) -> bool {
            self.0 == "registry"
        }
    }

    fn mounts(list: &[(&str, &str, MountRole, Option<&'static str>)]) -> Mounts {
        let mount =
            |(path, prefix, role, name): &(&str, &str, MountRole, Option<&'static str>)| Mount {
                path: (*path).to_owned(),
                prefix: (*prefix).to_owned(),
                role: *role,
                service: name.map(|name| Arc::new(Named(name)) as _),
            };
        Mounts(list.iter().map(mount).collect())
    }

    #[test]
    fn the_first_mount_that_fits_counts() {
        use ListenerRole::{All, Operators, Registry, TokenServer};
        let mounts = mounts(&[
            ("/metrics", "", MountRole::Operators, Some("registry")),
            ("/v2", "", MountRole::Registry, Some("registry")),
            ("/page/", "", MountRole::TokenServer, Some("registry")),
            ("", "", MountRole::TokenServer, Some("token")),
            ("", "", MountRole::Registry, Some("registry")),
        ]);
        let is_registry = |role, path| {
            let service = mounts.find(role, path).unwrap().service().unwrap();
            service.has_access_log()
        };
        for (role, path, expected) in [
            (All, "/v2", true),
            (All, "/v2/a/tags/list", true),
            (All, "/v20", false),
            (All, "/", false),
            (All, "/auth", false),
            (All, "/page/", true),
            (All, "/page", false),
            (All, "/page/more", false),
            (TokenServer, "/v2/", false),
            (Registry, "/", true),
            (Registry, "/auth", true),
            // Only operators have it.
            (Operators, "/metrics", true),
            (All, "/metrics", false),
            (TokenServer, "/metrics", false),
        ] {
            assert_eq!(is_registry(role, path), expected, "{role:?} {path}");
        }
        for path in ["/", "/v2/", "/auth", "/page/"] {
            assert!(mounts.find(Operators, path).is_none(), "{path}");
        }
        assert!(Mounts(Vec::new()).find(All, "/").is_none());
    }

    #[test]
    fn a_prefix_is_taken_off_the_request_and_put_into_the_response() {
        let mounts = mounts(&[
            ("/r/v2", "/r", MountRole::Registry, Some("registry")),
            ("/v2", "", MountRole::Registry, None),
        ]);
        let mut origin = Origin {
            scheme: "http",
            host: None,
            prefix: "/outer".to_owned(),
            certain: true,
        };
        let mut uri = Uri::from_static("/r/v2/a/tags/list?n=1");
        let mount = mounts.find(ListenerRole::All, uri.path()).unwrap();
        mount.strip_prefix(&mut uri, &mut origin);
        assert_eq!(uri, "/v2/a/tags/list?n=1");
        assert_eq!(origin.path("/v2/"), "/outer/r/v2/");
        let without = mounts.find(ListenerRole::All, "/v2/").unwrap();
        assert!(without.service().is_none(), "only with the prefix");
        assert!(mounts.find(ListenerRole::All, "/").is_none());
    }
}
