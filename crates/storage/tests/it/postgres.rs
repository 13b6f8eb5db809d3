//! Databases of PostgreSQL for the tests, with the registry's tables.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use common::Clock;
use peers::{PgBouncer, Postgres};
use postgresql::{PoolSettings, PostgresLocation, PostgresPool};
use storage::{DatabaseClock, LookPeriods, PostgresMetadata, PostgresSettings, Retention};

/// How long servers answer from memory in tests without a look.
const LOOK: Duration = Duration::from_millis(2);

const USERS: &[(&str, &str)] = &[("writer", "secret")];

/// A server with a database that has the registry's tables, from which others are copied.
pub(crate) struct TestServer {
    pub(crate) postgres: Postgres,
    pub(crate) bouncer: PgBouncer,
    /// Databases that no test uses now.
    free: Mutex<Vec<String>>,
}

/// Empties a database: faster than making another one.
const EMPTY: &str =
    "DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(tablename, ', ') || ' RESTART IDENTITY'
    FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('outbox_positions', 'schema'));
    UPDATE outbox_positions SET last = 0; END $$";

impl TestServer {
    fn start() -> Self {
        let postgres = Postgres::start();
        postgres.run("postgres", "CREATE ROLE writer LOGIN PASSWORD 'secret'");
        postgres.run("postgres", "CREATE DATABASE template OWNER writer");
        let directory = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../database/migrations/postgresql"
        );
        let files = fs::read_dir(Path::new(directory)).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files {
            let statements = fs::read_to_string(file).unwrap();
            postgres.run("template", &format!("SET ROLE writer; {statements}"));
        }
        let bouncer = PgBouncer::start(&postgres, USERS);
        let free = Mutex::default();
        Self {
            postgres,
            bouncer,
            free,
        }
    }

    /// The server that tests share while they run.
    fn shared() -> Arc<Self> {
        static SERVER: Mutex<Weak<TestServer>> = Mutex::new(Weak::new());
        let mut server = SERVER.lock().unwrap();
        server.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start());
            *server = Arc::downgrade(&started);
            started
        })
    }
}

/// A database that one test uses.
pub(crate) struct TestDatabase {
    pub(crate) server: Arc<TestServer>,
    name: String,
}

impl TestDatabase {
    pub(crate) fn new() -> Arc<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let server = TestServer::shared();
        if let Some(name) = server.free.lock().unwrap().pop() {
            return Arc::new(Self {
                server: Arc::clone(&server),
                name,
            });
        }
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let create = format!("CREATE DATABASE {name} TEMPLATE template OWNER writer");
        server.postgres.run("postgres", &create);
        Arc::new(Self { server, name })
    }

    /// Connections of one more server.
    pub(crate) fn pool(&self) -> PostgresPool {
        self.pool_at(self.server.postgres.port())
    }

    /// The same, by way of the pooler.
    pub(crate) fn pooled(&self) -> PostgresPool {
        self.pool_at(self.server.bouncer.port())
    }

    pub(crate) fn pool_at(&self, port: u16) -> PostgresPool {
        let name = &self.name;
        let url = format!("postgres://writer:secret@127.0.0.1:{port}/{name}?sslmode=disable");
        let settings = PoolSettings {
            connections: NonZeroUsize::new(8).unwrap(),
            wait: Duration::from_secs(20),
            ..PoolSettings::default()
        };
        PostgresPool::new(PostgresLocation::parse(&url).unwrap(), settings)
    }

    /// Runs statements as the superuser.
    pub(crate) fn run(&self, statements: &str) -> String {
        self.server.postgres.run(&self.name, statements)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // What a test that fails leaves open would keep this waiting. Its database is not used again.
        if std::thread::panicking() {
            return;
        }
        self.run(EMPTY);
        let mut free = self.server.free.lock().unwrap();
        free.push(std::mem::take(&mut self.name));
    }
}

/// One more server's metadata. Its number tells servers apart.
pub(crate) fn replica(
    pool: PostgresPool,
    number: u8,
    retention: Retention,
    clock: Arc<dyn Clock>,
) -> PostgresMetadata {
    replica_with(pool, number, retention, clock, LookPeriods::of_all(LOOK))
}

pub(crate) fn replica_with(
    pool: PostgresPool,
    number: u8,
    retention: Retention,
    clock: Arc<dyn Clock>,
    look: LookPeriods,
) -> PostgresMetadata {
    let settings = PostgresSettings {
        server: [number; 16],
        retention,
        look,
        clock: DatabaseClock::Given(clock),
    };
    PostgresMetadata::new(pool, settings)
}
