//! What handlers work on.

use std::sync::Arc;

use accounts::AccountStore;
use auth::TokenServer;
use auth::sessions::Sessions;
use common::Clock;
use database::Database;
use personal_tokens::PersonalTokens;
use workload_identity::TrustAuth;

/// What the API manages.
pub struct ApiStores {
    /// Accounts in the database.
    pub accounts: AccountStore,
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

/// What every handler may use.
pub(crate) struct ApiState {
    pub(crate) stores: ApiStores,
    pub(crate) clock: Arc<dyn Clock>,
}
