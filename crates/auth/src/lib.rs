//! The token server: it turns a login into a signed token that says what the client may do.
//!
//! A registry that answers 401 sends its client here ([`TokenServer::respond`]). The request is
//! parsed once, identity says which account it is, the policies ([`Authorizer`]) decide each scope,
//! and the signer writes the token. Refresh tokens are in [`sessions`]. Each decision is an event for
//! the observers, of which the program's log is one.
//!
//! (Distribution, "Token Authentication Specification" and "OAuth 2.0 token"; RFC 6749; RFC 7009.)

mod accounts;
mod audit;
mod authorize;
mod body;
mod current_rights;
pub mod device;
mod device_authorization;
mod device_grant;
mod endpoint;
mod error;
mod issue;
mod parameters;
mod published_keys;
mod repository_filter;
mod request;
mod response;
mod routes;
mod server;
pub mod sessions;

pub use authorize::{
    AclAuthorizer, ActionReport, AskedPolicies, AuthorizeError, AuthorizeExplanation, Authorizer,
    CASBIN_VALUES, CasbinAuthorizer, CeilingReport, CeilingScopeReport, DecidedBy, Decision,
    ExplainedAction, ExplainedDecision, ExplainedRequest, ExplainedToken, Explainer,
    ExplanationEnd, ExternalPolicy, MAX_STORED_RULES, MaxStale, OWN_NAME, PassedRule,
    PassedRuleReport, ProbedRules, RuleDocumentError, RuleSet, RuleSetExplanation, RuleStore,
    RuleStoreError, ScopeReport, StoredRule, StoredRules, StoredRulesSettings, TokenExplanation,
    explain, explain_by_asking, explain_ceiling, read_rule,
};
pub use body::{BodyLimits, BodyReadError};
pub use issue::{MIN_EXPIRATION_SECONDS, ServiceSettings};
pub use published_keys::PublishedKey;
pub use repository_filter::RepositoryFilter;
pub use request::MAX_SCOPES;
pub use response::{TokenResponse, TokenServerResponse};
pub use server::{TokenServer, TokenServerSettings};
