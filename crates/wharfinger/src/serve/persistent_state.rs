//! What stays when the configuration changes: the database, the registry's storage, what was
//! fetched.

use std::sync::Arc;
use std::time::Duration;

use auth::device::DeviceLoginLimits;
use common::{Clock, Entropy, SystemClock, SystemEntropy};
use database::{ClusterSecret, Database, DatabaseLocation, DatabaseOpenError};
use event::Observers;
use identity::SharedFailures;
use traces::SpanExporter;

use super::audit::AuditLog;
use super::certificates::AcmeCertificates;
use super::context::RequestIds;
use super::copied_database::refuse_unfinished_copy;
use super::draining::Draining;
use super::health::HealthChecks;
use super::heartbeat::{Heartbeat, SharedLook};
use super::jwks::JwksFetcher;
use super::known_platforms::KnownPlatforms;
use super::metrics::ServerMetrics;
use super::notifications::Notifications;
use super::observers::observers;
use super::registry_state::{ContentRoot, RegistryState};
use super::request_spans;
use super::scratch_directory::ScratchDirectory;
use super::shared_failures::shared_failures;
use crate::config::Config;
use crate::failure::{FULL_DISK, Failure};

/// How long until a database that was away is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What stays when the configuration changes.
pub(super) struct PersistentState {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) request_ids: Arc<RequestIds>,
    /// What keys are derived from that all servers of the database share.
    pub(super) secret: ClusterSecret,
    /// What counts failed logins for all servers of the database.
    pub(super) failures: Option<Arc<dyn SharedFailures>>,
    pub(super) database: Option<Database>,
    pub(super) registry: Option<RegistryState>,
    /// The audit table, if events are recorded.
    pub(super) audit: Option<AuditLog>,
    /// The notifications of what happens in the registry, if there are endpoints.
    pub(super) notifications: Option<Notifications>,
    /// What is counted, if there are metrics.
    pub(super) metrics: Option<Arc<ServerMetrics>>,
    /// What sends spans, if there are traces.
    pub(super) traces: Option<Arc<SpanExporter>>,
    /// The checks beside the requests.
    pub(super) health: Arc<HealthChecks>,
    /// What both servers tell of each event.
    pub(super) observers: Observers,
    /// The key sets of other token servers.
    pub(super) jwks: Arc<JwksFetcher>,
    /// The keys of platforms whose workloads log in.
    pub(super) platforms: KnownPlatforms,
    /// What is counted of device logins.
    pub(super) device_logins: Arc<DeviceLoginLimits>,
    /// What notes this server in a database that others have, too.
    pub(super) heartbeat: Option<Heartbeat>,
    /// Whether the server was told to end.
    pub(super) draining: Arc<Draining>,
    /// The certificates from an ACME server.
    pub(super) acme: Arc<AcmeCertificates>,
    /// What is stored in a temporary directory.
    _scratch: Option<ScratchDirectory>,
}

impl PersistentState {
    /// Opens what `config` names.
    pub(super) async fn open(
        config: &Config,
        acme: Arc<AcmeCertificates>,
    ) -> Result<Self, Failure> {
        let open = |location: &DatabaseLocation| {
            Database::open_exclusive(location).map_err(|error| cannot_open(&error))
        };
        let scratch = ScratchDirectory::if_needed(config)?;
        let location = scratch.as_ref().map(|scratch| &scratch.database);
        let location = location.or(config.database.as_ref());
        let database = location.map(open).transpose()?;
        let opened = Self::of_database(config, acme, scratch, database.clone()).await;
        if let (Err(_), Some(database)) = (&opened, &database) {
            database.remove_if_new();
        }
        opened
    }

