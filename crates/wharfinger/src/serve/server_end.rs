//! How a server ends: the phases of its shutdown, and what is written at last.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use storage::{PullTimes, Storage};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use traces::SpanExporter;

use super::audit::AuditLog;
use super::draining::Draining;
use super::heartbeat::Heartbeat;
use super::notifications::Notifications;
use super::persistent_state::PersistentState;
use super::request_spans;
use super::services::Services;
use super::shutdown_phase::ShutdownPhase;

/// How long aborted requests may take to release their uploads, and how long after a second signal.
const CLEANUP: Duration = Duration::from_secs(5);
const HASTY_CLEANUP: Duration = Duration::from_secs(1);

/// What is needed to end the server.
pub(super) struct ServerEnd {
    pub(super) phases: watch::Sender<ShutdownPhase>,
    pub(super) connections: Arc<Semaphore>,
    /// How many connections there can be.
    pub(super) permits: u32,
    pub(super) storage: Option<Storage>,
    pub(super) draining: Arc<Draining>,
    /// What accepts connections.
    pub(super) accepting: JoinSet<()>,
    /// What runs beside the requests.
    pub(super) tasks: JoinSet<()>,
    pub(super) last_writes: LastWrites,
}

impl ServerEnd {
    /// Ends the server, phase by phase. One more of `signals` ends it at once.
    pub(super) async fn run(
        mut self,
        services: &ArcSwap<Services>,
        mut signals: EndSignals,
    ) -> ExitCode {
        // Requests are still answered, until balancers have seen that there should be no more.
        self.draining.begin();
        let drain = services.load().drain;
        if !drain.is_zero() {
            self.begin(ShutdownPhase::Draining);
            tracing::info!(
                seconds = drain.as_secs(),
                "draining: /readyz is 503, and requests are still taken; signal again to stop now"
            );
            tokio::select! {
                () = tokio::time::sleep(drain) => {}
                () = signals.next() => return self.at_once().await,
            }
        }
        // No new connections; those that are open finish their requests.
        self.begin(ShutdownPhase::Finishing);
        while self.accepting.join_next().await.is_some() {}
        self.tasks.shutdown().await;
        let grace = services.load().limits.shutdown_timeout;
        tracing::info!(
            seconds = grace.as_secs(),
            "shutting down: waiting for open requests; signal again to stop now"
        );
        tokio::select! {
            () = self.connections_ended() => tracing::info!("stopped"),
            () = tokio::time::sleep(grace) => {
                tracing::warn!(seconds = grace.as_secs(), "stopped: some requests took too long and were aborted");
            }
            () = signals.next() => return self.at_once().await,
        }
        self.abort(CLEANUP).await;
        self.last_writes.finish().await;
        ExitCode::SUCCESS
    }

    fn begin(&self, phase: ShutdownPhase) {
        self.phases.send_replace(phase);
    }

    async fn connections_ended(&self) {
        // The semaphore is never closed.
        let _ = self.connections.acquire_many(self.permits).await;
    }

    /// Aborts the requests that are open, and lets other servers continue their uploads. Returns after
    /// `limit` at the latest.
    async fn abort(&self, limit: Duration) {
        self.begin(ShutdownPhase::Aborting);
        let ended = async {
            self.connections_ended().await;
            if let Some(storage) = &self.storage {
                storage.uploads_released().await;
            }
        };
        if timeout(limit, ended).await.is_err() {
            tracing::warn!(
                "uploads of aborted requests were not released: other servers wait until their leases end"
            );
        }
    }

    async fn at_once(&self) -> ExitCode {
        tracing::warn!("stopped at once: open requests were aborted");
        self.abort(HASTY_CLEANUP).await;
        ExitCode::SUCCESS
    }
}

/// What is written when no request can come any more.
pub(super) struct LastWrites {
    audit: Option<AuditLog>,
    notifications: Option<Notifications>,
    traces: Option<Arc<SpanExporter>>,
    /// The times of pulls, and the storage that has them.
    pulls: Option<(PullTimes, Storage)>,
    heartbeat: Option<Heartbeat>,
}

impl LastWrites {
    pub(super) fn of(persistent: &PersistentState) -> Self {
        let registry = persistent.registry.as_ref();
        Self {
            audit: persistent.audit.clone(),
            notifications: persistent.notifications.clone(),
            traces: persistent.traces.clone(),
            pulls: registry.map(|state| (state.pulls.clone(), state.storage.clone())),
            heartbeat: persistent.heartbeat.clone(),
        }
    }

    async fn finish(self) {
        if let Some(audit) = self.audit {
            audit.finish().await;
        }
        if let Some(notifications) = self.notifications {
            notifications.finish().await;
        }
        if let Some(traces) = self.traces {
            request_spans::finish(&traces).await;
        }
        if let Some((pulls, storage)) = self.pulls
            && let Err(error) = pulls.flush(&storage).await
        {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the last pull times could not be recorded");
        }
        if let Some(heartbeat) = self.heartbeat {
            heartbeat.end().await;
        }
    }
}

/// The signals that stop the server.
pub(super) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl EndSignals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns at the next of them.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
