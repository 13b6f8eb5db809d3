//! The notifications of one server: queued, and delivered to each endpoint.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use common::{Clock, Entropy, EntropyError};
use event::{Event, EventKind, Observer};
use tokio::sync::Notify;

use crate::conversion::{Conversion, tag_of};
use crate::endpoint_delivery::EndpointDelivery;
use crate::envelope::event_text;
use crate::event_ids::EventIds;
use crate::store::{NewDelivery, milliseconds};
use crate::{
    DeliveryStore, EndpointClientError, EndpointNames, Notification, NotificationAction,
    NotificationSettings, NotificationStatistics, SourceRecord,
};

/// How often what is too old or too much is removed from the table.
const MAINTENANCE: Duration = Duration::from_secs(10);

/// Tells endpoints of what happens in a registry.
///
/// It is an observer of events. Of changes to manifests and tags it makes notifications that are
/// stored with the change ([`stored_with`](Self::stored_with)) and come back from there
/// ([`take_over`](Self::take_over)); all others wait in memory, in a queue of each endpoint.
pub struct Notifier {
    conversion: Conversion,
    endpoints: Vec<Arc<EndpointDelivery>>,
    store: DeliveryStore,
    settings: NotificationSettings,
    clock: Arc<dyn Clock>,
    ids: EventIds,
    changed: Notify,
}

/// Why there are no notifications.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// An endpoint cannot be asked.
    #[error("notifications.endpoints: {name} cannot be used")]
    Endpoint {
        /// Its name.
        name: String,
        /// Why.
        source: EndpointClientError,
    },
    /// The system has no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl Notifier {
    /// The notifications of a server at `addr`, the name of its machine with its port.
    ///
    /// # Errors
    /// When an endpoint's client cannot be set up, or the system has no randomness.
    pub fn new(
        settings: NotificationSettings,
        addr: String,
        store: DeliveryStore,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, NotifierError> {
        let ids = EventIds::new(entropy);
        let source = SourceRecord {
            addr: addr.into(),
            instance_id: ids.next()?.into(),
        };
        let mut endpoints = Vec::with_capacity(settings.endpoints.len());
        for endpoint in &settings.endpoints {
            let delivery = EndpointDelivery::new(endpoint, &settings, &store, &clock);
            let delivery = delivery.map_err(|source| NotifierError::Endpoint {
                name: endpoint.name.clone(),
                source,
            })?;
            endpoints.push(Arc::new(delivery));
        }
        Ok(Self {
            conversion: Conversion {
                source,
                include_references: settings.include_references,
            },
            endpoints,
            store,
            settings,
            clock,
            ids,
            changed: Notify::new(),
        })
    }

    /// The notifications that must be stored with a change of which `events` tell. Those of a push with
    /// several tags are one for each tag.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn stored_with<'e>(
        &'e self,
        events: &'e [Event<'e>],
    ) -> Result<Vec<Notification<'e>>, EntropyError> {
        let mut notifications = Vec::new();
        for event in events.iter().filter(|event| is_stored(&event.kind)) {
            if !self.is_wanted(&event.kind) {
                continue;
            }
            let Some(first) = self.conversion.notification(event) else {
                continue;
            };
            let more = more_tags(event, events).map(|tag| {
                let mut tagged = first.clone();
                tagged.target.tag = tag.into();
                tagged
            });
            let more: Vec<_> = more.collect();
            for mut notification in std::iter::once(first).chain(more) {
                notification.id = self.ids.next()?.into();
                notifications.push(notification);
            }
        }
        Ok(notifications)
    }

    /// Queues notifications that were stored with their changes, each with the number under which it
    /// was. One that is queued already is not queued again.
    ///
    /// # Errors
    /// When they cannot be queued; then none is.
    pub async fn take_over(
        &self,
        stored: Vec<(i64, Notification<'static>)>,
    ) -> Result<(), database::Error> {
        let mut deliveries = Vec::new();
        for (number, notification) in &stored {
            for endpoint in self.accepting(notification) {
                deliveries.push(NewDelivery::new(
                    endpoint.name(),
                    notification,
                    Some(*number),
                ));
            }
        }
        let now = milliseconds(self.clock.now());
        self.store.insert(deliveries, now).await?;
        for (_, notification) in &stored {
            for endpoint in self.accepting(notification) {
                endpoint.counters.events.fetch_add(1, Relaxed);
                endpoint.counters.stored.fetch_add(1, Relaxed);
            }
        }
        for endpoint in &self.endpoints {
            endpoint.wake();
        }
        Ok(())
    }

    /// Returns when this server has stored something since the last call, or at once if it has.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Delivers what is in the table, without end. Of several servers, one at a time does that.
    pub async fn deliver_stored(&self) {
        let names = self.settings.endpoints.iter();
        let names = names.map(|endpoint| endpoint.name.clone()).collect();
        let now = milliseconds(self.clock.now());
        match self.store.set_others_aside(names, now).await {
            Ok(0) => {}
            Ok(notifications) => tracing::warn!(
                notifications,
                "notifications for endpoints that the configuration does not have were set aside"
            ),
            Err(error) => log_failure(&error),
        }
        let mut tasks = tokio::task::JoinSet::new();
        for endpoint in &self.endpoints {
            let endpoint = Arc::clone(endpoint);
            tasks.spawn(async move { endpoint.deliver_stored().await });
        }
        loop {
            for endpoint in &self.endpoints {
                if let Err(error) = endpoint.maintain(self.settings.queue).await {
                    log_failure(&error);
                }
            }
            if let Err(error) = self.prune().await {
                log_failure(&error);
            }
            tokio::time::sleep(MAINTENANCE).await;
        }
    }

    /// Delivers what is in the memory of this server, without end.
    pub async fn deliver_queued(&self) {
        let mut tasks = tokio::task::JoinSet::new();
        for endpoint in &self.endpoints {
            let endpoint = Arc::clone(endpoint);
            tasks.spawn(async move { endpoint.deliver_queued().await });
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Stores what is only in memory, when no more requests come.
    pub async fn finish(&self) {
        let mut deliveries = Vec::new();
        for endpoint in &self.endpoints {
            for notification in endpoint.queue.take() {
                deliveries.push(NewDelivery::new(endpoint.name(), &notification, None));
            }
        }
        if deliveries.is_empty() {
            return;
        }
        let count = deliveries.len();
        let now = milliseconds(self.clock.now());
        if let Err(error) = self.store.insert(deliveries, now).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                notifications = count,
                "notifications of pulls and blobs are lost: they cannot be stored for the next start"
            );
        }
    }

    /// The endpoints that are told.
    #[must_use]
    pub fn endpoint_names(&self) -> EndpointNames {
        EndpointNames::of(&self.settings)
    }

    /// What was counted since the start.
    #[must_use]
    pub fn statistics(&self) -> NotificationStatistics {
        let endpoints = self.endpoints.iter();
        NotificationStatistics {
            endpoints: endpoints.map(|endpoint| endpoint.statistics()).collect(),
        }
    }

    async fn prune(&self) -> Result<(), database::Error> {
        let end = self.clock.now().checked_sub(self.settings.keep);
        let end = end.map_or(0, milliseconds);
        while self.store.prune(end, self.settings.queue).await? {}
        Ok(())
    }

    /// Whether an endpoint gets notifications of such events.
    fn is_wanted(&self, kind: &EventKind<'_>) -> bool {
        let Some((action, media_type)) = Conversion::outline(kind) else {
            return false;
        };
        let mut endpoints = self.endpoints.iter();
        endpoints.any(|endpoint| endpoint.filter.accepts(action, media_type))
    }

    fn accepting<'a>(
        &'a self,
        notification: &Notification<'a>,
    ) -> impl Iterator<Item = &'a EndpointDelivery> {
        let endpoints = self.endpoints.iter().map(AsRef::as_ref);
        let (action, media_type) = (notification.action, notification.target.media_type.clone());
        endpoints.filter(move |endpoint: &&EndpointDelivery| {
            endpoint.filter.accepts(action, &media_type)
        })
    }
}

