//! The statements: those for the tables that `docker_auth`'s xorm makes, or the operator's own.

use std::sync::Arc;

use crate::dsn::DatabaseType;
use crate::error::SqlError;
use crate::table::{SchemaGap, Table};

/// What stands for the account's name in a query of the operator's own.
pub const ACCOUNT: &str = "${account}";

/// A query, and the table that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlQuery {
    pub(crate) sql: Arc<str>,
    /// How often the account's name is a parameter.
    pub(crate) parameters: usize,
    /// The table of `docker_auth`. What it lacks is added.
    pub(crate) table: Option<Table>,
}

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlQueryError {
    /// The account is not in it, so any account would find the same user.
    #[error("write {ACCOUNT} in it, such as WHERE login = {ACCOUNT}")]
    NoAccount,
    /// The account is in quotes.
    #[error("remove the quotes around {ACCOUNT}: it is a parameter, not a part of the text")]
    Quoted,
    /// A variable that does not exist.
    #[error("{0} is not a variable here{1}")]
    UnknownVariable(String, &'static str),
}

impl SqlQuery {
    /// The user of an account, in `docker_auth`'s table `xorm_user`.
    #[must_use]
    pub fn of_users(database: DatabaseType) -> Self {
        let account = match database {
            DatabaseType::Postgres => "$1",
            DatabaseType::MySql | DatabaseType::Sqlite => "?",
        };
        let sql = format!(
            "SELECT username, password_hash, labels FROM xorm_user WHERE username = {account} \
             ORDER BY id DESC LIMIT 1"
        );
        Self {
            sql: sql.into(),
            parameters: 1,
            table: Some(Table::users(database)),
        }
    }

    /// The same query, without adding what its table lacks.
    pub(crate) fn changing_nothing(&self) -> Self {
        Self {
            table: None,
            ..self.clone()
        }
    }

    /// What its table lacks if it failed with `error`; `None` if it failed for another reason.
    pub(crate) fn gap(&self, error: &SqlError) -> Option<SchemaGap> {
        self.table.as_ref()?.gap(error)
    }

    /// Users whose hash may cost too much, ten at most; `None` if `self` is a query of the operator's
    /// own.
    pub(crate) fn of_costly_users(&self) -> Option<Self> {
        // A hash has three `$`, the last two of them around the cost.
        let is_costly = ["18", "19", "2_", "3_"].map(|cost| {
            let pattern = format!("$2%${cost}$%");
            format!("password_hash LIKE '{pattern}'")
        });
        let sql = format!(
            "SELECT username, password_hash, labels FROM xorm_user WHERE {} ORDER BY id LIMIT 10",
            is_costly.join(" OR ")
        );
        self.table.as_ref().map(|table| Self {
            sql: sql.into(),
            parameters: 0,
            table: Some(*table),
        })
    }

    /// All rules, in `docker_auth`'s table `xorm_acl_entry`.
    #[must_use]
    pub fn of_rules(database: DatabaseType) -> Self {
        Self {
            sql: "SELECT seq, acl_entry FROM xorm_acl_entry ORDER BY seq".into(),
            parameters: 0,
            table: Some(Table::rules(database)),
        }
    }

    /// A query of the operator's own that finds the user of [`ACCOUNT`].
    ///
    /// # Errors
    /// When the account is not a parameter of it.
    pub fn own_for_users(text: &str, database: DatabaseType) -> Result<Self, SqlQueryError> {
        let parameters = text.matches(ACCOUNT).count();
        check_variables(text, &[ACCOUNT])?;
        if parameters == 0 {
            return Err(SqlQueryError::NoAccount);
        }
        let is_quoted = text.match_indices(ACCOUNT).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + ACCOUNT.len()..].chars().next();
            [before, after]
                .into_iter()
                .flatten()
                .any(|c| matches!(c, '\'' | '"' | '`'))
        });
        if is_quoted {
            return Err(SqlQueryError::Quoted);
        }
        let (placeholder, parameters) = match database {
            DatabaseType::Postgres => ("$1", 1),
            DatabaseType::MySql => ("?", parameters),
            DatabaseType::Sqlite => ("?1", 1),
        };
        Ok(Self {
            sql: text.replace(ACCOUNT, placeholder).into(),
            parameters,
            table: None,
        })
    }

    /// A query of the operator's own that gives all rules.
    ///
    /// # Errors
    /// When it has a variable: rules are loaded for all accounts at once.
    pub fn own_for_rules(text: &str) -> Result<Self, SqlQueryError> {
        check_variables(text, &[])?;
        Ok(Self {
            sql: text.into(),
            parameters: 0,
            table: None,
        })
    }
}

fn check_variables(text: &str, known: &[&str]) -> Result<(), SqlQueryError> {
    for (at, _) in text.match_indices("${") {
        let rest = &text[at..];
        let variable = rest.find('}').map_or(rest, |end| &rest[..=end]);
        if !known.contains(&variable) {
            let hint = match known {
                [] => ": the rules of all accounts are loaded at once",
                _ => ": there is ${account}",
            };
            return Err(SqlQueryError::UnknownVariable(variable.to_owned(), hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_becomes_a_parameter() {
        let text =
            "SELECT login AS username FROM people WHERE login = ${account} OR mail=${account}";
        for (database, written, parameters) in [
            (DatabaseType::Postgres, "$1 OR mail=$1", 1),
            (DatabaseType::MySql, "? OR mail=?", 2),
            (DatabaseType::Sqlite, "?1 OR mail=?1", 1),
        ] {
            let query = SqlQuery::own_for_users(text, database).unwrap();
            assert!(query.sql.ends_with(written), "{}", query.sql);
            assert_eq!(query.parameters, parameters);
        }
    }

    #[test]
    fn a_query_without_the_account_is_refused() {
        let refused = |text| {
            SqlQuery::own_for_users(text, DatabaseType::MySql)
                .unwrap_err()
                .to_string()
        };
        assert!(refused("SELECT 1").starts_with("write ${account} in it"));
        assert!(refused("… WHERE a = '${account}'").starts_with("remove the quotes"));
        assert!(refused("… WHERE a = \"${account}\"").starts_with("remove the quotes"));
        assert!(
            refused("… ${user} ${account}").starts_with("${user} is not a variable here: there")
        );
        assert!(refused("… ${account").starts_with("${account is not a variable"));
        let refused = SqlQuery::own_for_rules("… ${account}")
            .unwrap_err()
            .to_string();
        assert!(refused.contains("the rules of all accounts"));
        assert!(SqlQuery::own_for_rules("SELECT seq, acl_entry FROM rules").is_ok());
    }
}
