//! Delivery to one endpoint.
//!
//! An endpoint gets one request at a time from each server, as Distribution's do. It has its own
//! queues, so one that is slow or dead holds up no other.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use common::{Clock, with_causes};
use tokio::sync::{Mutex, Notify};

use crate::backoff::FailureBackoff;
use crate::client::{DeliveryError, EndpointClient};
use crate::envelope::{EnvelopeBody, event_text};
use crate::queue::{MAX_BODY, MAX_EVENTS, MemoryQueue};
use crate::statistics::EndpointCounters;
use crate::store::{DeliveryAttempt, PendingDelivery, milliseconds};
use crate::{
    DeliveryState, DeliveryStore, EndpointClientError, EndpointSettings, EndpointStatistics,
    EventBatching, NotificationFilter, NotificationSettings,
};

/// How many notifications are read from the table at once. A crash in between sends these again.
const BATCH: u32 = 100;

/// How long events in memory wait for others, to share a request.
const GATHERING: Duration = Duration::from_millis(100);

/// How often the table is looked at for what another server, or a command, has queued.
const POLL: Duration = Duration::from_secs(1);

/// How long to wait after the table could not be read or written.
const PAUSE: Duration = Duration::from_secs(1);

/// An endpoint, and what waits for it.
pub(crate) struct EndpointDelivery {
    name: String,
    pub(crate) filter: NotificationFilter,
    client: EndpointClient,
    /// Held during an attempt, so that there is one at a time.
    backoff: Mutex<FailureBackoff>,
    pub(crate) queue: MemoryQueue,
    pub(crate) counters: EndpointCounters,
    store: DeliveryStore,
    batching: EventBatching,
    /// Whether the endpoint has rejected the body of a request with several events.
    wants_single_events: AtomicBool,
    give_up: Duration,
    arrived: Notify,
    clock: Arc<dyn Clock>,
}

