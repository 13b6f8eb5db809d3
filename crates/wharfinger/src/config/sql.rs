//! SQL databases: the sections `xorm_auth` and `acl_xorm`, which may also be called `sql_auth` and
//! `acl_sql`.

use std::num::NonZeroUsize;
use std::time::Duration;

use auth::StoredRulesSettings;
use common::Secret;
use policy::AclOptions;
use sql::{ConnectionString, DatabaseType, SqlQuery};

use super::diagnostics::Problem;
use super::schema::key::{self, Words};
use super::section::Section;
use super::stored_rules::read_refresh;

/// A database, and the query that reads it.
#[derive(Clone, Debug)]
pub(crate) struct SqlConfig {
    /// What the section is called in the file.
    pub(crate) section: &'static str,
    pub(crate) to: ConnectionString,
    pub(crate) query: SqlQuery,
    pub(crate) timeout: Duration,
    pub(crate) connections: NonZeroUsize,
    /// The connection string as it is written, to see whether it was changed.
    written: Secret,
}

/// Rules in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqlRulesConfig {
    pub(crate) database: SqlConfig,
    pub(crate) settings: StoredRulesSettings,
}

/// Which of the two kinds of sections is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Users,
    Rules,
}

const SECOND: Duration = Duration::from_secs(1);
const DEFAULT_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

impl PartialEq for SqlConfig {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            section,
            to,
            query,
            timeout,
            connections,
            written,
        } = self;
        *section == other.section
            && to.database_type() == other.to.database_type()
            && written.expose() == other.written.expose()
            && *query == other.query
            && *timeout == other.timeout
            && *connections == other.connections
    }
}

impl Eq for SqlConfig {}

impl Words for DatabaseType {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("postgres", Self::Postgres),
        ("mysql", Self::MySql),
        ("mariadb", Self::MySql),
        ("sqlite", Self::Sqlite),
        ("sqlite3", Self::Sqlite),
    ];
}

/// Reads `xorm_auth` or `sql_auth`.
pub(super) fn read_users(root: &mut Section<'_>) -> Option<SqlConfig> {
    let xorm = key::mapping("xorm_auth")
        .docker_auth()
        .means("users in an SQL database, below");
    let sql = key::mapping("sql_auth").means("another name of `xorm_auth`");
    let read = |section: &mut Section<'_>, name| read(section, name, Purpose::Users);
    let xorm = root.optional(xorm, |section| read(section, "xorm_auth"));
    let sql = root.optional(sql, |section| read(section, "sql_auth"));
    refuse_both(root, "xorm_auth", "sql_auth");
    xorm.or(sql)
}

/// Reads `acl_xorm` or `acl_sql`. Their patterns are read as those of `acl`.
pub(super) fn read_rules(root: &mut Section<'_>, options: AclOptions) -> Option<SqlRulesConfig> {
    let xorm = key::mapping("acl_xorm")
        .docker_auth()
        .means("rules in an SQL database, below, asked after `acl`");
    let sql = key::mapping("acl_sql").means("another name of `acl_xorm`");
    let read = |section: &mut Section<'_>, name| {
        let database = read(section, name, Purpose::Rules);
        let settings = read_refresh(section, options);
        Some(SqlRulesConfig {
            database: database?,
            settings,
        })
    };
    let xorm = root.optional(xorm, |section| read(section, "acl_xorm"));
    let sql = root.optional(sql, |section| read(section, "acl_sql"));
    refuse_both(root, "acl_xorm", "acl_sql");
    xorm.or(sql)
}

fn refuse_both(root: &Section<'_>, one: &str, other: &str) {
    if root.has(one)
        && let Some(setting) = root.present(other).filter(|setting| !setting.is_null())
    {
        let message = format!("another name of {one}: set one of them");
        setting.report(Problem::Conflict, message);
    }
}

fn read(section: &mut Section<'_>, name: &'static str, purpose: Purpose) -> Option<SqlConfig> {
    let database_type = section.find(
        key::word("database_type")
            .docker_auth()
            .required("write database_type: postgres, mysql or sqlite")
            .means("the kind of the database"),
    );
    let written = section.locate(
        key::text("conn_string")
            .docker_auth()
            .required("write how to connect, as docker_auth's Go driver reads it")
            .secret()
            .not(&["dsn", "url", "connection_string"])
            .means("how to connect, as the Go driver reads it"),
    );
    let query = section.locate(
        key::text("query")
            .means(match purpose {
                Purpose::Users => {
                    "for tables of your own: finds `${account}` and gives `username`, \
                     `password_hash` and perhaps `labels`"
                }
                Purpose::Rules => {
                    "for tables of your own: gives `seq` and `acl_entry` of every rule"
                }
            })
            .otherwise(match purpose {
                Purpose::Users => "the table `xorm_user`",
                Purpose::Rules => "the table `xorm_acl_entry`",
            }),
    );
    let timeout = section.get(
        key::duration("timeout", SECOND / 10..=600 * SECOND)
            .means("how long a query may take, with connecting")
            .default(5 * SECOND),
    );
    let connections = section.get(
        key::count("connections", 1024)
            .means("how many connections there are at most")
            .default(DEFAULT_CONNECTIONS),
    );
    let (database_type, written) = (database_type?, written?);
    let query = match query {
        None if purpose == Purpose::Users => Some(SqlQuery::of_users(database_type)),
        None => Some(SqlQuery::of_rules(database_type)),
        Some(query) => query.setting.checked(match purpose {
            Purpose::Users => SqlQuery::own_for_users(&query.value, database_type),
            Purpose::Rules => SqlQuery::own_for_rules(&query.value),
        }),
    };
    let environment = |variable: &str| section.context.variable(variable);
    let parsed = ConnectionString::parse(database_type, &written.value, &environment);
    let to = written.setting.checked(parsed)?;
    for warning in to.warnings() {
        written.setting.warn(Problem::Doubtful, warning);
    }
    Some(SqlConfig {
        section: name,
        to,
        query: query?,
        timeout,
        connections,
        written: written.value.into(),
    })
}