impl Observer for Notifier {
    fn observe(&self, event: &Event<'_>) {
        if is_stored(&event.kind) {
            self.changed.notify_one();
            return;
        }
        if !self.is_wanted(&event.kind) {
            return;
        }
        let Some(mut notification) = self.conversion.notification(event) else {
            return;
        };
        // An event without an id is better than no event.
        notification.id = self.ids.next().unwrap_or_default().into();
        let is_pull = notification.action == NotificationAction::Pull;
        let text = event_text(&notification);
        for endpoint in self.accepting(&notification) {
            endpoint.enqueue(&text, is_pull);
        }
    }
}

/// Whether the notification of an event is stored in the transaction of its change.
fn is_stored(kind: &EventKind<'_>) -> bool {
    matches!(
        kind,
        EventKind::ManifestPushed(_)
            | EventKind::ManifestDeleted { .. }
            | EventKind::TagDeleted { .. }
            | EventKind::TagRemovedByRetention { .. }
    )
}

/// The tags of a push besides its reference: those that it moved.
fn more_tags<'a>(event: &'a Event<'_>, all: &'a [Event<'_>]) -> impl Iterator<Item = String> + 'a {
    let named = match &event.kind {
        EventKind::ManifestPushed(manifest) => Some(tag_of(manifest.reference)),
        _ => None,
    };
    all.iter().filter_map(move |other| match &other.kind {
        EventKind::TagMoved { tag, .. } if named.is_some_and(|named| named != tag.as_str()) => {
            Some(tag.as_str().to_owned())
        }
        _ => None,
    })
}

fn log_failure(error: &database::Error) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "the table of notifications cannot be tidied up");
}
