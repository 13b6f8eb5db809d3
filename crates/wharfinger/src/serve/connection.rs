//! One connection from its handshake to its end, and every deadline on the way.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use common::RequestContext;
use http::header::{CONNECTION, EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use traces::{ActiveSpan, in_span};
use tracing::field::{DisplayValue, display};

use super::body::{SentResponse, TrackedBody, without_body};
use super::bounded_reads::{BoundedReads, LargeBodies, ReadPhase};
use super::client_stream::ClientStream;
use super::context::Peer;
use super::handshake::{HandshakeOutcome, accept_tls};
use super::health::unhealthy;
use super::http_connection::{self, ConnectionBounds};
use super::http2_streams::StreamProgress;
use super::lingering_close::StillSending;
use super::listen::Stream;
use super::mounts::{ListenerRole, Mount};
use super::request_activity::{FIRST_REQUEST, RequestActivity, RequestInProgress};
use super::request_body::{RequestBody, UnreadBody};
use super::request_spans;
use super::service::{ResponseBody, Service, empty_response};
use super::services::Services;
use super::shutdown_phase::ShutdownPhase;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every connection shares.
#[derive(Clone)]
pub(super) struct Shared {
    /// The services of the current configuration. A request keeps those that it began with.
    pub(super) services: Arc<arc_swap::ArcSwap<Services>>,
    /// How far the server is on its way to its end.
    pub(super) phases: watch::Receiver<ShutdownPhase>,
    /// Which services the listener is for.
    pub(super) role: ListenerRole,
    pub(super) large_bodies: LargeBodies,
}

/// Serves `stream` until either side ends it.
pub(super) async fn serve(
    mut shared: Shared,
    stream: Box<dyn Stream>,
    address: Option<IpAddr>,
    activity: Arc<RequestActivity>,
) {
    let services = shared.services.load_full();
    let still_sending = StillSending::default();
    let limit = services.limits.idle_timeout;
    let stream = ClientStream::new(stream, limit, still_sending.clone());
    let peer = Peer {
        address,
        tls: services.tls.is_some() && shared.role.has_tls(),
    };
    let tls = services.tls.as_ref().filter(|_| shared.role.has_tls());
    let Some(tls) = tls else {
        return http(shared, stream, peer, still_sending, activity).await;
    };
    let (tls, acme) = (Arc::clone(tls), services.acme.clone());
    let handshake = accept_tls(tls, acme, stream, &still_sending);
    let handshake = tokio::select! {
        result = timeout(services.limits.request_timeout, handshake) => result,
        () = handshake_is_late(&mut shared.phases) => return,
        () = activity.closing() => return,
    };
    let peer_address = shown(address);
    match handshake {
        Ok(Ok(HandshakeOutcome::Tls(stream))) => {
            http(shared, stream, peer, still_sending, activity).await;
        }
        Ok(Ok(HandshakeOutcome::Challenge)) => {}
        Ok(Ok(HandshakeOutcome::PlainRequest)) => {
            tracing::debug!(
                peer = peer_address,
                "a client sent an HTTP request to a port that takes TLS only"
            );
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, peer = peer_address, "a TLS handshake failed");
        }
        Err(_) => tracing::debug!(peer = peer_address, "a TLS handshake took too long"),
    }
}

/// Returns when the server shuts down and a client has had the time for its handshake.
async fn handshake_is_late(phases: &mut watch::Receiver<ShutdownPhase>) {
    ShutdownPhase::Finishing.begun(phases).await;
    sleep(FIRST_REQUEST).await;
}

/// An address as the log shows it.
fn shown(address: Option<IpAddr>) -> Option<DisplayValue<IpAddr>> {
    address.map(|address| display(address.to_canonical()))
}

/// What the requests of a connection tell its stream.
#[derive(Clone)]
struct ConnectionState {
    still_sending: StillSending,
    reading: ReadPhase,
}

impl ConnectionState {
    /// Reads what a request of HTTP/1 has left, unless its client `waits` for permission to send. Returns
    /// whether another request can follow.
    async fn end_body(&self, unread: UnreadBody, waits: bool) -> bool {
        let is_read = match waits {
            true => unread.is_empty(),
            false => unread.discard().await,
        };
        self.reading.end_body();
        if !is_read {
            self.still_sending.note();
        }
        is_read
    }
}

