//! Servers for the tests.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use peers::Postgres;
use postgresql::{PoolSettings, PostgresLocation, PostgresPool};

/// The password of the database user `writer`, whose characters are special in a URL.
pub(crate) const PASSWORD: &str = "p@ss/w:o'rd";
pub(crate) const PASSWORD_IN_URL: &str = "p%40ss%2Fw%3Ao'rd";

/// A user who may do everything in a database of his own.
pub(crate) const CREATE_WRITER: &str = "CREATE ROLE writer LOGIN PASSWORD 'p@ss/w:o''rd'";

/// The server that tests share while they run.
pub(crate) fn shared() -> Arc<Postgres> {
    static SERVER: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
    let mut server = SERVER.lock().unwrap();
    server.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Postgres::start());
        started.run("postgres", CREATE_WRITER);
        *server = Arc::downgrade(&started);
        started
    })
}

/// A database that only one test uses.
pub(crate) struct TestDatabase {
    pub(crate) server: Arc<Postgres>,
    pub(crate) name: String,
}

impl TestDatabase {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let (server, number) = (shared(), NEXT.fetch_add(1, Ordering::Relaxed));
        let name = format!("test_{number}");
        server.run("postgres", &format!("CREATE DATABASE {name} OWNER writer"));
        Self { server, name }
    }

    /// The URL of `writer` over TCP, without TLS.
    pub(crate) fn url(&self) -> String {
        self.url_at(&format!("127.0.0.1:{}", self.server.port()))
    }

    /// The same by way of another address.
    pub(crate) fn url_at(&self, address: &str) -> String {
        let name = &self.name;
        format!("postgres://writer:{PASSWORD_IN_URL}@{address}/{name}?sslmode=disable")
    }

    pub(crate) fn pool(&self) -> PostgresPool {
        pool(&self.url())
    }

    /// Runs statements as the superuser.
    pub(crate) fn run(&self, statements: &str) -> String {
        self.server.run(&self.name, statements)
    }
}

pub(crate) fn pool(url: &str) -> PostgresPool {
    pool_with(url, PoolSettings::default())
}

pub(crate) fn pool_with(url: &str, settings: PoolSettings) -> PostgresPool {
    PostgresPool::new(PostgresLocation::parse(url).unwrap(), settings)
}

/// An error with its causes.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