impl EndpointDelivery {
    pub(crate) fn new(
        endpoint: &EndpointSettings,
        settings: &NotificationSettings,
        store: &DeliveryStore,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, EndpointClientError> {
        let backoff = FailureBackoff::new(endpoint.threshold, endpoint.backoff);
        Ok(Self {
            name: endpoint.name.clone(),
            filter: endpoint.filter.clone(),
            client: EndpointClient::new(endpoint, &settings.tls, settings.secret.clone())?,
            backoff: Mutex::new(backoff),
            queue: MemoryQueue::new(settings.memory_queue, queued_at_once(settings.batching)),
            counters: EndpointCounters::default(),
            store: store.clone(),
            batching: settings.batching,
            wants_single_events: AtomicBool::new(false),
            give_up: settings.give_up,
            arrived: Notify::new(),
            clock: Arc::clone(clock),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Puts the text of an event into the queue in memory, or counts it as lost.
    pub(crate) fn enqueue(&self, event: &[u8], is_pull: bool) {
        let counter = match self.queue.push(event, is_pull) {
            true => &self.counters.events,
            false => &self.counters.dropped,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Has the table looked at now.
    pub(crate) fn wake(&self) {
        self.arrived.notify_one();
    }

    pub(crate) fn statistics(&self) -> EndpointStatistics {
        self.counters.read(&self.name, self.queue.len())
    }

    /// Delivers what is in memory, without end.
    pub(crate) async fn deliver_queued(&self) {
        loop {
            let request = self.queue.first(GATHERING).await;
            match self.attempt(request.body, request.events).await {
                Ok(_) => self.queue.remove(),
                Err(error) if request.events > 1 && error.rejects_body() => self.queue.split(),
                // It is the first one still.
                Err(_) => {}
            }
        }
    }

    /// Delivers what is in the table in its order, without end.
    pub(crate) async fn deliver_stored(&self) {
        loop {
            match self.store.pending(self.name.clone(), BATCH).await {
                Ok(batch) if batch.is_empty() => {
                    let _ = tokio::time::timeout(POLL, self.arrived.notified()).await;
                }
                Ok(batch) => {
                    let records = self.deliver(batch).await;
                    self.record(records).await;
                }
                Err(error) => {
                    log_failure(&error, "the table of notifications cannot be read");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Sends notifications up to the first that is not accepted, and returns what became of them.
    async fn deliver(&self, batch: Vec<PendingDelivery>) -> Vec<DeliveryAttempt> {
        let mut records = Vec::with_capacity(batch.len());
        let mut rest = batch.as_slice();
        while let Some(first) = rest.first() {
            // What is tried for the last time must not take others with it.
            let is_single = self.is_over(first)
                || self.batching != EventBatching::All
                || self.wants_single_events.load(Relaxed);
            let limit = if is_single { 1 } else { MAX_EVENTS };
            let Some((body, events)) = request(rest, limit) else {
                let error = "what is stored cannot be read".to_owned();
                records.push(first.record(DeliveryState::Failed, None, Some(error)));
                rest = &rest[1..];
                continue;
            };
            let (sent, later) = rest.split_at(events);
            match self.attempt(body, events).await {
                Ok(status) => {
                    let delivered = DeliveryState::Delivered;
                    let record = |one: &PendingDelivery| one.record(delivered, Some(status), None);
                    records.extend(sent.iter().map(record));
                    rest = later;
                }
                // Perhaps it accepts them one by one.
                Err(error) if events > 1 && error.rejects_body() => {
                    self.wants_single_events.store(true, Relaxed);
                }
                Err(error) => {
                    records.extend(sent.iter().map(|pending| {
                        let state = match events == 1 && self.is_over(pending) {
                            true => DeliveryState::Failed,
                            false => DeliveryState::Pending,
                        };
                        pending.record(state, error.status(), Some(with_causes(&error)))
                    }));
                    // Those that were accepted are noted now, and the rest keeps its order.
                    break;
                }
            }
        }
        records
    }

    /// Whether a notification has been tried for long enough.
    fn is_over(&self, pending: &PendingDelivery) -> bool {
        let give_up = i64::try_from(self.give_up.as_millis()).unwrap_or(i64::MAX);
        let age = milliseconds(self.clock.now()).saturating_sub(pending.queued_at);
        age >= give_up
    }

    /// Writes what became of notifications, however long that takes: they must not be sent again.
    async fn record(&self, records: Vec<DeliveryAttempt>) {
        let is = |state| move |record: &&DeliveryAttempt| record.state == state;
        let done = records
            .iter()
            .filter(|record| record.state != DeliveryState::Pending);
        let done = done.count() as u64;
        let set_aside = records.iter().filter(is(DeliveryState::Failed)).count() as u64;
        if set_aside > 0 {
            self.counters.given_up.fetch_add(set_aside, Relaxed);
            tracing::error!(
                endpoint = self.name,
                notifications = set_aside,
                "a notification could not be delivered in its time and was set aside: see `wharfinger notifications list --failed`"
            );
        }
        loop {
            let now = milliseconds(self.clock.now());
            match self.store.record(records.clone(), now).await {
                Ok(()) => break,
                Err(error) => {
                    log_failure(&error, "the table of notifications cannot be written");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        let left = |stored: u64| Some(stored.saturating_sub(done));
        let _ = self.counters.stored.fetch_update(Relaxed, Relaxed, left);
    }

    /// Keeps the number of those that wait within `limit`, and counts them.
    pub(crate) async fn maintain(&self, limit: usize) -> Result<(), database::Error> {
        let waiting = self.store.count_pending(self.name.clone()).await?;
        self.counters.stored.store(waiting, Relaxed);
        if waiting <= limit as u64 {
            return Ok(());
        }
        let now = milliseconds(self.clock.now());
        let set_aside = self
            .store
            .set_overflow_aside(self.name.clone(), limit, now)
            .await?;
        if set_aside > 0 {
            self.counters.given_up.fetch_add(set_aside as u64, Relaxed);
            tracing::error!(
                endpoint = self.name,
                notifications = set_aside,
                "too many notifications wait: the oldest were set aside"
            );
        }
        self.counters
            .stored
            .store(waiting.saturating_sub(set_aside as u64), Relaxed);
        Ok(())
    }

    /// Sends a request with so many events once, when it is time for an attempt.
    async fn attempt(&self, body: Bytes, events: usize) -> Result<u16, DeliveryError> {
        let mut backoff = self.backoff.lock().await;
        let pause = backoff.pause(self.clock.now());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let sent = self.client.send(body).await;
        match &sent {
            Ok(status) => {
                self.counters.succeeded(*status, events);
                backoff.succeeded();
            }
            Err(error) => {
                self.counters.failed(error.status(), events);
                if backoff.failed(self.clock.now()) {
                    let error = error as &dyn std::error::Error;
                    tracing::warn!(
                        endpoint = self.name,
                        error,
                        "an endpoint keeps failing: its notifications wait"
                    );
                }
            }
        }
        sent
    }
}

/// How many events of the queue in memory may share a request.
fn queued_at_once(batching: EventBatching) -> usize {
    match batching {
        EventBatching::None => 1,
        EventBatching::PullsAndBlobs | EventBatching::All => MAX_EVENTS,
    }
}

/// The body of a request with the first `limit` notifications or fewer, and how many it has. `None` if
/// the first one cannot be read.
fn request(pending: &[PendingDelivery], limit: usize) -> Option<(Bytes, usize)> {
    let mut body = EnvelopeBody::default();
    for pending in pending.iter().take(limit) {
        let Some(notification) = &pending.notification else {
            break;
        };
        let event = event_text(notification);
        if body.events() > 0 && body.len() + event.len() > MAX_BODY {
            break;
        }
        body.push(&event);
    }
    let events = body.events();
    (events > 0).then(|| (body.finish().into(), events))
}

fn log_failure(error: &database::Error, message: &str) {
    let error = error as &dyn std::error::Error;
    tracing::error!(error, "{message}");
}

impl PendingDelivery {
    fn record(
        &self,
        state: DeliveryState,
        status: Option<u16>,
        error: Option<String>,
    ) -> DeliveryAttempt {
        DeliveryAttempt {
            id: self.id,
            attempts: self.attempts.saturating_add(1),
            status,
            error,
            state,
        }
    }
}
