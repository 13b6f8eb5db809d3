//! A database of each kind for a test, filled by statements.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use common::SystemClock;
use peers::{MariaDb, Postgres};
use sql::{ConnectionString, DatabaseType, SqlDatabase, SqlQuery, SqlRules, SqlUsers};
use tempfile::TempDir;

pub(crate) use crate::stored_users::{StoredUsers, causes, described, hash};

/// A database that only one test uses.
pub(crate) struct TestDatabase {
    pub(crate) kind: DatabaseType,
    pub(crate) conn_string: String,
    server: TestServer,
    name: String,
}

enum TestServer {
    Postgres(Arc<Postgres>),
    MariaDb(Arc<MariaDb>),
    Sqlite(
        PathBuf,
        #[expect(dead_code, reason = "it is removed when the test ends")] TempDir,
    ),
}

/// The password of the database user `reader`. Each character is special in some connection string.
pub(crate) const READER_PASSWORD: &str = "p@ss/w:o'rd";

static POSTGRES: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
static MARIADB: Mutex<Weak<MariaDb>> = Mutex::new(Weak::new());

/// The server that all tests share while they run.
fn shared<S>(slot: &Mutex<Weak<S>>, start: fn() -> S) -> Arc<S> {
    let mut slot = slot.lock().unwrap();
    slot.upgrade().unwrap_or_else(|| {
        let server = Arc::new(start());
        *slot = Arc::downgrade(&server);
        server
    })
}

pub(crate) fn shared_postgres() -> Arc<Postgres> {
    shared(&POSTGRES, || {
        let server = Postgres::start();
        let password = READER_PASSWORD.replace('\'', "''");
        server.run(
            "postgres",
            &format!("CREATE ROLE reader LOGIN PASSWORD '{password}'"),
        );
        server
    })
}

pub(crate) fn shared_mariadb() -> Arc<MariaDb> {
    shared(&MARIADB, || {
        let server = MariaDb::start();
        let password = READER_PASSWORD.replace('\'', "''");
        server.run(&format!(
            "CREATE USER reader@'%' IDENTIFIED BY '{password}'"
        ));
        server
    })
}

