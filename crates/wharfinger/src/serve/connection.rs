//! One connection from its handshake to its end, and every deadline on the way.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::field::{DisplayValue, display};

use super::body::{TrackedBody, without_body};
use super::bounded_reads::{BoundedReads, LARGEST_READ, LargeBodies, ReadPhase};
use super::client_stream::ClientStream;
use super::context::Peer;
use super::http2_streams::{StreamExecutor, StreamProgress};
use super::lingering_close::StillSending;
use super::listen::Stream;
use super::mounts::{ListenerRole, Mount};
use super::request_body::RequestBody;
use super::service::empty_response;
use super::services::Services;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a connection that is told to end may take.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// How much of a response waits for one HTTP/2 stream's client, in bytes.
const STREAM_BUFFER: usize = 128 << 10;

/// The response to an HTTP request where TLS is expected, with the words of Go's servers.
const HTTPS_ONLY: &str = "HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 48\r\n\
    Connection: close\r\n\r\n\
    Client sent an HTTP request to an HTTPS server.\n";

/// What every connection shares.
#[derive(Clone)]
pub(super) struct Shared {
    /// The services of the current configuration. A request keeps those that it began with.
    pub(super) services: Arc<arc_swap::ArcSwap<Services>>,
    /// Turns true when the server shuts down.
    pub(super) shutdown: watch::Receiver<bool>,
    /// Which services the listener is for.
    pub(super) role: ListenerRole,
    pub(super) large_bodies: LargeBodies,
}

