//! Without the feature `mongo` there are no such sections.

use std::sync::Arc;

use auth::StoredRules;
use common::Clock;
use identity::{Authenticator, PasswordVerifier};

use crate::config::{MongoRulesConfig, MongoUsersConfig};

pub(super) fn users(config: &MongoUsersConfig, _: Arc<PasswordVerifier>) -> Box<dyn Authenticator> {
    match *config {}
}

pub(super) fn rules(config: &MongoRulesConfig, _: &Arc<dyn Clock>) -> StoredRules {
    match *config {}
}