/// Responds to one request of a connection; `kept` is dropped when the response has been sent.
async fn respond<K: Unpin>(
    services: Arc<Services>,
    role: ListenerRole,
    peer: Peer,
    connection: ConnectionState,
    request: Request<Incoming>,
    kept: K,
) -> Response<TrackedBody<K>> {
    let mut context = services.context.resolve(
        peer,
        request.uri(),
        request.headers(),
        services.request_ids.next(),
    );
    let is_head = request.method() == Method::HEAD;
    let is_http1 = request.version() < Version::HTTP_2;
    let refusal = is_http1
        .then(|| http1_refusal(request.version(), request.headers()))
        .flatten();
    // A client that waits for permission to send (RFC 9110 §10.1.1) need not have sent anything.
    let waits = request.headers().contains_key(EXPECT);
    let mount = services.mounts.find(role, request.uri().path());
    let service = mount.and_then(Mount::service);
    let access = service
        .filter(|service| service.has_access_log())
        .and_then(|_| {
            let log = &services.access_log;
            let (uri, version) = (request.uri(), request.version());
            log.request(request.method(), uri, version, request.headers())
        });
    let (mut head, body) = request.into_parts();
    if let Some(mount) = mount {
        mount.strip_prefix(&mut head.uri, &mut context.origin);
    }
    let handler = service.and_then(|service| service.measured(head.uri.path()));
    let mut measured = services
        .metrics
        .as_ref()
        .and_then(|metrics| metrics.begin(handler?, &head.method, &head.uri, &head.headers));
    let span = services
        .tracer
        .as_ref()
        .and_then(|tracer| request_spans::begin(tracer, handler, &head, &context));
    let reading = is_http1.then(|| connection.reading.clone());
    let (body, unread) = RequestBody::new(body, reading);
    let mut response = match (refusal, service) {
        (Some(status), _) => {
            drop(body);
            empty_response(status)
        }
        (None, Some(service)) => {
            let request = Request::from_parts(head, body);
            service_response(&services, service.as_ref(), &context, request, span.clone()).await
        }
        (None, None) => {
            drop(body);
            empty_response(StatusCode::NOT_FOUND)
        }
    };
    if is_http1 {
        let is_read = connection.end_body(unread, waits).await;
        // The next request of a client should reach another server.
        if !is_read || refusal.is_some() || services.draining.has_begun() {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    } else if !unread.is_empty() {
        tokio::spawn(unread.read_on());
    }
    let id = HeaderValue::try_from(context.request_id.as_str()).ok();
    let trace_id = span.as_ref().and_then(request_spans::trace_id);
    if let Some(span) = &span {
        request_spans::respond(span, response.status());
    }
    if let Some(measured) = &mut measured {
        measured.responds(response.status(), id.clone(), trace_id.clone());
    }
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if is_head {
        response = without_body(response);
    }
    let record = access.and_then(|access| {
        let (status, length) = (response.status(), response.body().size_hint().exact());
        services
            .access_log
            .record(access, context, trace_id, status, length)
    });
    let sent = SentResponse {
        record,
        measured,
        _span: span,
        _kept: kept,
    };
    response.map(|body| TrackedBody::new(body, StreamProgress::current(), sent))
}

/// What a service responds to a request within its span. If it needs the server's health, and that fails, it
/// is not asked.
async fn service_response(
    services: &Services,
    service: &dyn Service,
    context: &RequestContext,
    request: Request<RequestBody>,
    span: Option<ActiveSpan>,
) -> Response<ResponseBody> {
    if service.needs_health() && services.health.is_failing() {
        return unhealthy();
    }
    let response = service.respond(context, request);
    match span {
        Some(span) => in_span(span, response).await,
        None => response.await,
    }
}

/// The status that refuses a request of HTTP/1 whatever its path is.
fn http1_refusal(version: Version, headers: &HeaderMap) -> Option<StatusCode> {
    if version == Version::HTTP_11 && !has_one_host(headers) {
        return Some(StatusCode::BAD_REQUEST);
    }
    // hyper reads `gzip, chunked` as `chunked`. RFC 9112 §6.1: a coding that the server does not
    // decode is answered with 501.
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_decoded = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    (!is_decoded).then_some(StatusCode::NOT_IMPLEMENTED)
}

/// Whether there is one `Host`, and it is a host (RFC 9112 §3.2).
fn has_one_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let host = first.filter(|_| second.is_none());
    host.is_some_and(|host| {
        host.is_empty()
            || Authority::try_from(host.as_bytes()).is_ok_and(|it| !it.as_str().contains('@'))
    })
}

async fn http<S>(
    shared: Shared,
    stream: S,
    peer: Peer,
    still_sending: StillSending,
    activity: Arc<RequestActivity>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (limits, role) = (shared.services.load().limits.clone(), shared.role);
    let state = ConnectionState {
        still_sending,
        reading: ReadPhase::new(limits.header, shared.large_bodies.clone()),
    };
    let reading = state.reading.clone();
    let bounds = ConnectionBounds::new(limits.idle_timeout, limits.header);
    let stream = BoundedReads::new(stream, reading.clone());
    let (services, phases) = (Arc::clone(&shared.services), shared.phases.clone());
    let begun = Arc::clone(&activity);
    let respond = move |request: Request<Incoming>| {
        let busy = RequestInProgress::new(Arc::clone(&begun), request.version());
        respond(
            services.load_full(),
            role,
            peer,
            state.clone(),
            request,
            busy,
        )
    };
    let result = http_connection::serve(stream, &bounds, &activity, phases, respond).await;
    if let Err(error) = result {
        let (error, peer) = (error.as_ref() as &dyn Error, shown(peer.address));
        if reading.began_with_tls() {
            tracing::debug!(
                peer,
                "a client began a TLS handshake on a port without TLS, as docker does to find out \
                 whether there is TLS"
            );
        } else {
            tracing::debug!(error, peer, "a connection ended with an error");
        }
    }
}
