//! The notifications of a running server.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Entropy};
use database::Database;
use event::{Event, Observer};
use notifications::{
    DeliveryStore, EndpointNames, NotificationSettings, NotificationStatistics, Notifier,
};
use registry::OutboxWriter;
use storage::{Duty, NewOutboxRecord, Storage};

use super::outbox_kind::OutboxKind;
use crate::config::Config;
use crate::failure::Failure;

/// Notifications in the outbox.
const OUTBOX: OutboxKind = OutboxKind {
    name: "notification",
    batch: 200,
};
/// How often the outbox is looked at for what another server has stored.
const POLL: Duration = Duration::from_secs(1);
/// How long a change waits for others: they are taken over together.
const GATHERING: Duration = Duration::from_millis(30);
/// How long it waits if others came shortly before it.
const LONG_GATHERING: Duration = Duration::from_millis(100);
/// One of several servers delivers what is stored. If it stops, another one begins after this time.
const DELIVERY: Duty = Duty {
    name: "notifications",
    every: Duration::ZERO,
    lease: Duration::from_secs(15),
};
/// How often a server that does not deliver asks whether it should.
const TURN: Duration = Duration::from_secs(5);

/// The notifications of this server.
#[derive(Clone)]
pub(super) struct Notifications(Arc<Notifier>);

/// Makes the records that are stored with a push or a deletion.
struct NotificationOutbox(Arc<Notifier>);

impl Notifications {
    /// Those of the registry that `config` configures, whose table is in `database`.
    pub(super) fn new(
        settings: &NotificationSettings,
        config: &Config,
        database: Database,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Self, Failure> {
        let store = DeliveryStore::new(database);
        let (clock, entropy) = (Arc::clone(clock), Arc::clone(entropy));
        let notifier = Notifier::new(settings.clone(), source(config), store, clock, entropy);
        let notifier = notifier
            .map_err(|error| Failure::system("notifications cannot be sent").caused_by(&error))?;
        Ok(Self(Arc::new(notifier)))
    }

    /// What makes notifications of events.
    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.0) as Arc<dyn Observer>
    }

    /// What stores notifications with changes of the registry.
    pub(super) fn outbox(&self) -> Arc<dyn OutboxWriter> {
        Arc::new(NotificationOutbox(Arc::clone(&self.0)))
    }

    /// The endpoints that are told.
    pub(super) fn endpoint_names(&self) -> EndpointNames {
        self.0.endpoint_names()
    }

    /// What was counted since the start.
    pub(super) fn statistics(&self) -> NotificationStatistics {
        self.0.statistics()
    }

    /// Delivers notifications until the server ends.
    pub(super) async fn run(self, registry: Storage) {
        let stored = async {
            loop {
                let delivers = self.deliver_stored(&registry);
                if let Err(error) = registry.in_turn(DELIVERY, delivers).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "notifications are not delivered for the moment");
                }
                tokio::time::sleep(TURN).await;
            }
        };
        tokio::join!(self.0.deliver_queued(), stored);
    }

    /// Stores what is only in memory, when no request can come any more.
    pub(super) async fn finish(&self) {
        self.0.finish().await;
    }

    /// Delivers what is stored, without end.
    async fn deliver_stored(&self, registry: &Storage) -> Result<(), storage::Error> {
        tokio::join!(self.0.deliver_stored(), self.take_over_again(registry));
        pending().await
    }

    /// Queues the records of the outbox. A crash queues none twice, because each keeps its number.
    async fn take_over_again(&self, registry: &Storage) {
        let mut is_failing = false;
        loop {
            let queue = |notifications| self.0.take_over(notifications);
            let taken = OUTBOX.take_over(registry, queue).await;
            if let Err(error) = &taken
                && !is_failing
            {
                let error = error.as_ref() as &dyn std::error::Error;
                tracing::error!(error, "notifications of pushes cannot be queued: they wait");
            }
            is_failing = taken.is_err();
            let gathering = match taken {
                Ok(0) | Err(_) => GATHERING,
                Ok(_) => LONG_GATHERING,
            };
            let has_changed = match is_failing {
                true => {
                    tokio::time::sleep(POLL).await;
                    false
                }
                false => tokio::time::timeout(POLL, self.0.changed()).await.is_ok(),
            };
            if has_changed {
                tokio::time::sleep(gathering).await;
            }
        }
    }
}

impl OutboxWriter for NotificationOutbox {
    fn records(&self, events: &[Event<'_>]) -> Vec<NewOutboxRecord> {
        let notifications = match self.0.stored_with(events) {
            Ok(notifications) => notifications,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a notification cannot be made");
                return Vec::new();
            }
        };
        let notifications = notifications.iter();
        notifications
            .map(|notification| OUTBOX.record(notification))
            .collect()
    }
}

/// The name of this machine, and the port on which the server listens.
fn source(config: &Config) -> String {
    let machine = rustix::system::uname();
    let name = machine.nodename().to_string_lossy().into_owned();
    let mut listen = config.server.listen.iter();
    let address = listen.find_map(|address| address.tcp());
    let address = address.map(ToString::to_string).unwrap_or_default();
    match address.rsplit_once(':') {
        Some((_, port)) => format!("{name}:{port}"),
        None => name,
    }
}