    async fn of_database(
        config: &Config,
        acme: Arc<AcmeCertificates>,
        scratch: Option<ScratchDirectory>,
        database: Option<Database>,
    ) -> Result<Self, Failure> {
        let mut secret = None;
        if let Some(database) = &database {
            secret = shared_secret(database).await?;
            refuse_unfinished_copy(database).await?;
        }
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let secret = match secret {
            Some(secret) => secret,
            None => ClusterSecret::random(entropy.as_ref())?,
        };
        let registry = match (&config.registry, &database) {
            (Some(section), Some(database)) => {
                let scratch = scratch.as_ref().map(ScratchDirectory::content);
                let root = scratch.or_else(|| ContentRoot::of(&section.storage));
                let entropy = Arc::clone(&entropy);
                Some(RegistryState::open(section, root, database, &secret, entropy).await?)
            }
            _ => None,
        };
        let heartbeat = match &database {
            Some(database) => {
                let shared = registry.as_ref().and_then(|state| state.shared.clone());
                let looks = shared.map(|metadata| SharedLook {
                    metadata,
                    period: config.look,
                });
                Heartbeat::new(database, &secret, entropy.as_ref(), looks)?
            }
            None => None,
        };
        let request_ids = RequestIds::new(entropy.as_ref())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let audit = match (&config.audit, &database) {
            (Some(section), Some(database)) => {
                let database = database.clone();
                Some(AuditLog::open(section, database, &clock, entropy.as_ref()).await?)
            }
            _ => None,
        };
        let notifications = match (&config.notifications, &database) {
            (Some(settings), Some(database)) => {
                let database = database.clone();
                let made = Notifications::new(settings, config, database, &clock, &entropy)?;
                Some(made)
            }
            _ => None,
        };
        let storage = registry.as_ref().map(|registry| &registry.storage);
        let health = HealthChecks::new(config, storage)?;
        let metrics = config.server.metrics.as_ref();
        let metrics = metrics
            .filter(|metrics| metrics.is_enabled)
            .map(|metrics| Arc::new(ServerMetrics::new(metrics.names, &clock)));
        let traces = request_spans::exporter(&clock, &entropy);
        let mut device_logins = DeviceLoginLimits::new(&clock, entropy.as_ref())?;
        let failures = shared_failures(database.as_ref());
        if let Some(failures) = &failures {
            let per_client = secret.derive("wrong user codes of a client");
            let together = secret.derive("wrong user codes");
            device_logins = device_logins.counting_together([&per_client, &together], failures);
        }
        Ok(Self {
            clock,
            device_logins: Arc::new(device_logins),
            platforms: KnownPlatforms::default(),
            request_ids: Arc::new(request_ids),
            entropy,
            secret,
            failures,
            database,
            registry,
            observers: observers(audit.as_ref(), notifications.as_ref(), metrics.as_ref()),
            health: Arc::new(health),
            metrics,
            traces,
            audit,
            notifications,
            jwks: Arc::default(),
            heartbeat,
            draining: Arc::default(),
            acme,
            _scratch: scratch,
        })
    }
}

/// Waits for the database, and reads the secret that its servers share; `None` if it has one server.
async fn shared_secret(database: &Database) -> Result<Option<ClusterSecret>, Failure> {
    loop {
        let ready = database.ready().await;
        let secret = match ready {
            Ok(()) => database.cluster_secret().await,
            Err(error) => Err(error),
        };
        match secret {
            Ok(secret) => return Ok(secret),
            Err(error) if error.may_pass() && !matches!(error, database::Error::Schema(_)) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the database cannot be used yet");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                return Err(Failure::system("cannot open the database").caused_by(&error));
            }
        }
    }
}

fn cannot_open(error: &DatabaseOpenError) -> Failure {
    let failure = Failure::system("cannot open the database").caused_by(error);
    match error {
        DatabaseOpenError::InUse(_) => failure.hint(
            "stop the other server; `wharfinger registry` and `wharfinger sessions` work while it runs",
        ),
        // The message says what to do.
        DatabaseOpenError::Damaged { .. }
        | DatabaseOpenError::Newer { .. }
        | DatabaseOpenError::NotWritable { .. } => failure,
        _ if error.is_full() => failure.hint(FULL_DISK),
        _ => failure.hint("the path is database.url (in a file of registry:2: wharfinger.database.url)"),
    }
}
