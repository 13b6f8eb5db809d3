//! A registry whose metadata is in PostgreSQL.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use peers::Postgres;
use postgresql::{PoolSettings, PostgresLocation, PostgresPool};
use registry::Authentication;
use storage::{
    DatabaseClock, LookPeriods, PostgresMetadata, PostgresSettings, Retention, Storage,
    UploadLimits,
};

use super::world::{Still, World, settings};

/// A server with the registry's tables.
pub(crate) struct RegistryDatabase {
    server: Postgres,
    pool: PostgresPool,
}

const EMPTY: &str = "DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(tablename, ', ') || ' RESTART IDENTITY'
    FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('outbox_positions', 'schema')); END $$";

impl RegistryDatabase {
    pub(crate) fn start() -> Self {
        let server = Postgres::start();
        let directory = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../database/migrations/postgresql"
        );
        let files = fs::read_dir(directory).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        server.run("postgres", "CREATE ROLE writer LOGIN PASSWORD 'secret'");
        server.run("postgres", "CREATE DATABASE registry OWNER writer");
        for file in files {
            let statements = fs::read_to_string(file).unwrap();
            server.run("registry", &format!("SET ROLE writer; {statements}"));
        }
        let port = server.port();
        let url = format!("postgres://writer:secret@127.0.0.1:{port}/registry?sslmode=disable");
        let location = PostgresLocation::parse(&url).unwrap();
        let pool = PostgresPool::new(location, PoolSettings::default());
        Self { server, pool }
    }
}

impl World {
    /// As [`open`](Self::open), with metadata in PostgreSQL. What was there is removed.
    pub(crate) async fn in_postgres(database: &RegistryDatabase) -> Self {
        database.server.run("registry", EMPTY);
        let directory = tempfile::tempdir().unwrap();
        let settings_of_server = PostgresSettings {
            server: [1; 16],
            retention: Retention::default(),
            look: LookPeriods::of_all(Duration::from_millis(1)),
            clock: DatabaseClock::Given(Arc::new(Still)),
        };
        let metadata = PostgresMetadata::new(database.pool.clone(), settings_of_server);
        let root = directory.path().join("content");
        let storage = Storage::open_shared(metadata, root, UploadLimits::default());
        let storage = storage.await.unwrap();
        let mut world = Self::on(storage, directory, settings(Authentication::Open));
        world.load().await;
        world
    }
}
