//! The HTTP API: what commands do, for programs and for people without a shell on the server.
//!
//! Each *operation* is one row of the table in `routes.rs`. Its handler's types say which scope a
//! caller needs, what is read and what is answered. From them come the router, the authority check
//! and the OpenAPI document ([`openapi_document`]). A handler runs only with an [`ApiCaller`], which
//! only a verified token makes. Errors become HTTP in `problem.rs`.
//!
//! A new operation is a row of the table and a function in `resources`, one file for each kind of
//! object.
//!
//! (RFC 6750, RFC 9110, RFC 9457; OpenAPI 3.1.)

mod api;
mod authority;
mod body;
mod call;
mod etag;
mod idempotency;
mod openapi;
mod operation;
mod pages;
mod problem;
mod quota_reader;
mod reply;
mod resources;
mod routes;
mod scope;
mod state;

pub use api::{Api, ApiHttpResponse, ApiSettings};
pub use authority::{ApiCaller, Reach};
pub use idempotency::ResponseKey;
pub use openapi::document as openapi_document;
pub use quota_reader::{QuotaAmountView, QuotaReader, QuotaReaderError, QuotaView};
pub use resources::immutable_tags::{ImmutableTagListView, ImmutableTagRuleView};
pub use resources::notifications::RetriedNotificationsView;
pub use resources::rules::{RuleListView, RuleView, RuleWarningView};
pub use resources::sessions::RevokedSessionsView;
pub use resources::token_view::{CreatedTokenView, TokenSecretView, TokenView};
pub use resources::users::UserView;
pub use scope::{ApiScope, ScopeRequirement};
pub use state::{ApiRules, ApiStores};
