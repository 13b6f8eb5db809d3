//! The token server: it turns a login into a signed token that says what the client may do.
//!
//! A registry that answers 401 sends its client here ([`TokenServer::respond`]). The request is
//! parsed once, identity says which account it is, the policies ([`Authorizer`]) decide each scope,
//! and the signer writes the token. Refresh tokens are in [`sessions`]. Each decision is one line in
//! the log, and one event for the observers.
//!
//! (Distribution, "Token Authentication Specification" and "OAuth 2.0 token"; RFC 6749; RFC 7009.)

mod accounts;
mod audit;
mod authorize;
mod endpoint;
mod issue;
mod parameters;
mod pull_filter;
mod request;
mod response;
mod routes;
mod server;
pub mod sessions;

pub use audit::TARGET as DECISION_TARGET;
pub use authorize::{
    AclAuthorizer, AuthorizeError, Authorizer, DecidedBy, Decision, ExtAuthz, RuleSet,
};
pub use issue::MIN_EXPIRATION_SECONDS;
pub use pull_filter::PullFilter;
pub use request::MAX_SCOPES;
pub use response::{HttpResponse, TokenResponse};
pub use server::{PublishedKey, ServiceSettings, TokenServer, TokenServerSettings};
