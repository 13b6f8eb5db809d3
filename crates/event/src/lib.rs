//! Events of the registry and the token server, and the observers that get them.
//!
//! The token server, the registry and the binary make an [`Event`] of each thing that an operator,
//! an auditor or another system may ask about later. They hand it to [`Observers`], which pass it
//! on to each [`Observer`]: a log, a notification queue, counters. An emitter knows no observer,
//! and an observer knows no emitter.
//!
//! An event borrows everything, so that it costs nothing when no observer is there. It serializes
//! to one flat JSON object:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::UNIX_EPOCH;
//!
//! use event::{Actor, Event, EventKind, MemoryObserver, Observer, Observers};
//!
//! let memory = Arc::new(MemoryObserver::new(100));
//! let observers = Observers::new([Arc::clone(&memory) as Arc<dyn Observer>]);
//! observers.observe(&Event {
//!     time: UNIX_EPOCH,
//!     actor: Actor { account: "ann", ..Actor::default() },
//!     kind: EventKind::CatalogRead { repositories: 3 },
//! });
//! let seen = &memory.events()[0];
//! assert_eq!((&seen["event"], &seen["account"]), (&"catalog_read".into(), &"ann".into()));
//! ```

mod kind;
mod memory;
mod observer;

use std::net::IpAddr;
use std::time::SystemTime;

use common::{Origin, rfc3339, unix_seconds};
use serde::{Serialize, Serializer};

pub use kind::{AccessRefusal, BlobEvent, EventKind, ManifestEvent, QuotaEvent, TokenDecision};
pub use memory::MemoryObserver;
pub use observer::{Observer, Observers};

/// One thing that has happened.
///
/// It holds no secret: no password, no token, no part of one. Names and user agents are a client's
/// choice, so an observer that writes text must escape control characters.
#[derive(Clone, Debug, Serialize)]
pub struct Event<'a> {
    /// When it happened.
    #[serde(serialize_with = "date")]
    pub time: SystemTime,
    /// Which client caused it.
    #[serde(flatten)]
    pub actor: Actor<'a>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind<'a>,
}

/// The client that caused an event. All fields are empty if the server or an operator did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Actor<'a> {
    /// The account; empty for an anonymous client.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub account: &'a str,
    /// The personal token or robot's token that proved the account, by its id.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub personal_token: &'a str,
    /// The address of the client, behind trusted proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The request's `User-Agent`, as the client sent it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub user_agent: &'a str,
    /// The request's id, which the client also sees as `X-Request-Id`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub request_id: &'a str,
    /// The request itself, for observers that tell other systems of it. It is not part of the JSON.
    #[serde(skip)]
    pub request: EventRequest<'a>,
}

/// The request that caused an event, as far as an address of what it is about needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventRequest<'a> {
    /// Its method; empty if no request of the registry caused the event.
    pub method: &'a str,
    /// Where the client reaches this server.
    pub origin: Option<&'a Origin>,
}

fn date<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(unix_seconds(*time)))
}
