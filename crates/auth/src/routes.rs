//! Every address of the token server, and what answers there.

use std::borrow::Cow;
use std::error::Error;

use bytes::Bytes;
use common::RequestContext;
use http::header::STRICT_TRANSPORT_SECURITY;
use http::{Method, Request, StatusCode};
use hyper::body::Body;
use percent_encoding::percent_decode_str;

use crate::response::{self, TokenServerResponse};
use crate::server::TokenServer;

/// What a path leads to.
enum Route {
    /// A page that says that the server is ready, for people and for probes.
    Index,
    /// The token endpoint.
    Token,
    /// The revocation endpoint (RFC 7009). Each path of the token endpoint with `/revoke` behind it
    /// leads here, so a client finds it from the realm.
    Revocation,
    /// The device authorization endpoint (RFC 8628 §3.1), found in the same way by `/device`.
    DeviceAuthorization,
    /// The public keys (RFC 7517 §5).
    Jwks,
}

impl TokenServer {
    /// Responds to one request.
    pub async fn respond<B>(
        &self,
        context: &RequestContext,
        request: Request<B>,
    ) -> TokenServerResponse
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut response = match (self.route(request.uri().path()), request.method()) {
            (None, _) => response::text(StatusCode::NOT_FOUND, "not found: no such path\n"),
            (Some(Route::Token), &Method::GET | &Method::HEAD | &Method::POST) => {
                self.endpoint.token(context, request).await
            }
            (Some(Route::Token), _) => response::method_not_allowed("GET, HEAD, POST"),
            (Some(Route::Revocation), &Method::POST) => {
                self.endpoint.revoke(context, request).await
            }
            (Some(Route::DeviceAuthorization), &Method::POST) => {
                self.endpoint.authorize_device(context, request).await
            }
            (Some(Route::Revocation | Route::DeviceAuthorization), _) => {
                response::method_not_allowed("POST")
            }
            (Some(Route::Index), &Method::GET | &Method::HEAD) => {
                response::text(StatusCode::OK, "wharfinger: ready\n")
            }
            (Some(Route::Jwks), &Method::GET | &Method::HEAD) => response::jwks(&self.keys.jwks()),
            (Some(Route::Index | Route::Jwks), _) => response::method_not_allowed("GET, HEAD"),
        };
        if let Some(hsts) = &self.hsts {
            response
                .headers_mut()
                .insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        response
    }

    /// What `path` leads to. It is decoded but, as in `docker_auth`, not cleaned: `//auth` is another
    /// path than `/auth`.
    fn route(&self, path: &str) -> Option<Route> {
        let path: Cow<'_, [u8]> = percent_decode_str(path).into();
        match path.strip_prefix(self.path_prefix.as_bytes()) {
            Some(b"/auth" | b"/auth/token" | b"/token") => return Some(Route::Token),
            Some(b"/auth/revoke" | b"/auth/token/revoke" | b"/token/revoke") => {
                return Some(Route::Revocation);
            }
            Some(b"/auth/device" | b"/auth/token/device" | b"/token/device") => {
                return Some(Route::DeviceAuthorization);
            }
            Some(b"/.well-known/jwks.json") => return Some(Route::Jwks),
            Some(b"/" | b"/healthz") => return Some(Route::Index),
            _ => {}
        }
        // Probes and registries do not know the prefix.
        match path.as_ref() {
            b"/" | b"/healthz" => Some(Route::Index),
            b"/.well-known/jwks.json" => Some(Route::Jwks),
            _ => None,
        }
    }
}
