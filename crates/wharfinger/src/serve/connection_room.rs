//! How many connections a listener may have at once.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::client_network;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::request_activity::RequestActivity;
use super::throttled_warning::ThrottledWarning;

/// How soon another idle connection makes room, if the first one did not.
const RETRY: Duration = Duration::from_millis(100);

/// The room of a listener, which it may share with others.
#[derive(Clone)]
pub(super) struct ConnectionRoom {
    permits: Arc<Semaphore>,
    full: Arc<ThrottledWarning>,
    /// Those that make room for new ones when they are idle.
    evictable: Option<Arc<EvictableConnections>>,
}

#[derive(Default)]
struct EvictableConnections(Mutex<Vec<EvictableConnection>>);

struct EvictableConnection {
    peer: Option<IpAddr>,
    activity: Arc<RequestActivity>,
    /// Says whether it has ended.
    task: AbortHandle,
}

impl ConnectionRoom {
    /// When there is no room, a new connection waits until another one ends.
    pub(super) fn waiting(permits: Arc<Semaphore>) -> Self {
        Self {
            permits,
            full: Arc::default(),
            evictable: None,
        }
    }

    /// Room for `limit` connections. When the last place is taken, an idle connection is closed, so that
    /// connections without requests never keep a new one out.
    pub(super) fn evicting(limit: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limit)),
            full: Arc::default(),
            evictable: Some(Arc::default()),
        }
    }

    /// A place. `None` if the server is at its end.
    pub(super) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        let permit = || Arc::clone(&self.permits).acquire_owned();
        loop {
            if let Some(permit) = self.try_acquire() {
                return Some(permit);
            }
            let Some(open) = &self.evictable else {
                self.warn_of_no_room();
                return permit().await.ok();
            };
            open.close_one();
            if let Ok(permit) = timeout(RETRY, permit()).await {
                return permit.ok();
            }
        }
    }

    fn warn_of_no_room(&self) {
        if self.full.is_due() {
            tracing::warn!(
                "as many connections are open as server.limits.connections allows: the next one waits until one of \
                 them ends"
            );
        }
    }

    /// A place, if there is one now.
    pub(super) fn try_acquire(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// A connection has a place: `task` serves it.
    pub(super) fn opened(
        &self,
        peer: Option<IpAddr>,
        activity: Arc<RequestActivity>,
        task: AbortHandle,
    ) {
        if let Some(open) = &self.evictable {
            let peer = peer.map(client_network);
            open.add(EvictableConnection {
                peer,
                activity,
                task,
            });
        }
    }
}

impl EvictableConnections {
    fn add(&self, connection: EvictableConnection) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|connection| !connection.task.is_finished());
        open.push(connection);
    }

    /// Closes a connection without a request, if there is one: of the address that has the most of them,
    /// the one that has been idle longest. One on which a request begins meanwhile is left alone.
    fn close_one(&self) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|connection| !connection.task.is_finished());
        let mut idle: Vec<(Instant, &EvictableConnection)> = open
            .iter()
            .filter_map(|connection| Some((connection.activity.idle_since()?, connection)))
            .collect();
        let mut of_peer: HashMap<Option<IpAddr>, usize> = HashMap::new();
        for (_, connection) in &idle {
            *of_peer.entry(connection.peer).or_default() += 1;
        }
        idle.sort_by_key(|(since, connection)| (Reverse(of_peer.get(&connection.peer)), *since));
        let closed = idle
            .iter()
            .find(|(_, connection)| connection.activity.close_if_idle());
        if let Some((_, connection)) = closed {
            tracing::debug!(
                peer = ?connection.peer,
                "an idle connection was closed to make room for a new one"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::super::request_activity::RequestInProgress;
    use super::*;

    /// A connection from `peer` that stays open until it is closed, and its request has ended.
    fn open(room: &ConnectionRoom, peer: &str) -> (Arc<RequestActivity>, AbortHandle) {
        let permit = room.try_acquire().unwrap();
        let activity = Arc::new(RequestActivity::new());
        let served = Arc::clone(&activity);
        let task = tokio::spawn(async move {
            served.closing().await;
            while !served.is_idle_for(Duration::ZERO) {
                sleep(RETRY).await;
            }
            drop(permit);
        });
        let handle = task.abort_handle();
        room.opened(peer.parse().ok(), Arc::clone(&activity), handle.clone());
        (activity, handle)
    }

    #[tokio::test]
    async fn the_client_with_the_most_idle_connections_makes_room() {
        let room = ConnectionRoom::evicting(4);
        let other = open(&room, "192.0.2.1").1;
        let many: Vec<_> = (0..3).map(|_| open(&room, "192.0.2.2")).collect();
        // The one that has been idle longest has a request now.
        let busy = RequestInProgress::new(Arc::clone(&many[0].0), http::Version::HTTP_11);
        drop(room.acquire().await.unwrap());
        assert!(many[1].1.is_finished());
        assert!(!other.is_finished() && !many[0].1.is_finished() && !many[2].1.is_finished());
        drop(busy);
    }

    #[tokio::test]
    async fn a_connection_with_a_request_is_not_closed() {
        let room = ConnectionRoom::evicting(1);
        let (activity, task) = open(&room, "192.0.2.1");
        let busy = RequestInProgress::new(activity, http::Version::HTTP_11);
        assert!(timeout(3 * RETRY, room.acquire()).await.is_err());
        assert!(!task.is_finished());
        drop(busy);
        drop(room.acquire().await.unwrap());
        assert!(task.is_finished());
    }

    #[tokio::test]
    async fn a_request_that_begins_on_a_closed_connection_ends_and_another_one_makes_room() {
        let room = ConnectionRoom::evicting(2);
        let (closed, other) = (open(&room, "192.0.2.1"), open(&room, "192.0.2.1"));
        room.evictable.as_ref().unwrap().close_one();
        // Its task has the request already.
        let late = RequestInProgress::new(Arc::clone(&closed.0), http::Version::HTTP_11);
        drop(room.acquire().await.unwrap());
        assert!(other.1.is_finished() && !closed.1.is_finished());
        drop(late);
        let both = (room.acquire().await.unwrap(), room.acquire().await.unwrap());
        assert!(closed.1.is_finished());
        drop(both);
    }
}
