//! A database of one test, of either kind. The crates whose stores are in it include this file.

use database::{Database, DatabaseLocation};
use peers::TestPostgresDatabase;
use tempfile::TempDir;

/// The kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatabaseKind {
    /// A file.
    Sqlite,
    /// On a server.
    Postgres,
}

/// A database with tables and no rows.
pub(crate) struct TestDatabase {
    // Fields are dropped in this order: the database before its place.
    pub(crate) database: Database,
    #[allow(dead_code, reason = "not every crate opens it a second time")]
    pub(crate) location: DatabaseLocation,
    _place: Place,
}

#[expect(dead_code, reason = "they are removed when the test ends")]
enum Place {
    Directory(TempDir),
    Server(TestPostgresDatabase),
}

impl TestDatabase {
    pub(crate) fn new(kind: DatabaseKind) -> Self {
        match kind {
            DatabaseKind::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                let location = DatabaseLocation::at(directory.path().join("wharfinger.db"));
                Self {
                    database: Database::open_exclusive(&location).unwrap(),
                    location,
                    _place: Place::Directory(directory),
                }
            }
            DatabaseKind::Postgres => {
                let server = TestPostgresDatabase::prepared(migrate);
                let location: DatabaseLocation = server.url().parse().unwrap();
                Self {
                    database: Database::open(&location).unwrap(),
                    location,
                    _place: Place::Server(server),
                }
            }
        }
    }
}

/// Creates the tables, in a runtime of its own, which leaves no connection behind.
fn migrate(url: &str) {
    let location: DatabaseLocation = url.parse().unwrap();
    let migrate = move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let database = Database::open_exclusive(&location).unwrap();
            database.ready().await.unwrap();
        });
    };
    std::thread::spawn(migrate).join().unwrap();
}
