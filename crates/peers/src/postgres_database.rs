//! Databases of one PostgreSQL server that all tests of a program share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::Postgres;

/// A database that only one test uses. Its server ends with the last test that uses it.
#[derive(Debug)]
pub struct TestPostgresDatabase {
    server: Arc<Postgres>,
    name: String,
    /// What it was copied from, which must not end before other tests have copied it.
    _template: Option<Arc<Self>>,
}

impl TestPostgresDatabase {
    /// Creates an empty one.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn create() -> Self {
        let server = shared(&SERVER, Postgres::start);
        Self::on(server, "template1", None)
    }

    /// A copy of one that `prepare` has filled, given its URL. That is done once for all tests which
    /// run at the same time, so they prepare the same.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn prepared(prepare: impl FnOnce(&str)) -> Self {
        static TEMPLATE: Mutex<Weak<TestPostgresDatabase>> = Mutex::new(Weak::new());
        let template = shared(&TEMPLATE, || {
            let template = Self::create();
            prepare(&template.url());
            template
        });
        let name = template.name.clone();
        Self::on(Arc::clone(&template.server), &name, Some(template))
    }

    fn on(server: Arc<Postgres>, template: &str, of: Option<Arc<Self>>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
        server.run("postgres", &sql);
        Self {
            server,
            name,
            _template: of,
        }
    }

    /// Its URL, by the Unix socket, as the superuser.
    #[must_use]
    pub fn url(&self) -> String {
        let (directory, port) = (self.server.socket_directory(), self.server.port());
        let (name, directory) = (&self.name, directory.display());
        format!("postgres://postgres@/{name}?host={directory}&port={port}")
    }

    /// Runs statements as the superuser.
    ///
    /// # Panics
    /// If one of them fails.
    pub fn run(&self, statements: &str) -> String {
        self.server.run(&self.name, statements)
    }
}

static SERVER: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

/// What all tests share while they run.
fn shared<T>(slot: &Mutex<Weak<T>>, make: impl FnOnce() -> T) -> Arc<T> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    slot.upgrade().unwrap_or_else(|| {
        let made = Arc::new(make());
        *slot = Arc::downgrade(&made);
        made
    })
}
