//! What the sections `mongo_auth` and `acl_mongo` become.

use std::sync::Arc;

use auth::StoredRules;
use common::Clock;
use identity::{Authenticator, PasswordVerifier};
use mongo::{MongoRules, MongoUsers};

use crate::config::{MongoRulesConfig, MongoUsersConfig};

/// The backend of `mongo_auth`. Nothing is connected yet.
pub(super) fn users(
    config: &MongoUsersConfig,
    verifier: Arc<PasswordVerifier>,
) -> Box<dyn Authenticator> {
    let settings = config.settings.clone();
    Box::new(MongoUsers::new(
        "mongo_auth",
        settings,
        config.concurrency,
        verifier,
    ))
}

/// The rules of `acl_mongo`. None are loaded yet.
pub(super) fn rules(config: &MongoRulesConfig, clock: &Arc<dyn Clock>) -> StoredRules {
    let store = MongoRules::new("acl_mongo", config.settings.clone());
    StoredRules::new(store, config.refresh, Arc::clone(clock))
}