/// Serves `stream` until either side ends it.
pub(super) async fn serve(mut shared: Shared, stream: Box<dyn Stream>, address: Option<IpAddr>) {
    let services = shared.services.load_full();
    let still_sending = StillSending::default();
    let limit = services.limits.idle_timeout;
    let stream = ClientStream::new(stream, limit, still_sending.clone());
    let peer = Peer {
        address,
        tls: services.tls.is_some(),
    };
    let Some(tls) = &services.tls else {
        return http(shared, stream, peer, still_sending).await;
    };
    let handshake = accept_tls(TlsAcceptor::from(Arc::clone(tls)), stream, &still_sending);
    let handshake = tokio::select! {
        result = timeout(services.limits.request_timeout, handshake) => result,
        // No request has arrived yet.
        () = shutdown(&mut shared.shutdown) => return,
    };
    let peer_address = shown(address);
    match handshake {
        Ok(Ok(Some(stream))) => http(shared, stream, peer, still_sending).await,
        Ok(Ok(None)) => {
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

/// Accepts TLS. A client that sends an HTTP request instead is told so, and there is no stream.
async fn accept_tls<S: AsyncRead + AsyncWrite + Unpin>(
    acceptor: TlsAcceptor,
    mut stream: ClientStream<S>,
    still_sending: &StillSending,
) -> io::Result<Option<TlsStream<ClientStream<S>>>> {
    // A record of TLS begins with a control character (RFC 8446 §5.1), a request with a method.
    if !stream
        .first_byte()
        .await?
        .is_some_and(|byte| byte.is_ascii_uppercase())
    {
        return acceptor.accept(stream).await.map(Some);
    }
    // Its request may be longer than what is read here.
    still_sending.note();
    stream.write_all(HTTPS_ONLY.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(None)
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
            log.request(request.method(), request.uri(), request.headers())
        });
    let (mut head, body) = request.into_parts();
    if let Some(mount) = mount {
        mount.strip_prefix(&mut head.uri, &mut context.origin);
    }
    let reading = is_http1.then(|| connection.reading.clone());
    let (body, unread) = RequestBody::new(body, reading);
    let mut response = match (refusal, service) {
        (Some(status), _) => {
            drop(body);
            empty_response(status)
        }
        (None, Some(service)) => {
            let request = Request::from_parts(head, body);
            service.respond(&context, request).await
        }
        (None, None) => {
            drop(body);
            empty_response(StatusCode::NOT_FOUND)
        }
    };
    if is_http1 {
        let is_read = match waits {
            true => unread.is_empty(),
            false => unread.discard().await,
        };
        connection.reading.end_body();
        if !is_read {
            connection.still_sending.note();
        }
        // The next request of a client should reach another server.
        if !is_read || refusal.is_some() || services.draining.has_begun() {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    } else if !unread.is_empty() {
        tokio::spawn(unread.read_on());
    }
    if let Ok(id) = HeaderValue::try_from(context.request_id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if is_head {
        response = without_body(response);
    }
    let record = access.and_then(|access| {
        let (status, length) = (response.status(), response.body().size_hint().exact());
        services.access_log.record(access, context, status, length)
    });
    response.map(|body| TrackedBody::new(body, StreamProgress::current(), record, kept))
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

async fn http<S>(mut shared: Shared, stream: S, peer: Peer, still_sending: StillSending)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (limits, role) = (shared.services.load().limits.clone(), shared.role);
    let state = ConnectionState {
        still_sending,
        reading: ReadPhase::new(limits.header, shared.large_bodies.clone()),
    };
    let reading = state.reading.clone();
    let io = TokioIo::new(BoundedReads::new(stream, reading.clone()));
    let activity = Arc::new(Activity::new());
    let service = {
        let (services, activity) = (Arc::clone(&shared.services), Arc::clone(&activity));
        service_fn(move |request: Request<Incoming>| {
            let (services, busy) = (services.load_full(), Busy::new(Arc::clone(&activity)));
            let state = state.clone();
            async move {
                let response = respond(services, role, peer, state, request, busy).await;
                Ok::<_, std::convert::Infallible>(response)
            }
        })
    };
    let mut builder = auto::Builder::new(StreamExecutor {
        limit: limits.idle_timeout,
    });
    // hyper counts this from the end of one request to the last header of the next, so it is the
    // idle time, too.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout);
    builder.http1().max_buf_size(LARGEST_READ);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_send_buf_size(STREAM_BUFFER);
    // With the default of 64 KiB, an upload waits for window updates most of the time.
    builder
        .http2()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .max_frame_size(256 << 10);
    builder
        .http2()
        .max_header_list_size(u32::try_from(limits.header).unwrap_or(u32::MAX));
    let mut connection = pin!(builder.serve_connection(io, service));
    let result = loop {
        tokio::select! {
            result = connection.as_mut() => break result,
            () = sleep_until(activity.next_check(limits.idle_timeout)) => {
                if activity.is_idle_for(limits.idle_timeout) {
                    connection.as_mut().graceful_shutdown();
                    break timeout(SHUTDOWN_LIMIT, connection).await.unwrap_or(Ok(()));
                }
            }
            () = shutdown(&mut shared.shutdown) => {
                connection.as_mut().graceful_shutdown();
                break connection.await;
            }
        }
    };
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

/// Returns when the server shuts down.
async fn shutdown(shutdown: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = shutdown.wait_for(|shutdown| *shutdown).await;
}

/// How many requests of a connection are in progress, and since when there is none.
struct Activity {
    began: Instant,
    in_progress: AtomicUsize,
    /// Milliseconds after `began`.
    last_end: AtomicU64,
}

impl Activity {
    #[expect(
        clippy::disallowed_methods,
        reason = "the beginning of a connection, from which tokio's timer counts idle time"
    )]
    fn new() -> Self {
        Self {
            began: Instant::now(),
            in_progress: AtomicUsize::new(0),
            last_end: AtomicU64::new(0),
        }
    }

    /// Whether no request has been in progress for `idle`.
    #[expect(
        clippy::disallowed_methods,
        reason = "idle time is compared with a time of tokio's timer"
    )]
    fn is_idle_for(&self, idle: Duration) -> bool {
        self.in_progress.load(Ordering::Acquire) == 0 && Instant::now() >= self.last_end() + idle
    }

    /// When to ask that again.
    #[expect(
        clippy::disallowed_methods,
        reason = "the next check is a deadline of tokio's timer"
    )]
    fn next_check(&self, idle: Duration) -> Instant {
        match self.in_progress.load(Ordering::Acquire) {
            0 => self.last_end() + idle,
            _ => Instant::now() + idle,
        }
    }

    fn last_end(&self) -> Instant {
        self.began + Duration::from_millis(self.last_end.load(Ordering::Acquire))
    }
}

/// One request in progress. Its end is noted when this is dropped, however it ends.
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: Arc<Activity>) -> Self {
        activity.in_progress.fetch_add(1, Ordering::AcqRel);
        Self(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let elapsed = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_end.store(elapsed, Ordering::Release);
        self.0.in_progress.fetch_sub(1, Ordering::AcqRel);
    }
}
