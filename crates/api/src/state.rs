//! What handlers work on.

use std::sync::Arc;

use accounts::{AccountStore, RuleList};
use auth::TokenServer;
use auth::sessions::Sessions;
use common::Clock;
use database::Database;
use identity::Accounts;
use personal_tokens::PersonalTokens;
use policy::AclOptions;
use workload_identity::TrustAuth;

/// What the API manages.
pub struct ApiStores {
    /// Accounts in the database.
    pub accounts: AccountStore,
    /// Accounts of the configuration, which are asked first: one of the same name in the database
    /// would never log in.
    pub configured: Vec<Accounts>,
    /// Rules in the database.
    pub rules: ApiRules,
    /// The token server beside the API: its backends and its policies.
    pub token_server: Arc<TokenServer>,
    /// Refresh tokens, if there are any.
    pub sessions: Option<Sessions>,
    /// Robots and personal tokens, if there are any.
    pub personal_tokens: Option<PersonalTokens>,
    /// The platforms whose workloads log in, if there are any.
    pub trust: Option<TrustAuth>,
    /// Where the administration log is.
    pub database: Database,
}

/// The rules that the API manages.
pub struct ApiRules {
    /// The rules in the database.
    pub list: RuleList,
    /// How their patterns are read.
    pub options: AclOptions,
    /// Where the configuration has a rule without conditions, which is asked first and decides
    /// everything: `auth.yml:12`.
    pub shadowed_by: Option<String>,
}

/// What every handler may use.
pub(crate) struct ApiState {
    pub(crate) stores: ApiStores,
    /// The host of the registry beside the token server, if it is known.
    pub(crate) registry: Option<String>,
    pub(crate) clock: Arc<dyn Clock>,
}
