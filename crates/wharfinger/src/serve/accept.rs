//! The server's sockets, and the connections that they accept.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::connection::{self, Shared};
use super::connection_limit::ConnectionLimit;
use super::listen::Listener;
use super::mounts::ListenerRole;
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
    let mut listeners = Vec::new();
    for (listen, role) in config
        .server
        .listen
        .iter()
        .map(|listen| (listen, common))
        .chain(own.map(|own| (own, ListenerRole::Registry)))
    {
        listeners.push((Listener::bind(listen).await?, role));
    }
    Ok(listeners)
}

/// Accepts connections while there is room for more.
pub(super) async fn accept(
    listener: Listener,
    shared: Shared,
    room: Arc<Semaphore>,
    per_address: Arc<ConnectionLimit>,
) {
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let shared = shared.clone();
                // All clients of a trusted proxy share its address.
                let counted = peer.filter(|_| !shared.services.load().context.trusts(peer));
                let Some(counted) = ConnectionLimit::admit(&per_address, counted) else {
                    continue;
                };
                tokio::spawn(async move {
                    connection::serve(shared, stream, peer).await;
                    drop((permit, counted));
                });
            }
            Err(error) => {
                // Most are the client's. Ours, such as no file descriptors left, need time to pass.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
