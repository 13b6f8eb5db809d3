//! The server from its start to its end: sockets, reload, signals. What runs beside the requests is in
//! `background_tasks`, and how the server ends is in `server_end`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use common::SystemClock;
use database::DatabaseLocation;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::accept::{accept, listeners};
use super::background_tasks;
use super::bounded_reads::LargeBodies;
use super::certificates::AcmeCertificates;
use super::challenge_listener;
use super::connection::Shared;
use super::connection_limit::ConnectionLimit;
use super::connection_room::ConnectionRoom;
use super::listen::Listener;
use super::mounts::ListenerRole;
use super::persistent_state::PersistentState;
use super::reload::Reloader;
use super::server_end::{EndSignals, LastWrites, ServerEnd};
use super::services::Services;
use super::shutdown_phase::ShutdownPhase;
use crate::config::{self, Config, LoadedConfig};
use crate::failure::Failure;
use crate::log::{self, Log};

/// How long a server of several waits for its database before it listens. Meanwhile a balancer asks
/// another server; one that listens can only say that it is not ready.
const BEFORE_LISTENING: Duration = Duration::from_secs(5);

/// How many connections the address of operators may have at once.
const OPERATOR_CONNECTIONS: usize = 64;

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
    let log = &loaded.config.server.log;
    // What the command line says counts more than the file.
    let folder = overrides.folder.map(|folder| folder.join("wharfinger.log"));
    let settings = log::LogSettings {
        level: overrides.level.unwrap_or(log.level),
        format: log.format,
        stderr: !overrides.no_stderr && (folder.is_some() || log.file.is_none()),
        file: folder.or_else(|| log.file.clone()),
        access_file: log.access_file.clone(),
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
    let acme = Arc::new(AcmeCertificates::new(Arc::new(SystemClock)));
    acme.configure(config, None).await?;
    let mut opening = Box::pin(PersistentState::open(config, Arc::clone(&acme)));
    let opened = match has_shared_database {
        false => Some(opening.as_mut().await?),
        true => tokio::select! {
            opened = timeout(BEFORE_LISTENING, opening.as_mut()) => opened.ok().transpose()?,
            () = end_signals.next() => return Ok(ExitCode::SUCCESS),
        },
    };
    let services = match &opened {
        Some(persistent) => Services::new(config, persistent, None)?,
        None => Services::waiting(config, &acme)?,
    };
    if let Some(persistent) = &opened {
        acme.configure(config, persistent.database.as_ref()).await?;
    }
    let services = Arc::new(ArcSwap::from_pointee(services));
    let (phases, phase) = watch::channel(ShutdownPhase::Serving);
    let permits = config.server.limits.connections;
    let connections = Arc::new(Semaphore::new(permits));
    let accepting = accept_connections(config, &services, &phase, &connections).await?;
    let mut tasks = JoinSet::new();
    if let Some(listener) = bind_challenge_listener(config).await? {
        tasks.spawn(challenge_listener::serve(listener, Arc::clone(&services)));
    }
    acme.begin();
    let mut persistent = match opened {
        Some(persistent) => persistent,
        None => {
            let persistent = tokio::select! {
                opened = opening.as_mut() => opened?,
                () = end_signals.next() => return Ok(ExitCode::SUCCESS),
            };
            services.store(Arc::new(Services::new(config, &persistent, None)?));
            acme.configure(config, persistent.database.as_ref()).await?;
            persistent
        }
    };
    drop(opening);
    background_tasks::spawn(&mut tasks, &mut persistent, &loaded, &services);
    let end = ServerEnd {
        phases,
        connections,
        permits: u32::try_from(permits).unwrap_or(u32::MAX),
        storage: persistent
            .registry
            .as_ref()
            .map(|state| state.storage.clone()),
        draining: Arc::clone(&persistent.draining),
        accepting,
        tasks,
        last_writes: LastWrites::of(&persistent),
    };
    let mut reloader = Reloader::new(path, loaded, Arc::clone(&services), persistent);
    loop {
        let why = tokio::select! {
            _ = hangup.recv() => {
                log::reopen();
                "SIGHUP"
            }
            () = reloader.changed() => "a file changed",
            () = end_signals.next() => break,
        };
        // A file may be slow to read, or never end (a named pipe). Signals work all the same.
        tokio::select! {
            () = reloader.reload(why) => {}
            () = end_signals.next() => break,
        }
    }
    Ok(end.run(&services, end_signals).await)
}

/// Listens on each address, and accepts connections there until the server ends.
async fn accept_connections(
    config: &Config,
    services: &Arc<ArcSwap<Services>>,
    phase: &watch::Receiver<ShutdownPhase>,
    connections: &Arc<Semaphore>,
) -> Result<JoinSet<()>, Failure> {
    let per_address = ConnectionLimit::new(config.server.limits.connections_per_address);
    let per_address = Arc::new(per_address);
    let large_bodies = LargeBodies::default();
    let scheme = match services.load().tls {
        Some(_) => "https",
        None => "http",
    };
    let mut accepting = JoinSet::new();
    for (listener, role) in listeners(config).await? {
        tracing::info!(address = listener.address(), scheme, "listening");
        let shared = Shared {
            services: Arc::clone(services),
            phases: phase.clone(),
            role,
            large_bodies: large_bodies.clone(),
        };
        let room = match role {
            // Operators must be able to look when there is no room for clients.
            ListenerRole::Operators => ConnectionRoom::evicting(OPERATOR_CONNECTIONS),
            _ => ConnectionRoom::waiting(Arc::clone(connections)),
        };
        let per_address = Arc::clone(&per_address);
        accepting.spawn(accept(listener, shared, room, per_address));
    }
    Ok(accepting)
}

/// Listens for the challenges of an ACME server, if `config` has an address for them.
async fn bind_challenge_listener(config: &Config) -> Result<Option<Listener>, Failure> {
    let letsencrypt = config.server.letsencrypt.as_ref();
    let Some(address) = letsencrypt.and_then(|section| section.http_addr.as_ref()) else {
        return Ok(None);
    };
    let listener = Listener::bind(address).await.map_err(|failure| {
        failure.hint(
            "the address is server.letsencrypt.http_addr: choose one that is free, with a port \
             above 1023 to which port 80 is forwarded, or grant the program CAP_NET_BIND_SERVICE",
        )
    })?;
    tracing::info!(
        address = listener.address(),
        scheme = "http",
        "listening for the challenges of the ACME server; everything else is sent to https"
    );
    Ok(Some(listener))
}
