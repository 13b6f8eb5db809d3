//! HTTP on one connection, until either side ends it.
//!
//! A connection is ended by its own task, which also begins its requests. So a request that has begun is
//! answered, even if the connection was closed for another one at the same moment.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use super::body::TrackedBody;
use super::bounded_reads::LARGEST_READ;
use super::http2_streams::StreamExecutor;
use super::request_activity::{RequestActivity, RequestInProgress};
use super::service::BoxError;
use super::shutdown_phase::ShutdownPhase;

/// How long a connection that is closed may stay without a request.
const CLOSING_LIMIT: Duration = Duration::from_secs(5);

/// How much of a response waits for one HTTP/2 stream's client, in bytes.
const STREAM_BUFFER: usize = 128 << 10;

/// How long a connection may stay, and what its requests may have.
pub(super) struct ConnectionBounds {
    /// How long it may stay without a request, and a client may pause while it reads.
    pub(super) idle: Duration,
    /// How long it may stay without a request after it was closed. A client of HTTP/2 may still send
    /// some, until it learns of that.
    closing: Duration,
    /// The largest head of a request, in bytes.
    pub(super) header: usize,
}

impl ConnectionBounds {
    pub(super) fn new(idle: Duration, header: usize) -> Self {
        Self {
            idle,
            closing: CLOSING_LIMIT,
            header,
        }
    }
}

/// Lets `respond` respond to the requests that come over `stream`, until either side ends the connection. It
/// begins each in `activity` when it is called.
pub(super) async fn serve<S, R, F>(
    stream: S,
    bounds: &ConnectionBounds,
    activity: &RequestActivity,
    mut phases: watch::Receiver<ShutdownPhase>,
    respond: R,
) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    R: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<TrackedBody<RequestInProgress>>> + Send + 'static,
{
    let builder = builder(bounds);
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut should_end = pin!(activity.should_end(phases.clone()));
    let (mut is_ending, mut is_closed) = (false, false);
    loop {
        tokio::select! {
            result = connection.as_mut() => return result,
            () = sleep_until(activity.next_check(bounds.idle)), if !is_ending => {
                if activity.is_idle_for(bounds.idle) {
                    activity.close_if_idle();
                }
            }
            () = activity.closing(), if !is_closed => {
                connection.as_mut().graceful_shutdown();
                (is_ending, is_closed) = (true, true);
            }
            () = should_end.as_mut(), if !is_ending => {
                connection.as_mut().graceful_shutdown();
                is_ending = true;
            }
            () = sleep(bounds.closing), if is_closed => {
                if activity.is_idle_for(bounds.closing) {
                    return Ok(());
                }
            }
            () = ShutdownPhase::Aborting.begun(&mut phases) => return Ok(()),
        }
    }
}

fn builder(bounds: &ConnectionBounds) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(StreamExecutor { limit: bounds.idle });
    // hyper counts this from the end of one request to the last header of the next, so it is the
    // idle time, too.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.idle);
    builder.http1().max_buf_size(LARGEST_READ);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_send_buf_size(STREAM_BUFFER);
    // With the default of 64 KiB, an upload waits for window updates most of the time. What a slow store
    // has not taken waits in memory, as much as the window of its stream.
    builder
        .http2()
        .initial_stream_window_size(2 << 20)
        .initial_connection_window_size(8 << 20)
        .max_frame_size(256 << 10);
    builder
        .http2()
        .max_header_list_size(u32::try_from(bounds.header).unwrap_or(u32::MAX));
    builder
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::header::CONNECTION;
    use http_body_util::{BodyExt, Empty, Full};
    use hyper::client::conn::{http1, http2};
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::super::body::SentResponse;
    use super::super::http2_streams::StreamProgress;
    use super::super::service::whole;
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    /// Longer than any test should take.
    const LONG: Duration = Duration::from_secs(60);

    /// What happens to a connection at the moment when a request begins.
    #[derive(Clone, Copy)]
    enum AtBegin {
        Stays,
        IsClosed,
    }

    /// A connection whose requests are answered after several times what a closed one may be idle. Its
    /// client, its activity and its end.
    fn connection(at_begin: AtBegin) -> (DuplexStream, Arc<RequestActivity>, JoinHandle<bool>) {
        let (near, far) = duplex(64 << 10);
        let activity = Arc::new(RequestActivity::new());
        let served = Arc::clone(&activity);
        let task = tokio::spawn(async move {
            let bounds = ConnectionBounds {
                closing: SHORT,
                ..ConnectionBounds::new(LONG, 32 << 10)
            };
            let (_phases, phase) = watch::channel(ShutdownPhase::Serving);
            let closing = Arc::clone(&served);
            let respond = move |request: Request<Incoming>| {
                if let AtBegin::IsClosed = at_begin {
                    assert!(closing.close_if_idle());
                }
                answer(RequestInProgress::new(
                    Arc::clone(&closing),
                    request.version(),
                ))
            };
            serve(near, &bounds, &served, phase, respond).await.is_ok()
        });
        (far, activity, task)
    }

    async fn answer(busy: RequestInProgress) -> Response<TrackedBody<RequestInProgress>> {
        sleep(5 * SHORT).await;
        let sent = SentResponse {
            record: None,
            measured: None,
            _span: None,
            _kept: busy,
        };
        let response = whole(Response::new(Full::from("all of it")));
        response.map(|body| TrackedBody::new(body, StreamProgress::current(), sent))
    }

    fn request() -> Request<Empty<Bytes>> {
        let request = Request::get("http://registry.example/v2/");
        request
            .header("host", "registry.example")
            .body(Empty::new())
            .unwrap()
    }

    async fn body(response: Response<Incoming>) -> Bytes {
        response.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_request_that_has_begun_is_answered_before_its_connection_ends() {
        let (far, activity, task) = connection(AtBegin::IsClosed);
        let (mut client, driver) = http1::handshake(TokioIo::new(far)).await.unwrap();
        let driver = tokio::spawn(driver);
        let response = client.send_request(request()).await.unwrap();
        assert_eq!(response.headers()[CONNECTION], "close");
        assert_eq!(body(response).await, "all of it");
        assert!(timeout(LONG, task).await.unwrap().unwrap());
        driver.await.unwrap().unwrap();
        assert!(!activity.close_if_idle(), "it is closed");

        let (far, _, task) = connection(AtBegin::IsClosed);
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(far));
        let (mut client, driver) = handshake.await.unwrap();
        tokio::spawn(driver);
        let response = client.send_request(request()).await.unwrap();
        assert_eq!(body(response).await, "all of it");
        assert!(timeout(LONG, task).await.unwrap().unwrap());
    }

    #[tokio::test]
    async fn an_idle_connection_that_is_closed_ends_without_a_byte() {
        let (far, activity, task) = connection(AtBegin::Stays);
        let (mut client, driver) = http1::handshake(TokioIo::new(far)).await.unwrap();
        let driver = tokio::spawn(driver);
        let response = client.send_request(request()).await.unwrap();
        assert_eq!(body(response).await, "all of it");
        // The request has ended when the server has sent all of it, which the client may see before.
        while !activity.close_if_idle() {
            sleep(SHORT).await;
        }
        assert!(timeout(LONG, task).await.unwrap().unwrap());
        driver.await.unwrap().unwrap();

        // A head that does not arrive is not waited for.
        let (mut far, activity, task) = connection(AtBegin::Stays);
        far.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        sleep(SHORT).await;
        assert!(activity.close_if_idle());
        timeout(LONG, task).await.unwrap().unwrap();
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    }
}
