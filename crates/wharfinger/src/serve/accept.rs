//! The server's sockets, and the connections that they accept.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::connection::{self, Shared};
use super::connection_limit::ConnectionLimit;
use super::connection_room::ConnectionRoom;
use super::listen::{AcceptedConnection, Listener};
use super::mounts::ListenerRole;
use super::request_activity::RequestActivity;
use super::shutdown_phase::ShutdownPhase;
use crate::config::Config;
use crate::failure::Failure;

/// A socket for each address, and the services that it is for. If the registry has an address of
/// its own, the others are for the token server.
pub(super) async fn listeners(config: &Config) -> Result<Vec<(Listener, ListenerRole)>, Failure> {
    let own = config
        .registry
        .as_ref()
        .and_then(|registry| registry.listen.as_ref());
    let common = match own {
        Some(_) if config.token.is_some() => ListenerRole::TokenServer,
        _ => ListenerRole::All,
    };
    let operators = config.server.metrics.as_ref();
    let operators = operators.and_then(|metrics| metrics.listen.as_ref());
    let mut listeners = Vec::new();
    for (listen, role) in config
        .server
        .listen
        .iter()
        .map(|listen| (listen, common))
        .chain(own.map(|own| (own, ListenerRole::Registry)))
        .chain(operators.map(|own| (own, ListenerRole::Operators)))
    {
        listeners.push((Listener::bind(listen).await?, role));
    }
    Ok(listeners)
}

/// Accepts connections while there is room for more, until the server shuts down.
pub(super) async fn accept(
    listener: Listener,
    shared: Shared,
    room: ConnectionRoom,
    per_address: Arc<ConnectionLimit>,
) {
    let mut phases = shared.phases.clone();
    let mut finishing = pin!(ShutdownPhase::Finishing.begun(&mut phases));
    loop {
        let permit = tokio::select! {
            permit = room.acquire() => permit,
            () = finishing.as_mut() => break,
        };
        // The semaphore is never closed.
        let Some(permit) = permit else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = finishing.as_mut() => break,
        };
        match accepted {
            Ok(accepted) => serve(accepted, (&room, permit), &shared, &per_address),
            Err(error) => {
                // Most are the client's. Ours, such as no file descriptors left, need time to pass.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    for waiting in listener.close() {
        if let Some(permit) = room.try_acquire() {
            serve(waiting, (&room, permit), &shared, &per_address);
        }
    }
}

/// Serves a connection in a task of its own.
fn serve(
    (stream, peer): AcceptedConnection,
    (room, permit): (&ConnectionRoom, OwnedSemaphorePermit),
    shared: &Shared,
    per_address: &Arc<ConnectionLimit>,
) {
    let shared = shared.clone();
    // All clients of a trusted proxy share its address.
    let counted = peer.filter(|_| !shared.services.load().context.trusts(peer));
    let Some(counted) = ConnectionLimit::admit(per_address, counted) else {
        return;
    };
    let metrics = shared.services.load().metrics.clone();
    let open = metrics
        .filter(|_| shared.role != ListenerRole::Operators)
        .map(|metrics| metrics.connect());
    let activity = Arc::new(RequestActivity::new());
    let served = Arc::clone(&activity);
    let task = tokio::spawn(async move {
        connection::serve(shared, stream, peer, served).await;
        drop((permit, counted, open));
    });
    room.opened(peer, activity, task.abort_handle());
}
