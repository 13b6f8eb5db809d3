//! The token server: who asks, what they may do, and a signed paper that says so.
//!
//! A client that was sent away by a registry with a 401 comes here ([`TokenServer::respond`]). Its
//! request is parsed once at the edge, identity says who it is, policy decides each scope, and the
//! signer writes the token. Refresh tokens live in [`sessions`]; every decision leaves one line in
//! the log.
//!
//! (Distribution, "Token Authentication Specification" and "OAuth 2.0 token"; RFC 6749.)

mod audit;
mod authorize;
mod issue;
mod parameters;
mod pull_filter;
mod request;
mod response;
mod routes;
mod server;
pub mod sessions;

pub use audit::TARGET as DECISION_TARGET;
pub use authorize::{AuthorizeError, Authorizer, ExtAuthz};
pub use issue::MIN_EXPIRATION_SECONDS;
pub use pull_filter::PullFilter;
pub use request::MAX_SCOPES;
pub use response::{HttpResponse, TokenResponse};
pub use server::{PublishedKey, ServiceSettings, TokenServer, TokenServerSettings};
