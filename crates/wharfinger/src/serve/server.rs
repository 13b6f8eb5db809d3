//! The server from its start to its end: sockets, reload, signals.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use database::DatabaseLocation;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::accept::{accept, listeners};
use super::bounded_reads::LargeBodies;
use super::collection::CollectionObservers;
use super::connection::Shared;
use super::connection_limit::ConnectionLimit;
use super::file_access::report_unusable_files;
use super::persistent_state::PersistentState;
use super::reload::Reloader;
use super::services::Services;
use crate::config::{self, LoadedConfig};
use crate::failure::Failure;
use crate::log::{self, Log};

/// What the command line says of the log. The configuration says the rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogOverrides {
    pub(crate) level: Option<tracing::Level>,
    pub(crate) folder: Option<std::path::PathBuf>,
    /// Whether lines go to a file only.
    pub(crate) no_stderr: bool,
}

/// Runs the servers that the file at `path` configures, until a signal ends them.
pub(crate) fn run(path: &Path, overrides: LogOverrides) -> Result<ExitCode, Failure> {
    let loaded = config::load(path).map_err(|diagnostics| {
        Failure::usage(format!(
            "the configuration is wrong, so the server was not started\n{diagnostics}"
        ))
        .hint(format!(
            "`wharfinger check {}` says the same without starting",
            path.display()
        ))
    })?;
    let settings = log::LogSettings {
        level: overrides.level.unwrap_or(loaded.config.server.log.level),
        format: loaded.config.server.log.format,
        stderr: !overrides.no_stderr,
        folder: overrides.folder,
    };
    let _log = Log::start(&settings)?;
    for warning in &loaded.warnings {
        warning.log();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("cannot start the runtime").caused_by(&error))?;
    let result = runtime.block_on(serve(path, loaded));
    // No request waits for a password verification that still runs in a thread of its own.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(path: &Path, loaded: LoadedConfig) -> Result<ExitCode, Failure> {
    let no_signals =
        |error: std::io::Error| Failure::system("cannot take signals").caused_by(&error);
    let mut hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    let mut end_signals = EndSignals::new().map_err(no_signals)?;
    let config = &loaded.config;
    let has_shared_database = config
        .database
        .as_ref()
        .is_some_and(DatabaseLocation::is_postgres);
    let opened = match has_shared_database {
        false => Some(PersistentState::open(config).await?),
        true => None,
    };
    let services = match &opened {
        Some(persistent) => Services::new(config, persistent, None)?,
        None => Services::waiting(config)?,
    };
    let services = Arc::new(ArcSwap::from_pointee(services));
    let listeners = listeners(&loaded.config).await?;
    let (shutdown, is_shutdown) = watch::channel(false);
    let permits = loaded.config.server.limits.connections;
    let connections = Arc::new(Semaphore::new(permits));
    let per_address = loaded.config.server.limits.connections_per_address;
    let per_address = Arc::new(ConnectionLimit::new(per_address));
    let large_bodies = LargeBodies::default();
    let mut tasks = JoinSet::new();
    let scheme = if services.load().tls.is_some() {
        "https"
    } else {
        "http"
    };
    for (listener, role) in listeners {
        tracing::info!(address = listener.address(), scheme, "listening");
        let shared = Shared {
            services: Arc::clone(&services),
            shutdown: is_shutdown.clone(),
            role,
            large_bodies: large_bodies.clone(),
        };
        let (connections, per_address) = (Arc::clone(&connections), Arc::clone(&per_address));
        tasks.spawn(accept(listener, shared, connections, per_address));
    }
    let mut persistent = match opened {
        Some(persistent) => persistent,
        None => {
            let persistent = tokio::select! {
                opened = PersistentState::open(&loaded.config) => opened?,
                () = end_signals.next() => return Ok(ExitCode::SUCCESS),
            };
            services.store(Arc::new(Services::new(&loaded.config, &persistent, None)?));
            persistent
        }
    };
    let observers = CollectionObservers {
        observers: persistent.observers.clone(),
        clock: Arc::clone(&persistent.clock),
    };
    if let (Some(state), Some(section)) = (&mut persistent.registry, &loaded.config.registry) {
        tasks.spawn(state.background_tasks(section.collection, observers));
    }
    if let Some(audit) = &persistent.audit {
        let registry = persistent.registry.as_ref();
        let storage = registry.map(|state| state.storage.clone());
        tasks.spawn(audit.clone().run(storage));
    }
    let audit = persistent.audit.clone();
    tasks.spawn(Arc::clone(&persistent.jwks).run());
    tasks.spawn(report_unusable_files(loaded.config.registry.as_ref()));
    let heartbeat = persistent.heartbeat.clone();
    if let Some(heartbeat) = &heartbeat {
        heartbeat.has_configuration(&loaded);
        tasks.spawn(heartbeat.clone().run());
    }
    let draining = Arc::clone(&persistent.draining);
    let mut reloader = Reloader::new(path, loaded, Arc::clone(&services), persistent);
    loop {
        let why = tokio::select! {
            _ = hangup.recv() => "SIGHUP",
            () = reloader.changed() => "a file changed",
            () = end_signals.next() => break,
        };
        // A file may be slow to read, or never end (a named pipe). Signals work all the same.
        tokio::select! {
            () = reloader.reload(why) => {}
            () = end_signals.next() => break,
        }
    }
    // Requests are still answered, until balancers have seen that there should be no more.
    draining.begin();
    let drain = services.load().drain;
    if !drain.is_zero() {
        tracing::info!(
            seconds = drain.as_secs(),
            "draining: /readyz is 503, and requests are still taken; signal again to stop now"
        );
        tokio::select! {
            () = tokio::time::sleep(drain) => {}
            () = end_signals.next() => return Ok(stopped_at_once()),
        }
    }
    // No new connections; those that are open finish their requests.
    tasks.shutdown().await;
    let grace = services.load().limits.shutdown_timeout;
    tracing::info!(
        seconds = grace.as_secs(),
        "shutting down: waiting for open requests; signal again to stop now"
    );
    let _ = shutdown.send(true);
    let all = u32::try_from(permits).unwrap_or(u32::MAX);
    tokio::select! {
        _ = connections.acquire_many(all) => tracing::info!("stopped"),
        () = tokio::time::sleep(grace) => {
            tracing::warn!(seconds = grace.as_secs(), "stopped: some requests took too long and were aborted");
        }
        () = end_signals.next() => return Ok(stopped_at_once()),
    }
    if let Some(audit) = audit {
        audit.finish().await;
    }
    if let Some(heartbeat) = heartbeat {
        heartbeat.end().await;
    }
    Ok(ExitCode::SUCCESS)
}

fn stopped_at_once() -> ExitCode {
    tracing::warn!("stopped at once: open requests were aborted");
    ExitCode::SUCCESS
}

/// The signals that stop the server.
struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl EndSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns at the next of them.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
