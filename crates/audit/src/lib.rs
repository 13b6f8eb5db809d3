//! The audit table: what happened, when, and which client caused it.
//!
//! An [`AuditRecord`] is made of each [`Event`](event::Event). Most events are only told after they have
//! happened, and an [`AuditRecorder`] writes them in batches, off the path of the request: a crash loses
//! what happened within `flush`, and a database that cannot be written to loses what does not fit into
//! memory. A change must not be lost: its record is written in the transaction of the change. For a push and
//! a deletion, that is the registry's outbox, from which [`AuditStore::take_over`] takes it. For
//! administration, a trigger of the database copies the entry of the administration log.
//!
//! Names and addresses are kept, replaced by a keyed hash, or left out: [`PersonalData`].
//!
//! ```
//! use audit::{AuditFilter, AuditRecord, PersonalData, Pseudonyms};
//! use event::{Actor, Event, EventKind};
//!
//! let event = Event {
//!     time: std::time::UNIX_EPOCH,
//!     actor: Actor { account: "ann", ..Actor::default() },
//!     kind: EventKind::CatalogRead { repositories: 3 },
//! };
//! let names = Pseudonyms::new(PersonalData::default(), &[0; 32]);
//! let record = AuditRecord::of(&event, &names);
//! assert_eq!((record.kind.as_str(), record.account.as_str()), ("catalog_read", "ann"));
//! ```

mod cursor;
mod filter;
#[cfg(test)]
mod flat_reads;
mod index_range;
mod insertion;
mod pseudonyms;
mod reader;
mod reads;
mod record;
mod recorder;
mod store;

pub use cursor::AuditCursor;
pub use filter::{AuditFilter, UnknownKind, known_kind};
pub use pseudonyms::{PersonalData, Pseudonyms, Recording};
pub use reader::{AuditPage, AuditReader};
pub use record::{AuditRecord, EntryDocument, StoredAuditRecord};
pub use recorder::{AuditRecorder, AuditSettings, AuditStatistics, is_written_with_its_change};
pub use store::AuditStore;
