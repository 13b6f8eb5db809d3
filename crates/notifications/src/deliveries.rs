//! The list of deliveries: what an operator asks for, and gets.

use std::fmt;

use common::rfc3339;
use database::{DatabaseRow, DatabaseValue, Error, ToValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::NotificationSettings;

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "NotificationState")]
pub enum DeliveryState {
    /// It waits for its delivery.
    Pending,
    /// The endpoint has accepted it.
    Delivered,
    /// It was set aside, and is not tried any more.
    Failed,
}

impl DeliveryState {
    const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// Its word in the table and in lists.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// A notification in the list of deliveries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Notification")]
pub struct DeliveryEntry {
    /// Its number. One that was queued later has a higher one.
    pub id: i64,
    /// The endpoint.
    pub endpoint: String,
    /// What became of it.
    pub state: DeliveryState,
    /// Since when it waits or waited, as RFC 3339.
    pub queued_at: String,
    /// When it was last tried, delivered or set aside.
    pub changed_at: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The status of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why the last attempt failed, or why it was set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The event, as the endpoint gets it.
    pub event: serde_json::Value,
}

/// Which notifications are listed or retried: those that fit all of what is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Of this endpoint.
    pub endpoint: Option<String>,
    /// In this state.
    pub state: Option<DeliveryState>,
    /// With one of these numbers, unless there are none.
    pub ids: Vec<i64>,
}

/// The endpoints of the configuration by which notifications are managed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointNames {
    /// These, of the registry in the same configuration.
    Configured(Vec<String>),
    /// Not known: the registry has another configuration.
    Elsewhere,
}

impl EndpointNames {
    /// Those of these settings.
    #[must_use]
    pub fn of(settings: &NotificationSettings) -> Self {
        let endpoints = settings.endpoints.iter();
        Self::Configured(endpoints.map(|endpoint| endpoint.name.clone()).collect())
    }

    /// Those that are known.
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::Configured(names) => names,
            Self::Elsewhere => &[],
        }
    }

    /// Whether there is one of this name.
    #[must_use]
    pub fn have(&self, name: &str) -> bool {
        match self {
            Self::Configured(names) => names.iter().any(|known| known == name),
            Self::Elsewhere => false,
        }
    }

    /// The condition that a notification is for one of them, with its values. `None` if that is not known.
    pub(crate) fn condition<'a>(&'a self, values: &mut Vec<DatabaseValue<'a>>) -> Option<String> {
        let Self::Configured(names) = self else {
            return None;
        };
        if names.is_empty() {
            return Some("1 = 0".to_owned());
        }
        let places: Vec<String> = (1..=names.len())
            .map(|place| format!("?{}", values.len() + place))
            .collect();
        values.extend(names.iter().map(ToValue::to_value));
        Some(format!("endpoint IN ({})", places.join(", ")))
    }
}

/// What became of a retry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetriedDeliveries {
    /// How many notifications are sent again.
    pub retried: usize,
    /// Those that were selected and are not, because their endpoints are not configured, by endpoint.
    pub left: Vec<LeftDeliveries>,
    /// The numbers that were asked for and that wait for their delivery already.
    pub waiting: Vec<i64>,
    /// The numbers that were asked for and that no notification has, or none for the endpoint.
    pub unknown: Vec<i64>,
}

/// Notifications for an endpoint that is not configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LeftNotifications")]
pub struct LeftDeliveries {
    /// The endpoint.
    pub endpoint: String,
    /// How many notifications.
    pub count: u64,
}

impl fmt::Display for EndpointNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured(names) if names.is_empty() => {
                f.write_str("the configuration has no endpoints")
            }
            Self::Configured(names) => write!(f, "the configuration has {}", names.join(", ")),
            Self::Elsewhere => {
                f.write_str("the configuration has no registry, and no notification is for it")
            }
        }
    }
}

impl DeliveryFilter {
    /// The conditions after `WHERE`, and their values.
    pub(crate) fn conditions(&self) -> (Vec<String>, Vec<DatabaseValue<'_>>) {
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        if let Some(endpoint) = &self.endpoint {
            values.push(endpoint.to_value());
            conditions.push(format!("endpoint = ?{}", values.len()));
        }
        if let Some(state) = self.state {
            // One of three words.
            conditions.push(format!("state = '{}'", state.word()));
        }
        if !self.ids.is_empty() {
            let ids: Vec<String> = self.ids.iter().map(i64::to_string).collect();
            conditions.push(format!("id IN ({})", ids.join(", ")));
        }
        (conditions, values)
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The clause of these conditions.
pub(crate) fn where_clause(conditions: &[String]) -> String {
    match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    }
}

/// An entry of a row.
pub(crate) fn entry(row: &DatabaseRow<'_>) -> Result<DeliveryEntry, Error> {
    let (state, event): (String, String) = (row.get("state")?, row.get("event")?);
    let state = DeliveryState::ALL
        .into_iter()
        .find(|known| known.word() == state);
    Ok(DeliveryEntry {
        id: row.get("id")?,
        endpoint: row.get("endpoint")?,
        // The table allows no other word.
        state: state.unwrap_or(DeliveryState::Failed),
        queued_at: date(row.get("queued_at")?),
        changed_at: date(row.get("changed_at")?),
        attempts: row.get("attempts")?,
        status: row
            .get::<Option<u32>>("status")?
            .and_then(|status| u16::try_from(status).ok()),
        error: row.get("error")?,
        event: serde_json::from_str(&event).unwrap_or_default(),
    })
}

fn date(milliseconds: i64) -> String {
    rfc3339(u64::try_from(milliseconds).unwrap_or_default() / 1000)
}
