//! Rules that are kept in a database. They outlive a reload that does not change their section, so
//! that requests need not wait for a load, and old rules stay when the database is away.

use std::sync::Arc;

use auth::StoredRules;
use common::Clock;
use sql::{SqlDatabase, SqlRules};

use crate::config::{Config, SqlConfig, SqlRulesConfig};

/// The rules of every database, with the section that each was made from.
#[derive(Default)]
pub(crate) struct StoredPolicies {
    sql: Option<(SqlRulesConfig, Arc<StoredRules>)>,
}

impl StoredPolicies {
    /// Those of `config`. None are loaded yet.
    pub(crate) fn new(config: &Config, clock: &Arc<dyn Clock>) -> Self {
        let sql = config.sql_rules.as_ref().map(|section| {
            let SqlRulesConfig { database, settings } = section;
            let query = database.query.clone();
            let store = SqlRules::new(database.section, sql_database(database, clock), query);
            let rules = StoredRules::new(store, *settings, Arc::clone(clock));
            (section.clone(), Arc::new(rules))
        });
        Self { sql }
    }

    /// Those of `config`, which are loaded again and again. If a section is as it was `before`, its
    /// rules go on.
    pub(super) fn running(config: &Config, clock: &Arc<dyn Clock>, before: Option<&Self>) -> Self {
        let before = before.and_then(|before| before.sql.as_ref());
        match before.filter(|(section, _)| config.sql_rules.as_ref() == Some(section)) {
            Some((section, rules)) => Self {
                sql: Some((section.clone(), Arc::clone(rules))),
            },
            None => {
                let policies = Self::new(config, clock);
                policies.all().for_each(|rules| rules.start());
                policies
            }
        }
    }

    /// The rules of `acl_xorm`.
    pub(super) fn sql(&self) -> Option<Arc<StoredRules>> {
        self.sql.as_ref().map(|(_, rules)| Arc::clone(rules))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Arc<StoredRules>> {
        self.sql().into_iter()
    }
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
