//! The table of notifications: on their way, delivered, and set aside.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use database::{
    AdministrativeChange, Administrator, Database, DatabaseConnection, DatabaseValue, Error,
    ToValue, log_change, params, row_chunks, row_placeholders,
};
use serde_json::json;

use crate::deliveries::{entry, where_clause};
use crate::{
    DeliveryEntry, DeliveryFilter, DeliveryState, EndpointNames, LeftDeliveries, Notification,
    NotificationAction, RetriedDeliveries,
};

/// The table of notifications in a database.
#[derive(Clone, Debug)]
pub struct DeliveryStore {
    database: Database,
}

/// How many endpoints a message names.
const MOST_ENDPOINTS: i64 = 50;

/// How many rows one statement removes. Other writes wait for that.
const REMOVED_AT_ONCE: i64 = 1000;
/// The longest reason that is kept, in bytes.
const MOST_REASON: usize = 500;

/// A notification that an endpoint is to get.
#[derive(Clone, Debug)]
pub(crate) struct NewDelivery {
    endpoint: String,
    action: NotificationAction,
    repository: String,
    /// The event as a JSON object.
    event: String,
    /// The number of the outbox's record, if it was one.
    outbox: Option<i64>,
}

impl NewDelivery {
    pub(crate) fn new(
        endpoint: &str,
        notification: &Notification<'_>,
        outbox: Option<i64>,
    ) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            action: notification.action,
            repository: notification.target.repository.clone().into_owned(),
            // It has only texts and numbers.
            event: serde_json::to_string(notification).unwrap_or_default(),
            outbox,
        }
    }
}

/// A notification that waits.
#[derive(Clone, Debug)]
pub(crate) struct PendingDelivery {
    pub(crate) id: i64,
    pub(crate) attempts: u32,
    /// Since when, in milliseconds since the Unix epoch.
    pub(crate) queued_at: i64,
    /// The event; `None` if what is stored cannot be read.
    pub(crate) notification: Option<Notification<'static>>,
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryAttempt {
    pub(crate) id: i64,
    pub(crate) attempts: u32,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) state: DeliveryState,
}

impl DeliveryStore {
    /// The table of `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Queues notifications. One that was queued from the same record of the outbox is not queued again.
    /// Returns how many were.
    pub(crate) async fn insert(
        &self,
        deliveries: Vec<NewDelivery>,
        now: i64,
    ) -> Result<usize, Error> {
        self.write(move |connection| {
            let mut inserted = 0;
            for chunk in row_chunks(&deliveries) {
                inserted += insert(connection, chunk, now)?;
            }
            Ok(inserted)
        })
        .await
    }

    /// The first notifications that wait for an endpoint.
    pub(crate) async fn pending(
        &self,
        endpoint: String,
        limit: u32,
    ) -> Result<Vec<PendingDelivery>, Error> {
        self.read(move |connection| {
            let sql = "SELECT id, attempts, queued_at, event FROM notification_deliveries
                WHERE endpoint = ?1 AND state = 'pending' ORDER BY id LIMIT ?2";
            connection.query(sql, params![endpoint, limit], |row| {
                let event: String = row.get("event")?;
                Ok(PendingDelivery {
                    id: row.get("id")?,
                    attempts: row.get("attempts")?,
                    queued_at: row.get("queued_at")?,
                    notification: serde_json::from_str(&event).ok(),
                })
            })
        })
        .await
    }

