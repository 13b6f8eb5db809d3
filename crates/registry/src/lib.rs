//! The registry: the distribution API over [`storage`], opened only by a verified token.
//!
//! A layer is pulled: bytes → *route* → the access that it needs → the *door*, which asks who is
//! there and what they may do → [`Authorized`], a proof that only the door can make → a handler,
//! which reaches the storage through the proof and in no other way → a body that streams. A handler
//! without the proof does not compile:
//!
//! ```compile_fail
//! # fn handler(storage: &storage::Storage, repository: oci::RepositoryName) {
//! let proof: registry::Authorized<'_, registry::Pull> = registry::Authorized { storage, repository };
//! # }
//! ```
//!
//! Whoever asks without the proof is told what to bring, by a *challenge*, and nothing else: before
//! the door has opened nobody looks whether a repository exists.
//!
//! - [`Registry::respond`] answers every request; `routes` has all of them on one page.
//! - Outcomes become HTTP in `answer` and `refusal`, nowhere else.
//!
//! (OCI distribution-spec; Docker's catalog; Distribution, "Token Authentication Specification".)

mod access;
mod blobs;
mod body;
mod catalog;
mod challenge;
mod conditions;
mod cursor;
mod error;
mod manifests;
mod paging;
mod payload;
mod query;
mod ranges;
mod referrers;
mod request;
mod response;
mod route;
mod routes;
mod settings;
mod tags;
mod uploads;
mod verifier;
mod visibility;

pub use access::{Action, Authorized, Cancel, Delete, Pull, Push};
pub use body::{Body, HttpResponse};
pub use cursor::CursorKey;
pub use routes::Registry;
pub use settings::{Authentication, CatalogSettings, Realm, RegistrySettings, TokenAuth};
pub use verifier::{KeyRefresh, KeySource, TokenVerifier};
pub use visibility::{Caller, CatalogFilter, CatalogFilterFuture, Visibility};
