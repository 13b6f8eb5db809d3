//! What handlers work on.

use accounts::AccountStore;

/// What the API manages.
pub struct ApiStores {
    /// Accounts in the database.
    pub accounts: AccountStore,
}

/// What every handler may use.
pub(crate) struct ApiState {
    pub(crate) stores: ApiStores,
}
