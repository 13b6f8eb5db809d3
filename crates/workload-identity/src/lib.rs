//! Workload identity: a CI job or a pod logs in with the token that its platform gave it, so that no
//! secret is stored.
//!
//! - A [`TrustedIssuer`] is a platform: who it is, which keys it signs with, which audience its tokens
//!   must have.
//! - Its [`TrustRule`]s say which of its workloads may log in: conditions on *claims*, the account as a
//!   template of claims ([`AccountTemplate`]), labels, and the bounds of what such a login gives. The
//!   first rule whose conditions all hold decides.
//! - A [`Preset`] knows what GitHub, GitLab, Kubernetes and Forgejo document of their tokens.
//! - [`TrustAuth`] is the backend of logins. It recognizes a token by its issuer, whether it comes as
//!   the password of any user name or as the subject of a token exchange (RFC 8693).
//!
//! Each issuer's accounts begin with its name and a colon, and no other backend has such accounts. So
//! no workload can be mistaken for a person, nor for another platform's workload.
//!
//! ```
//! use workload_identity::{AccountTemplate, Preset};
//!
//! let claims = serde_json::json!({"repository_id": "74", "repository": "octo-org/octo-repo"});
//! let template = AccountTemplate::parse("github:${repository_id}", Preset::Github).unwrap();
//! assert_eq!(template.expand(claims.as_object().unwrap()).unwrap(), "github:74");
//! ```

mod account_template;
mod authenticator;
mod check_report;
mod claim_path;
mod condition;
mod issuer;
mod preset;
mod problem;
mod received;
mod report;
mod rule;
mod strict_json;
mod verification;

pub use account_template::{AccountTemplate, AccountTemplateError, ExpansionError};
pub use authenticator::TrustAuth;
pub use check_report::{CheckedRule, TrustCheckReport};
pub use claim_path::ClaimPath;
pub use condition::{ClaimCondition, ClaimMismatch};
pub use issuer::{IssuerKeySource, IssuerSettings, TrustedIssuer};
pub use preset::{Preset, UnknownPreset};
pub use problem::TokenProblem;
pub use report::{RuleOutcome, RuleReport, TrustReport};
pub use rule::TrustRule;
