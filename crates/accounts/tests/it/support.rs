//! A database with what is in it, and a clock that a test moves.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use accounts::{AccountName, AccountStore, RuleList};
use common::{Clock, Secret, SystemEntropy};
use database::{
    AdministrationEntry, AdministrationFilter, Administrator, Database, DatabaseConnection,
    logged_changes,
};
use policy::Labels;

use crate::test_database::{DatabaseKind, TestDatabase};

/// 2026-11-01, when every test begins.
pub(crate) fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_793_491_200)
}

/// A clock that moves only in [`pass`](Self::pass).
pub(crate) struct HeldClock(Mutex<SystemTime>);

impl HeldClock {
    pub(crate) fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for HeldClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// The database of one test.
pub(crate) struct Bench {
    pub(crate) store: AccountStore,
    pub(crate) rules: RuleList,
    pub(crate) database: Database,
    pub(crate) clock: Arc<HeldClock>,
    place: TestDatabase,
}

impl Bench {
    pub(crate) fn new(kind: DatabaseKind) -> Self {
        let place = TestDatabase::new(kind);
        let database = place.database.clone();
        let clock = Arc::new(HeldClock(Mutex::new(start())));
        Self {
            store: store(&database, &clock),
            rules: RuleList::new(database.clone(), clock.clone()),
            database,
            clock,
            place,
        }
    }

    /// The database as a command opens it, beside the server.
    pub(crate) fn of_a_command(&self) -> (AccountStore, RuleList) {
        let database = Database::open(&self.place.location).unwrap();
        let rules = RuleList::new(database.clone(), self.clock.clone());
        (store(&database, &self.clock), rules)
    }

    /// What was logged, the latest first.
    pub(crate) async fn log(&self) -> Vec<AdministrationEntry> {
        let read = self.database.read(|connection: &DatabaseConnection| {
            logged_changes(connection, &AdministrationFilter::default(), 1000)
        });
        read.await.unwrap()
    }

    /// The actions that were logged, the latest first.
    pub(crate) async fn actions(&self) -> Vec<String> {
        let log = self.log().await;
        log.into_iter().map(|entry| entry.action).collect()
    }

    pub(crate) async fn add(&self, name: &str, password: &str, labels: Labels) {
        let (by, name, password) = (root(), named(name), Secret::from(password));
        let add = self.store.add(&by, &name, &password, labels);
        add.await.unwrap();
    }
}

fn store(database: &Database, clock: &Arc<HeldClock>) -> AccountStore {
    AccountStore::new(database.clone(), clock.clone(), Arc::new(SystemEntropy))
}

pub(crate) fn root() -> Administrator {
    Administrator::SystemUser("root (uid 0)".to_owned())
}

pub(crate) fn named(name: &str) -> AccountName {
    name.parse().unwrap()
}

pub(crate) fn labels(name: &str, values: &[&str]) -> Labels {
    let values = values.iter().map(ToString::to_string).collect();
    [(name.to_owned(), values)].into()
}
