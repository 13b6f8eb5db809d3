//! The requests of one connection: when it is idle, and when it should end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::Version;
use tokio::sync::{SetOnce, watch};
use tokio::time::{Instant, timeout};

use super::shutdown_phase::ShutdownPhase;

/// How long the client of a new connection may take to send a request when the server shuts down. It
/// has connected because the server still listened, and many clients do not send a request again
/// whose connection was closed.
pub(super) const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Marks a connection as closed, in the number of its requests.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// How many requests of a connection are in progress. Without any, it also knows since when.
pub(super) struct RequestActivity {
    began: Instant,
    /// How many requests are in progress, and [`CLOSED`]. In one number, so that a connection is closed
    /// only while it has no request.
    requests: AtomicUsize,
    /// Milliseconds after `began`.
    last_end: AtomicU64,
    /// The protocol of the first request.
    protocol: SetOnce<Version>,
    /// Set when it is closed.
    closing: SetOnce<()>,
}

impl RequestActivity {
    #[expect(
        clippy::disallowed_methods,
        reason = "the beginning of a connection, from which tokio's timer counts idle time"
    )]
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            requests: AtomicUsize::new(0),
            last_end: AtomicU64::new(0),
            protocol: SetOnce::new(),
            closing: SetOnce::new(),
        }
    }

    /// Whether no request has been in progress for `idle`.
    #[expect(
        clippy::disallowed_methods,
        reason = "idle time is compared with a time of tokio's timer"
    )]
    pub(super) fn is_idle_for(&self, idle: Duration) -> bool {
        self.in_progress() == 0 && Instant::now() >= self.last_end() + idle
    }

    /// Since when no request has been in progress; `None` if one is, or if it is closed.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.requests.load(Ordering::Acquire) == 0).then(|| self.last_end())
    }

    /// Closes the connection if no request is in progress: its task ends it. Returns whether this closed
    /// it. A request that its task has received meanwhile is still answered.
    pub(super) fn close_if_idle(&self) -> bool {
        let closed = self
            .requests
            .compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Acquire);
        if closed.is_ok() {
            let _ = self.closing.set(());
        }
        closed.is_ok()
    }

    /// Returns when the connection is closed.
    pub(super) async fn closing(&self) {
        self.closing.wait().await;
    }

    /// When to ask that again.
    #[expect(
        clippy::disallowed_methods,
        reason = "the next check is a deadline of tokio's timer"
    )]
    pub(super) fn next_check(&self, idle: Duration) -> Instant {
        match self.in_progress() {
            0 => self.last_end() + idle,
            _ => Instant::now() + idle,
        }
    }

    /// Returns when the server is about to end and the connection should take no further requests.
    pub(super) async fn should_end(&self, mut phases: watch::Receiver<ShutdownPhase>) {
        ShutdownPhase::Draining.begun(&mut phases).await;
        // HTTP/2 has GOAWAY (RFC 9113 §6.8). Over HTTP/1.1 each response says `Connection: close`: a
        // connection that is closed while a request is on its way loses that request.
        let over_http2 = async {
            if *self.protocol.wait().await < Version::HTTP_2 {
                std::future::pending::<()>().await;
            }
        };
        let finishing = async {
            ShutdownPhase::Finishing.begun(&mut phases).await;
            let _ = timeout(FIRST_REQUEST, self.protocol.wait()).await;
        };
        tokio::select! {
            () = over_http2 => {}
            () = finishing => {}
        }
    }

    fn in_progress(&self) -> usize {
        self.requests.load(Ordering::Acquire) & !CLOSED
    }

    fn last_end(&self) -> Instant {
        self.began + Duration::from_millis(self.last_end.load(Ordering::Acquire))
    }
}

/// One request in progress. Its end is noted when this is dropped, however it ends.
pub(super) struct RequestInProgress(Arc<RequestActivity>);

impl RequestInProgress {
    pub(super) fn new(activity: Arc<RequestActivity>, protocol: Version) -> Self {
        activity.requests.fetch_add(1, Ordering::AcqRel);
        if !activity.protocol.initialized() {
            let _ = activity.protocol.set(protocol);
        }
        Self(activity)
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        let elapsed = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_end.store(elapsed, Ordering::Release);
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection whose first request, if any, was of this protocol, in this phase: whether it should end by
    /// now.
    async fn should_end(protocol: Option<Version>, phase: ShutdownPhase) -> bool {
        let activity = Arc::new(RequestActivity::new());
        let busy = protocol.map(|protocol| RequestInProgress::new(Arc::clone(&activity), protocol));
        let (phases, phase) = watch::channel(phase);
        let decided = timeout(FIRST_REQUEST / 10, activity.should_end(phase)).await;
        drop((busy, phases));
        decided.is_ok()
    }

    #[tokio::test]
    async fn http2_ends_when_draining_begins_and_http1_after_its_response() {
        use ShutdownPhase::{Draining, Finishing, Serving};
        for (protocol, phase, expected) in [
            (Some(Version::HTTP_2), Serving, false),
            (Some(Version::HTTP_2), Draining, true),
            (Some(Version::HTTP_11), Draining, false),
            (Some(Version::HTTP_11), Finishing, true),
            (None, Draining, false),
            // Its request may be on its way.
            (None, Finishing, false),
        ] {
            let decided = should_end(protocol, phase).await;
            assert_eq!(decided, expected, "{protocol:?} {phase:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_without_a_request_ends_with_its_first_one_or_after_a_time() {
        let activity = Arc::new(RequestActivity::new());
        let (phases, phase) = watch::channel(ShutdownPhase::Finishing);
        activity.should_end(phase.clone()).await;
        let first = async { RequestInProgress::new(Arc::clone(&activity), Version::HTTP_11) };
        let (busy, ()) = tokio::join!(first, activity.should_end(phase));
        drop((busy, phases));
    }
    #[tokio::test]
    async fn a_connection_is_closed_once_and_only_without_a_request() {
        let activity = Arc::new(RequestActivity::new());
        let busy = RequestInProgress::new(Arc::clone(&activity), Version::HTTP_11);
        assert!(!activity.close_if_idle());
        drop(busy);
        assert!(activity.idle_since().is_some() && activity.close_if_idle());
        activity.closing().await;
        // Another connection has to make room next.
        assert!(activity.idle_since().is_none() && !activity.close_if_idle());
        let late = RequestInProgress::new(Arc::clone(&activity), Version::HTTP_11);
        assert!(!activity.is_idle_for(Duration::ZERO));
        drop(late);
        assert!(activity.is_idle_for(Duration::ZERO));
    }
}
