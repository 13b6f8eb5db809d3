//! One connection from its handshake to its end, and every deadline on the way.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Origin, RequestContext};
use http::header::HeaderValue;
use http::{HeaderName, Method, Request, Response, StatusCode, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::body::{ResponseBody, TrackedBody, without_body};
use super::context::Peer;
use super::http2_streams::{StreamExecutor, StreamProgress};
use super::listen::Stream;
use super::services::Services;
use super::write_timeout::WriteTimeout;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a connection that is told to end may take to say goodbye.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// What every connection shares.
#[derive(Clone)]
pub(super) struct Shared {
    /// What is configured now; a request takes what is current when it arrives and keeps it to its
    /// end.
    pub(super) services: Arc<arc_swap::ArcSwap<Services>>,
    /// Turns true when the server is to end.
    pub(super) ending: watch::Receiver<bool>,
    /// Who answers here.
    pub(super) serves: Serves,
}

/// Which servers answer at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// Every one that is configured.
    All,
    TokenServer,
    Registry,
}

/// Serves `stream` until either side ends it.
pub(super) async fn serve(mut shared: Shared, stream: Box<dyn Stream>, peer: Option<IpAddr>) {
    let services = shared.services.load_full();
    let stream = WriteTimeout::new(stream, services.limits.idle_timeout);
    let other_end = Peer {
        address: peer,
        tls: services.tls.is_some(),
    };
    let Some(tls) = &services.tls else {
        return http(shared, TokioIo::new(stream), other_end).await;
    };
    let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
    let shaken = tokio::select! {
        shaken = timeout(services.limits.request_timeout, handshake) => shaken,
        // Nothing was asked for yet.
        () = ended(&mut shared.ending) => return,
    };
    match shaken {
        Ok(Ok(stream)) => http(shared, TokioIo::new(stream), other_end).await,
        Ok(Err(error)) => tracing::debug!(%error, ?peer, "a TLS handshake failed"),
        Err(_) => tracing::debug!(?peer, "a TLS handshake took too long"),
    }
}

/// The answer of whichever server has this address: the registry has `/v2` and what is under it.
async fn respond(
    services: &Services,
    serves: Serves,
    context: &RequestContext,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let is_api = is_api(request.uri().path());
    let token_server = services
        .token_server
        .as_ref()
        .filter(|_| serves != Serves::Registry);
    let registry = services
        .registry
        .as_ref()
        .filter(|_| serves != Serves::TokenServer);
    match (token_server, registry) {
        (Some(token_server), None) => token_server
            .respond(context, request)
            .await
            .map(Either::Left),
        (Some(token_server), Some(_)) if !is_api => token_server
            .respond(context, request)
            .await
            .map(Either::Left),
        (_, Some(registry)) => registry.respond(context, request).await.map(Either::Right),
        // A new configuration took away what this address was for.
        (None, None) => not_found(),
    }
}

fn not_found() -> Response<ResponseBody> {
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

/// Whether a path is the registry's API.
fn is_api(path: &str) -> bool {
    path.strip_prefix("/v2")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Takes `registry.path_prefix` off a request to the API, whose responses name paths with it.
/// False if the request leaves it out.
fn without_prefix(prefix: &str, request: &mut Request<Incoming>, origin: &mut Origin) -> bool {
    if prefix.is_empty() {
        return true;
    }
    let uri = request.uri();
    let Some(rest) = uri.path().strip_prefix(prefix).filter(|rest| is_api(rest)) else {
        return !is_api(uri.path());
    };
    let target = match uri.query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = target.parse().ok();
    let Ok(uri) = Uri::from_parts(parts) else {
        return false;
    };
    *request.uri_mut() = uri;
    origin.prefix.push_str(prefix);
    true
}

async fn http<I>(mut shared: Shared, io: I, peer: Peer)
where
    I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (limits, serves) = (shared.services.load().limits.clone(), shared.serves);
    let activity = Arc::new(Activity::new());
    let service = {
        let (services, activity) = (Arc::clone(&shared.services), Arc::clone(&activity));
        service_fn(move |mut request: Request<Incoming>| {
            let (services, busy) = (services.load_full(), Busy::new(Arc::clone(&activity)));
            async move {
                let is_head = request.method() == Method::HEAD;
                let mut context = services.context.resolve(
                    peer,
                    request.uri(),
                    request.headers(),
                    services.request_ids.next(),
                );
                let prefix = &services.registry_prefix;
                let mut answer = if without_prefix(prefix, &mut request, &mut context.origin) {
                    respond(&services, serves, &context, request).await
                } else {
                    not_found()
                };
                if let Ok(id) = HeaderValue::try_from(context.request_id) {
                    answer.headers_mut().insert(REQUEST_ID, id);
                }
                let answer = if is_head {
                    without_body(answer)
                } else {
                    answer
                };
                Ok::<_, std::convert::Infallible>(
                    answer.map(|body| TrackedBody::new(body, StreamProgress::current(), busy)),
                )
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
    builder.http1().max_buf_size(limits.header);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100);
    // With the usual 64 KiB an upload waits for the other side's permission to go on most of the
    // time.
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
            () = sleep_until(activity.next_look(limits.idle_timeout)) => {
                if activity.is_quiet_for(limits.idle_timeout) {
                    connection.as_mut().graceful_shutdown();
                    break timeout(SHUTDOWN_LIMIT, connection).await.unwrap_or(Ok(()));
                }
            }
            () = ended(&mut shared.ending) => {
                connection.as_mut().graceful_shutdown();
                break connection.await;
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = error.as_ref() as &dyn std::error::Error, peer = ?peer.address, "a connection ended in an error");
    }
}

/// Returns when the server is to end.
async fn ended(ending: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = ending.wait_for(|ending| *ending).await;
}

/// How many requests a connection has under way, and since when it has none.
struct Activity {
    began: Instant,
    under_way: AtomicUsize,
    /// Milliseconds after `began`.
    last_end: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            under_way: AtomicUsize::new(0),
            last_end: AtomicU64::new(0),
        }
    }

    /// Whether there has been nothing under way for `idle`.
    fn is_quiet_for(&self, idle: Duration) -> bool {
        self.under_way.load(Ordering::Acquire) == 0 && Instant::now() >= self.last_end() + idle
    }

    /// When it is worth asking that again.
    fn next_look(&self, idle: Duration) -> Instant {
        match self.under_way.load(Ordering::Acquire) {
            0 => self.last_end() + idle,
            _ => Instant::now() + idle,
        }
    }

    fn last_end(&self) -> Instant {
        self.began + Duration::from_millis(self.last_end.load(Ordering::Acquire))
    }
}

/// One request under way; its end is noted when this is dropped, however it ends.
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: Arc<Activity>) -> Self {
        activity.under_way.fetch_add(1, Ordering::AcqRel);
        Self(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let elapsed = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_end.store(elapsed, Ordering::Release);
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}
