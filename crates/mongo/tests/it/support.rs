//! A database for a test, and a backend that asks it.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use mongo::{MongoAddress, MongoRules, MongoSettings, MongoUsers, ServerSelection};
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use peers::{FerretDb, FerretDbConfig};

pub(crate) use crate::stored_users::{StoredUsers, causes, hash};

/// A time limit that only a hanging test reaches.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

static SERVER: Mutex<Weak<FerretDb>> = Mutex::new(Weak::new());

/// A database that only one test uses, in the server that all share.
pub(crate) struct TestDatabase {
    pub(crate) server: Arc<FerretDb>,
    name: String,
}

impl TestDatabase {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut slot = SERVER.lock().unwrap();
        let server = slot.upgrade().unwrap_or_else(|| {
            let server = Arc::new(FerretDb::start(FerretDbConfig::default()));
            *slot = Arc::downgrade(&server);
            server
        });
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Self { server, name }
    }

    /// A collection, for the test to write to.
    pub(crate) async fn collection(&self, name: &str) -> Collection<Document> {
        let uri = format!("mongodb://{}/", self.server.host_port());
        let client = Client::with_uri_str(uri).await.unwrap();
        client.database(&self.name).collection(name)
    }

    pub(crate) async fn add_user(&self, user: Document) {
        self.collection("users")
            .await
            .insert_one(user)
            .await
            .unwrap();
    }

    pub(crate) fn settings(&self, collection: &str) -> MongoSettings {
        self.settings_at(&self.server.host_port(), collection)
    }

    /// The same by way of `host_port`.
    pub(crate) fn settings_at(&self, host_port: &str, collection: &str) -> MongoSettings {
        let server = host_port.parse().unwrap();
        settings(
            MongoAddress::of_servers(vec![server]),
            &self.name,
            collection,
        )
    }

    pub(crate) fn users(&self) -> Users {
        Users::of(self.settings("users"))
    }

    pub(crate) fn rules(&self) -> MongoRules {
        MongoRules::new("acl_mongo", self.settings("acl"))
    }
}

pub(crate) fn settings(address: MongoAddress, database: &str, collection: &str) -> MongoSettings {
    MongoSettings {
        address,
        database: database.to_owned(),
        collection: collection.to_owned(),
        timeout: LIMIT,
        selection: ServerSelection::Patient,
        connections: NonZeroU32::new(8).unwrap(),
    }
}

/// A backend under test.
pub(crate) type Users = StoredUsers<MongoUsers>;

impl Users {
    pub(crate) fn of(settings: MongoSettings) -> Self {
        Self::with_concurrency(settings, 16)
    }

    pub(crate) fn with_concurrency(settings: MongoSettings, concurrency: usize) -> Self {
        let concurrency = NonZeroUsize::new(concurrency).unwrap();
        Self::new(|verifier| MongoUsers::new("mongo_auth", settings, concurrency, verifier))
    }
}

/// The user `ann` with a password.
pub(crate) fn ann(password: &str) -> Document {
    doc! {"username": "ann", "password": hash(password)}
}
