//! The listener without TLS that answers ACME's challenge `http-01`, and sends everything else to
//! https.
//!
//! It has no part in the rest of the server: no request reaches a service, and each connection has one
//! request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use acme::ServerCertificates;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue, LOCATION};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::listen::Listener;
use super::services::Services;

/// Where the answers are (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// How many connections there may be at once.
const CONNECTIONS: usize = 256;

/// How long a connection may last. It has one request, without a body.
const LIMIT: Duration = Duration::from_secs(10);

/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;

/// Takes connections until it is dropped.
pub(super) async fn serve(listener: Listener, services: Arc<ArcSwap<Services>>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let services = Arc::clone(&services);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let services = services.load_full();
                async move { Ok::<_, Infallible>(respond(&services, &request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(LIMIT)
                .keep_alive(false)
                .max_buf_size(LARGEST_HEAD)
                .serve_connection(TokioIo::new(stream), service);
            // What goes wrong is the client's affair: an ACME server says what it has not found.
            let _ = timeout(LIMIT, connection).await;
            drop(permit);
        });
    }
}

async fn respond(services: &Services, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "use https\n");
        let allow = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allow);
        return response;
    }
    let Some(certificates) = &services.acme else {
        return text(StatusCode::NOT_FOUND, "use https\n");
    };
    let Some(token) = request.uri().path().strip_prefix(CHALLENGES) else {
        return redirect(certificates, services.public_authority(), request);
    };
    match certificates.http_answer(token).await {
        Some(answer) => {
            tracing::info!("answered the challenge http-01 of the ACME server");
            text(StatusCode::OK, answer)
        }
        None => text(StatusCode::NOT_FOUND, "no such challenge is open\n"),
    }
}

/// To the same path over https. Only hosts of the configuration are named; anything else in `Host`
/// becomes the first of them.
fn redirect(
    certificates: &ServerCertificates,
    public: Option<Authority>,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let asked = host(request.uri(), request.headers());
    let named = asked.filter(|host| certificates.has_host(host));
    let first = || Some(certificates.first_host()?.as_str().to_owned());
    let Some(host) = named.or_else(first) else {
        return text(StatusCode::NOT_FOUND, "use https\n");
    };
    // The port of `public_url`, if clients use one that is not https's.
    let authority = match public {
        Some(public) if public.host().eq_ignore_ascii_case(&host) => public.to_string(),
        _ => host,
    };
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let Ok(location) = HeaderValue::try_from(format!("https://{authority}{path}")) else {
        return text(StatusCode::BAD_REQUEST, "use https\n");
    };
    let mut response = text(StatusCode::PERMANENT_REDIRECT, "use https\n");
    response.headers_mut().insert(LOCATION, location);
    response
}

/// The host that a request is for, without its port.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    if let Some(host) = uri.host() {
        return Some(host.to_owned());
    }
    let authority = Authority::try_from(headers.get(HOST)?.as_bytes()).ok()?;
    Some(authority.host().to_owned())
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