/// A name that no other test has.
fn new_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl TestDatabase {
    pub(crate) fn postgres() -> Self {
        let (server, name) = (shared_postgres(), new_name());
        server.run("postgres", &format!("CREATE DATABASE {name}"));
        let socket = server.socket_directory().display();
        let port = server.port();
        Self {
            kind: DatabaseType::Postgres,
            conn_string: format!("host={socket} port={port} user=postgres dbname={name}"),
            server: TestServer::Postgres(server),
            name,
        }
    }

    pub(crate) fn mariadb() -> Self {
        let (server, name) = (shared_mariadb(), new_name());
        server.run(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
        Self {
            kind: DatabaseType::MySql,
            conn_string: format!("root@unix({})/{name}", server.socket().display()),
            server: TestServer::MariaDb(server),
            name,
        }
    }

    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("auth.db");
        std::fs::write(&file, "").unwrap();
        Self {
            kind: DatabaseType::Sqlite,
            conn_string: file.display().to_string(),
            server: TestServer::Sqlite(file, directory),
            name: String::new(),
        }
    }

    pub(crate) fn each() -> [Self; 3] {
        [Self::postgres(), Self::mariadb(), Self::sqlite()]
    }

    /// Runs statements as the database's superuser.
    pub(crate) fn run(&self, statements: &str) {
        match &self.server {
            TestServer::Postgres(server) => {
                server.run(&self.name, statements);
            }
            TestServer::MariaDb(server) => {
                server.run(&format!("USE {}; {statements}", self.name));
            }
            TestServer::Sqlite(file, _) => {
                let connection = rusqlite::Connection::open(file).unwrap();
                connection.execute_batch(statements).unwrap();
            }
        }
    }

    /// The tables as xorm makes them, empty.
    pub(crate) fn with_tables(self) -> Self {
        let (id, json) = match self.kind {
            DatabaseType::Postgres => ("BIGSERIAL PRIMARY KEY", "JSON"),
            DatabaseType::MySql => ("BIGINT(20) PRIMARY KEY AUTO_INCREMENT", "TEXT"),
            DatabaseType::Sqlite => ("INTEGER PRIMARY KEY AUTOINCREMENT", "TEXT"),
        };
        self.run(&format!(
            "CREATE TABLE xorm_user (id {id} NOT NULL, username VARCHAR(128) NOT NULL, \
             password_hash VARCHAR(128) NOT NULL, labels {json}); \
             CREATE TABLE xorm_acl_entry (acl_entry {json}, seq BIGINT);"
        ));
        self
    }

    pub(crate) fn add_user(&self, name: &str, hash: &str, labels: Option<&str>) {
        let labels = labels.map_or_else(|| "NULL".to_owned(), |labels| format!("'{labels}'"));
        self.run(&format!(
            "INSERT INTO xorm_user (username, password_hash, labels) VALUES ('{name}', '{hash}', {labels});"
        ));
    }

    pub(crate) fn add_rule(&self, seq: &str, entry: &str) {
        self.run(&format!(
            "INSERT INTO xorm_acl_entry (acl_entry, seq) VALUES ({entry}, {seq});"
        ));
    }

    /// The connection string of the user `reader`, who gets these rights on every table.
    pub(crate) fn for_reader(&self, rights: &str) -> String {
        match &self.server {
            TestServer::Postgres(server) => {
                self.run(&format!(
                    "GRANT {rights} ON ALL TABLES IN SCHEMA public TO reader"
                ));
                let password = READER_PASSWORD.replace('\'', "\\'");
                format!(
                    "host={} port={} user=reader password='{password}' dbname={}",
                    server.socket_directory().display(),
                    server.port(),
                    self.name
                )
            }
            TestServer::MariaDb(server) => {
                self.run(&format!("GRANT {rights} ON {}.* TO reader@'%'", self.name));
                format!(
                    "reader:{READER_PASSWORD}@unix({})/{}",
                    server.socket().display(),
                    self.name
                )
            }
            TestServer::Sqlite(file, _) => format!("file:{}?mode=ro", file.display()),
        }
    }

    /// `127.0.0.1:PORT` of the server.
    pub(crate) fn tcp_address(&self) -> String {
        let port = match &self.server {
            TestServer::Postgres(server) => server.port(),
            TestServer::MariaDb(server) => server.port(),
            TestServer::Sqlite(..) => panic!("SQLite has no server"),
        };
        format!("127.0.0.1:{port}")
    }

    /// The connection string of `reader` over TCP, without TLS, by way of `address`.
    pub(crate) fn reader_at(&self, address: &str) -> String {
        let name = &self.name;
        match self.kind {
            DatabaseType::Postgres => {
                let (host, port) = address.split_once(':').unwrap();
                let password = READER_PASSWORD.replace('\'', "\\'");
                format!(
                    "host={host} port={port} user=reader password='{password}' dbname={name} \
                     sslmode=disable"
                )
            }
            _ => format!("reader:{READER_PASSWORD}@tcp({address})/{name}"),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn users(&self) -> Users {
        users(self.kind, &self.conn_string, SqlQuery::of_users(self.kind))
    }

    pub(crate) fn rules(&self) -> SqlRules {
        let query = SqlQuery::of_rules(self.kind);
        SqlRules::new("acl_sql", database(self.kind, &self.conn_string), query)
    }
}

/// A backend under test.
pub(crate) type Users = StoredUsers<SqlUsers>;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn database(kind: DatabaseType, conn_string: &str) -> SqlDatabase {
    database_within(kind, conn_string, LIMIT)
}

pub(crate) fn database_within(
    kind: DatabaseType,
    conn_string: &str,
    limit: Duration,
) -> SqlDatabase {
    let to = ConnectionString::parse(kind, conn_string, &|_| None).unwrap();
    SqlDatabase::new(
        &to,
        NonZeroUsize::new(8).unwrap(),
        limit,
        Arc::new(SystemClock),
    )
}

pub(crate) fn users(kind: DatabaseType, conn_string: &str, query: SqlQuery) -> Users {
    users_of(database(kind, conn_string), query)
}

pub(crate) fn users_of(database: SqlDatabase, query: SqlQuery) -> Users {
    Users::new(|verifier| SqlUsers::new("sql_auth", database, query, verifier))
}