    /// Records what became of notifications that wait; others are left as they are.
    pub(crate) async fn record(
        &self,
        attempts: Vec<DeliveryAttempt>,
        now: i64,
    ) -> Result<(), Error> {
        self.write(move |connection| {
            let mut rest = attempts.as_slice();
            while let Some(first) = rest.first() {
                let same = rest.iter();
                let same = same.take_while(|attempt| attempt.has_outcome_of(first));
                let (together, others) = rest.split_at(same.count());
                rest = others;
                for chunk in row_chunks(together) {
                    record(connection, chunk, now)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// How many notifications wait for an endpoint.
    pub(crate) async fn count_pending(&self, endpoint: String) -> Result<u64, Error> {
        let count = self.read(move |connection| {
            let state = DeliveryState::Pending;
            count(connection, &endpoint, state)
        });
        Ok(u64::try_from(count.await?).unwrap_or_default())
    }

    /// Sets the oldest notifications of an endpoint aside if more than `limit` wait. Returns how many.
    pub(crate) async fn set_overflow_aside(
        &self,
        endpoint: String,
        limit: usize,
        now: i64,
    ) -> Result<usize, Error> {
        self.write(move |connection| {
            let waiting = count(connection, &endpoint, DeliveryState::Pending)?;
            let over = waiting.saturating_sub(as_number(limit));
            if over <= 0 {
                return Ok(0);
            }
            let sql = "UPDATE notification_deliveries
                SET state = 'failed', changed_at = ?3, error = 'too many notifications were waiting'
                WHERE id IN (SELECT id FROM notification_deliveries
                    WHERE endpoint = ?1 AND state = 'pending' ORDER BY id LIMIT ?2)";
            connection.execute(sql, params![endpoint, over, now])
        })
        .await
    }

    /// Sets what waits for endpoints that do not exist aside. Returns how many notifications that were.
    pub(crate) async fn set_others_aside(
        &self,
        endpoints: Vec<String>,
        now: i64,
    ) -> Result<usize, Error> {
        self.write(move |connection| {
            let sql = "SELECT DISTINCT endpoint FROM notification_deliveries WHERE state = 'pending'";
            let waiting: Vec<String> = connection.query(sql, &[], |row| row.get(0))?;
            let mut set_aside = 0;
            for endpoint in waiting.iter().filter(|name| !endpoints.contains(name)) {
                let sql = "UPDATE notification_deliveries
                    SET state = 'failed', changed_at = ?2, error = 'the configuration has no such endpoint'
                    WHERE endpoint = ?1 AND state = 'pending'";
                set_aside += connection.execute(sql, params![endpoint, now])?;
            }
            Ok(set_aside)
        })
        .await
    }

    /// Removes some notifications that are done since before `end`, and the oldest of each state and
    /// endpoint if more than `limit` are kept. Returns whether there may be more.
    pub(crate) async fn prune(&self, end: i64, limit: usize) -> Result<bool, Error> {
        // Other writes wait for a write, so what takes long is read before.
        let removals = self.read(move |connection| removals(connection, end, limit));
        let removals = removals.await?;
        if removals.is_empty() {
            return Ok(false);
        }
        self.write(move |connection| {
            let mut is_full_batch = false;
            for Removal { state, oldest_of } in &removals {
                let (condition, count) = match oldest_of {
                    None => ("changed_at < ?3 ORDER BY changed_at", i64::MAX),
                    Some((_, count)) => ("endpoint = ?3 ORDER BY id", *count),
                };
                let at_most = count.min(REMOVED_AT_ONCE);
                let sql = format!(
                    "DELETE FROM notification_deliveries WHERE id IN (SELECT id FROM
                     notification_deliveries WHERE state = ?1 AND {condition} LIMIT ?2)"
                );
                let removed = match oldest_of {
                    None => connection.execute(&sql, params![state.word(), at_most, end])?,
                    Some((endpoint, _)) => {
                        connection.execute(&sql, params![state.word(), at_most, endpoint])?
                    }
                };
                is_full_batch |= as_number(removed) >= REMOVED_AT_ONCE;
            }
            Ok(is_full_batch)
        })
        .await
    }

    /// The last notifications that `filter` selects, at most `limit`, the latest first; those before
    /// number `before` if a page was read.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(
        &self,
        filter: DeliveryFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<DeliveryEntry>, Error> {
        self.read(move |connection| {
            let (mut conditions, mut values) = filter.conditions();
            if let Some(before) = &before {
                values.push(before.to_value());
                conditions.push(format!("id < ?{}", values.len()));
            }
            values.push(limit.to_value());
            let sql = format!(
                "SELECT id, endpoint, state, queued_at, changed_at, attempts, status, error, event
                 FROM notification_deliveries{} ORDER BY id DESC LIMIT ?{}",
                where_clause(&conditions),
                values.len()
            );
            connection.query(&sql, &values, entry)
        })
        .await
    }

    /// The endpoints for which there are notifications, of which some are listed.
    pub(crate) async fn listed_endpoints(&self) -> Result<Vec<String>, Error> {
        self.read(|connection| {
            let sql =
                "SELECT DISTINCT endpoint FROM notification_deliveries ORDER BY endpoint LIMIT ?1";
            connection.query(sql, params![MOST_ENDPOINTS], |row| row.get("endpoint"))
        })
        .await
    }

    /// Queues the notifications that `filter` selects and that are done once more, in the name of `by`, if
    /// they are for one of `endpoints`: no other would ever be sent.
    pub(crate) async fn retry(
        &self,
        by: &Administrator,
        filter: DeliveryFilter,
        endpoints: EndpointNames,
        now: SystemTime,
    ) -> Result<RetriedDeliveries, Error> {
        let (by, time) = (by.clone(), now);
        let now = milliseconds(now);
        self.write(move |connection| {
            let (mut conditions, mut values) = filter.conditions();
            let mut outcome = RetriedDeliveries::default();
            if !filter.ids.is_empty() {
                let found = states(connection, &conditions, &values)?;
                for id in &filter.ids {
                    match found.get(id) {
                        None => outcome.unknown.push(*id),
                        Some(state) if state == DeliveryState::Pending.word() => {
                            outcome.waiting.push(*id);
                        }
                        Some(_) => {}
                    }
                }
            }
            conditions.push("state <> 'pending'".to_owned());
            if let Some(configured) = endpoints.condition(&mut values) {
                let mut others = conditions.clone();
                others.push(format!("NOT ({configured})"));
                outcome.left = count_by_endpoint(connection, &others, &values)?;
                conditions.push(configured);
            }
            values.push(now.to_value());
            let sql = format!(
                "UPDATE notification_deliveries SET state = 'pending', attempts = 0, queued_at = ?{0},
                 changed_at = ?{0}, status = NULL, error = NULL{1}",
                values.len(),
                where_clause(&conditions)
            );
            let retried = connection.execute(&sql, &values)?;
            outcome.retried = retried;
            if retried > 0 {
                let change = AdministrativeChange {
                    action: "notifications.retry",
                    object: filter.endpoint.as_deref().unwrap_or_default(),
                    details: &json!({"retried": retried, "ids": filter.ids}),
                };
                log_change(connection, &by, time, change)?;
            }
            Ok(outcome)
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DatabaseConnection<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.database.read(work).await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&DatabaseConnection<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.database.write(work).await
    }
}

impl DeliveryAttempt {
    /// Whether what is recorded of it is the same as of another one.
    fn has_outcome_of(&self, other: &Self) -> bool {
        let outcome = |it: &Self| (it.state, it.attempts, it.status);
        outcome(self) == outcome(other) && self.error == other.error
    }
}

/// Writes rows with one statement, and returns how many were new.
fn insert(
    connection: &DatabaseConnection<'_>,
    deliveries: &[NewDelivery],
    now: i64,
) -> Result<usize, Error> {
    let sql = format!(
        "INSERT INTO notification_deliveries
         (endpoint, state, action, repository, event, queued_at, changed_at, outbox)
         VALUES {} ON CONFLICT DO NOTHING",
        row_placeholders(deliveries.len(), 8)
    );
    let state = DeliveryState::Pending.word();
    let mut values = Vec::with_capacity(8 * deliveries.len());
    for new in deliveries {
        values.extend([
            new.endpoint.to_value(),
            state.to_value(),
            new.action.word().to_value(),
            new.repository.to_value(),
            new.event.to_value(),
            now.to_value(),
            now.to_value(),
            new.outbox.to_value(),
        ]);
    }
    connection.execute(&sql, &values)
}

/// Records the same of all these attempts.
fn record(
    connection: &DatabaseConnection<'_>,
    attempts: &[DeliveryAttempt],
    now: i64,
) -> Result<(), Error> {
    let Some(first) = attempts.first() else {
        return Ok(());
    };
    let error = first.error.as_deref().map(shortened);
    let (state, status) = (first.state.word(), first.status.map(u32::from));
    let mut values = params![state, first.attempts, status, error, now].to_vec();
    let ids: Vec<String> = (1..=attempts.len())
        .map(|place| format!("?{}", values.len() + place))
        .collect();
    values.extend(attempts.iter().map(|attempt| attempt.id.to_value()));
    let sql = format!(
        "UPDATE notification_deliveries
         SET state = ?1, attempts = ?2, status = ?3, error = ?4, changed_at = ?5
         WHERE id IN ({}) AND state = 'pending'",
        ids.join(", ")
    );
    connection.execute(&sql, &values).map(drop)
}

/// Notifications in a state that are to be removed.
struct Removal {
    state: DeliveryState,
    /// So many of the oldest of this endpoint. `None`: those that are too old.
    oldest_of: Option<(String, i64)>,
}

fn removals(
    connection: &DatabaseConnection<'_>,
    end: i64,
    limit: usize,
) -> Result<Vec<Removal>, Error> {
    let mut removals = Vec::new();
    for state in [DeliveryState::Delivered, DeliveryState::Failed] {
        let sql =
            "SELECT id FROM notification_deliveries WHERE state = ?1 AND changed_at < ?2 LIMIT 1";
        let old =
            connection.query_optional(sql, params![state.word(), end], |row| row.get::<i64>("id"));
        if old?.is_some() {
            removals.push(Removal {
                state,
                oldest_of: None,
            });
        }
        let sql = "SELECT endpoint, count(*) AS count FROM notification_deliveries
            WHERE state = ?1 GROUP BY endpoint HAVING count(*) > ?2";
        let over = connection.query(sql, params![state.word(), as_number(limit)], |row| {
            let count: i64 = row.get("count")?;
            Ok((row.get("endpoint")?, count - as_number(limit)))
        });
        removals.extend(over?.into_iter().map(|oldest| Removal {
            state,
            oldest_of: Some(oldest),
        }));
    }
    Ok(removals)
}

fn count(
    connection: &DatabaseConnection<'_>,
    endpoint: &str,
    state: DeliveryState,
) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM notification_deliveries WHERE endpoint = ?1 AND state = ?2";
    connection.query_one(sql, params![endpoint, state.word()], |row| row.get(0))
}

/// The states of the notifications that fit, by their numbers.
fn states(
    connection: &DatabaseConnection<'_>,
    conditions: &[String],
    values: &[DatabaseValue<'_>],
) -> Result<HashMap<i64, String>, Error> {
    let clause = where_clause(conditions);
    let sql = format!("SELECT id, state FROM notification_deliveries{clause}");
    let found = connection.query(&sql, values, |row| Ok((row.get("id")?, row.get("state")?)))?;
    Ok(found.into_iter().collect())
}

fn count_by_endpoint(
    connection: &DatabaseConnection<'_>,
    conditions: &[String],
    values: &[DatabaseValue<'_>],
) -> Result<Vec<LeftDeliveries>, Error> {
    let sql = format!(
        "SELECT endpoint, count(*) AS count FROM notification_deliveries{} GROUP BY endpoint ORDER BY endpoint",
        where_clause(conditions)
    );
    connection.query(&sql, values, |row| {
        let count: i64 = row.get("count")?;
        Ok(LeftDeliveries {
            endpoint: row.get("endpoint")?,
            count: u64::try_from(count).unwrap_or_default(),
        })
    })
}

/// The beginning of a reason.
fn shortened(reason: &str) -> &str {
    let end = (0..=MOST_REASON.min(reason.len()))
        .rev()
        .find(|end| reason.is_char_boundary(*end));
    &reason[..end.unwrap_or_default()]
}

fn as_number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
