//! How far a server is on its way to its end.

use tokio::sync::watch;

/// How far a server is on its way to its end. A later phase includes the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ShutdownPhase {
    /// It goes on.
    Serving,
    /// Clients are told to use other connections, which balancers open to other servers. New
    /// connections are still taken.
    Draining,
    /// No new connections. Open requests are finished.
    Finishing,
    /// Open requests are aborted.
    Aborting,
}

impl ShutdownPhase {
    /// Returns when this phase has begun.
    pub(super) async fn begun(self, phases: &mut watch::Receiver<Self>) {
        // A sender that is gone means the same.
        let _ = phases.wait_for(|phase| *phase >= self).await;
    }
}
