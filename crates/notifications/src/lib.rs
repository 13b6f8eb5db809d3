//! Notifications of a registry's events, as Distribution sends them.
//!
//! A [`Notifier`] makes a [`Notification`] of each event that its endpoints want. A push and a deletion of
//! a manifest or tag must not be lost: their notifications are stored in the transaction of the change, in
//! the registry's outbox. From there they are taken into a table ([`DeliveryStore`]), which has a row for
//! each endpoint, and are sent in their order until the endpoint accepts them. The table is also the list
//! of deliveries that an operator reads. Pulls, and pushes, mounts and deletions of blobs, wait in memory:
//! a crash loses them, and a full queue drops and counts them.
//!
//! An endpoint gets [`envelope`]s of one event or, if [`EventBatching`] allows that, of several, signed if there is a [`SigningSecret`]:
//!
//! ```
//! use notifications::{Notification, envelope};
//!
//! let notification: Notification = serde_json::from_str(
//!     r#"{"id":"1","timestamp":"2027-01-15T08:00:00Z","action":"push",
//!         "target":{"mediaType":"","digest":"","size":0,"repository":"library/app"},
//!         "request":{"id":"2","method":"PUT","useragent":""},"actor":{},"source":{}}"#,
//! )?;
//! let body = String::from_utf8_lossy(&envelope(&[&notification])).into_owned();
//! assert!(body.starts_with("{\n   \"events\": [\n      {\n         \"id\": \"1\","));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod backoff;
mod client;
mod conversion;
mod deliveries;
mod delivery_list;
mod endpoint;
mod endpoint_delivery;
mod envelope;
mod event_ids;
mod filter;
#[cfg(test)]
mod fixtures;
mod json_text;
mod notification;
mod notifier;
mod queue;
mod references;
mod signature;
mod statistics;
mod store;

pub use client::EndpointClientError;
pub use deliveries::{
    DeliveryEntry, DeliveryFilter, DeliveryState, EndpointNames, LeftDeliveries, RetriedDeliveries,
};
pub use delivery_list::{DeliveryList, DeliveryListError};
pub use endpoint::{
    EndpointSettings, EndpointUrl, EndpointUrlError, EventBatching, NotificationSettings,
};
pub use envelope::{ENVELOPE_MEDIA_TYPE, envelope};
pub use filter::NotificationFilter;
pub use notification::{
    ActorRecord, Notification, NotificationAction, NotificationTarget, RequestRecord, SourceRecord,
};
pub use notifier::{Notifier, NotifierError};
pub use references::DescriptorRecord;
pub use signature::{SIGNATURE_HEADER, SigningSecret};
pub use statistics::{EndpointStatistics, NotificationStatistics, status_label};
pub use store::DeliveryStore;
