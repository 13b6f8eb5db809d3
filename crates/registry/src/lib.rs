//! The registry: the distribution API over [`storage`], for clients with a verified token.
//!
//! A layer is pulled: bytes → *route* → the access that it needs → *access control*, which verifies
//! the token and decides → [`Authorized`], a proof that only access control can make → a handler,
//! which reaches the storage through the proof and in no other way → a body that streams. A handler
//! without the proof does not compile:
//!
//! ```compile_fail
//! # fn handler(storage: &storage::Storage, repository: oci::RepositoryName) {
//! let proof: registry::Authorized<'_, registry::Pull> = registry::Authorized { storage, repository };
//! # }
//! ```
//!
//! A proof opens one repository, and only for its kind of action. A proof for pulling has nothing
//! that pushes or deletes, and leads to no other repository ([`Authorized`] shows that).
//!
//! A request without enough access gets a *challenge*, and nothing else: before access is granted,
//! the registry does not look whether a repository exists.
//!
//! - [`Registry::respond`] serves every request; `routes` has all of them on one page.
//! - Outcomes become HTTP in `response` and `error`, nowhere else.
//!
//! (OCI distribution-spec; Docker's catalog; Distribution, "Token Authentication Specification".)

mod access;
mod authorized;
mod blobs;
mod body_memory;
mod caching_verifier;
mod catalog;
mod challenge;
mod change_details;
mod conditions;
mod cursor;
mod endpoint;
mod error;
mod extensions;
#[cfg(test)]
mod fuzz;
mod manifest_validation;
mod manifests;
mod mount_challenges;
mod multipart;
mod outbox;
mod paging;
mod principal;
mod pull_permissions;
mod pull_recorder;
mod query;
mod ranges;
mod redirects;
mod referrers;
mod request;
mod request_body;
mod required_access;
mod response;
mod response_body;
mod route;
mod routes;
mod settings;
mod tag_history;
mod tag_settings;
mod tags;
mod uploads;
mod upstream;

pub use authorized::{Action, Authorized, Cancel, Delete, Pull, Push};
pub use caching_verifier::{CachingVerifier, KeyGeneration, KeySource, VerifierStatistics};
pub use change_details::ChangeDetails;
pub use cursor::CursorKey;
pub use endpoint::RegistryEndpoint;
pub use manifest_validation::{LayerUrls, ManifestValidation, SparseManifests};
pub use outbox::OutboxWriter;
pub use pull_permissions::{
    Caller, PullPermissions, VisibleRepositories, VisibleRepositoriesFuture,
};
pub use pull_recorder::PullRecorder;
pub use redirects::RedirectRules;
pub use response_body::{Body, HttpResponse};
pub use routes::Registry;
pub use settings::{Authentication, CatalogSettings, Realm, RegistrySettings, TokenAuth};
pub use tag_settings::{HistoryNames, ImmutableTagSource, TagSettings};
pub use upstream::{MemoryUpstream, Upstream, UpstreamBlob, UpstreamError};
