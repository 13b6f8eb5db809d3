//! Rules that are kept in a database. They outlive a reload that does not change their section, so
//! that requests need not wait for a load, and old rules stay when the database is away.

use std::sync::Arc;

use auth::StoredRules;
use common::Clock;
use sql::{SqlDatabase, SqlRules};

use super::mongo;
use crate::config::{Config, MongoRulesConfig, SqlConfig, SqlRulesConfig};

/// The rules of every database.
#[derive(Default)]
pub(crate) struct StoredPolicies {
    mongo: Option<StoredPolicy<MongoRulesConfig>>,
    sql: Option<StoredPolicy<SqlRulesConfig>>,
}

/// The rules of one database, with the section that they were made from.
struct StoredPolicy<S> {
    section: S,
    rules: Arc<StoredRules>,
}

impl StoredPolicies {
    /// Those of `config`. None are loaded yet.
    pub(crate) fn new(config: &Config, clock: &Arc<dyn Clock>) -> Self {
        Self {
            mongo: StoredPolicy::new(config.mongo_rules.as_ref(), |section| {
                mongo::rules(section, clock)
            }),
            sql: StoredPolicy::new(config.sql_rules.as_ref(), |section| {
                sql_rules(section, clock)
            }),
        }
    }

    /// Those of `config`, which are loaded again and again. If a section is as it was `before`, its
    /// rules go on.
    pub(super) fn running(config: &Config, clock: &Arc<dyn Clock>, before: Option<&Self>) -> Self {
        let new = Self::new(config, clock);
        Self {
            mongo: new
                .mongo
                .map(|policy| policy.running(before.and_then(|before| before.mongo.as_ref()))),
            sql: new
                .sql
                .map(|policy| policy.running(before.and_then(|before| before.sql.as_ref()))),
        }
    }

    /// All of them, in the order in which they are asked.
    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<StoredRules>> {
        let mongo = self.mongo.iter().map(|policy| Arc::clone(&policy.rules));
        let sql = self.sql.iter().map(|policy| Arc::clone(&policy.rules));
        mongo.chain(sql)
    }
}

impl<S: Clone + PartialEq> StoredPolicy<S> {
    fn new(section: Option<&S>, make: impl FnOnce(&S) -> StoredRules) -> Option<Self> {
        section.map(|section| Self {
            section: section.clone(),
            rules: Arc::new(make(section)),
        })
    }

    /// This policy, or the one `before` if it has the same section.
    fn running(self, before: Option<&Self>) -> Self {
        match before.filter(|before| before.section == self.section) {
            Some(before) => Self {
                section: self.section,
                rules: Arc::clone(&before.rules),
            },
            None => {
                self.rules.start();
                self
            }
        }
    }
}

/// The rules of `acl_xorm`.
fn sql_rules(section: &SqlRulesConfig, clock: &Arc<dyn Clock>) -> StoredRules {
    let SqlRulesConfig { database, settings } = section;
    let query = database.query.clone();
    let store = SqlRules::new(database.section, sql_database(database, clock), query);
    StoredRules::new(store, *settings, Arc::clone(clock))
}

/// The database of a section. Nothing is opened yet.
pub(super) fn sql_database(section: &SqlConfig, clock: &Arc<dyn Clock>) -> SqlDatabase {
    SqlDatabase::new(
        &section.to,
        section.connections,
        section.timeout,
        Arc::clone(clock),
    )
}
