//! One collection, whose client is made when it is first needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Client, Collection, IndexModel};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use crate::error::MongoError;
use crate::settings::MongoSettings;

/// The pause before an index is tried again that could not be made because no server was there.
const INDEX_PAUSE: Duration = Duration::from_secs(30);

/// A collection whose documents have a key of which no two have the same.
///
/// An operation has one time limit, with connecting. The driver keeps the connections, and repeats a
/// read once whose connection broke.
pub(crate) struct MongoCollection {
    section: &'static str,
    settings: MongoSettings,
    key: &'static str,
    client: Mutex<Option<Arc<ConnectedClient>>>,
    /// Whether nothing is changed, not even the index.
    only_reads: AtomicBool,
}

/// A client of the driver, with the task that makes the index.
struct ConnectedClient {
    client: Client,
    indexing: Option<AbortHandle>,
    /// How many operations it has completed.
    completed: AtomicU64,
}

impl MongoCollection {
    /// The collection of `settings`, for the section `section`. Nothing is connected yet.
    pub(crate) fn new(section: &'static str, settings: MongoSettings, key: &'static str) -> Self {
        Self {
            section,
            settings,
            key,
            client: Mutex::default(),
            only_reads: AtomicBool::new(false),
        }
    }

    /// From now on, a new client makes no index.
    pub(crate) fn only_read(&self) {
        self.only_reads.store(true, Ordering::Relaxed);
    }

    /// The documents that `filter` finds, `limit` at most.
    pub(crate) async fn find(
        &self,
        filter: Document,
        limit: i64,
    ) -> Result<Vec<Document>, MongoError> {
        let timeout = self.settings.timeout;
        let mut asked = None;
        let found = tokio::time::timeout(timeout, async {
            let client = self.connected().await?;
            let completed = client.completed.load(Ordering::Relaxed);
            let (client, _) = asked.insert((client, completed));
            let found = read(&self.collection(&client.client), filter, limit).await?;
            client.completed.fetch_add(1, Ordering::Relaxed);
            Ok(found)
        });
        if let Ok(outcome) = found.await {
            return outcome;
        }
        if let Some((client, completed)) = asked
            && client.completed.load(Ordering::Relaxed) == completed
        {
            self.forget(&client);
        }
        Err(MongoError::TimedOut(timeout))
    }

    /// The client. The first caller makes it.
    async fn connected(&self) -> Result<Arc<ConnectedClient>, MongoError> {
        let mut slot = self.client.lock().await;
        if let Some(client) = &*slot {
            return Ok(Arc::clone(client));
        }
        let options = self.settings.options().await?;
        let client = Client::with_options(options)?;
        let indexing = (!self.only_reads.load(Ordering::Relaxed)).then(|| {
            let indexing = make_index(self.section, self.collection(&client), self.key);
            tokio::spawn(indexing).abort_handle()
        });
        let client = Arc::new(ConnectedClient {
            client,
            indexing,
            completed: AtomicU64::default(),
        });
        Ok(Arc::clone(slot.insert(client)))
    }

    /// Drops a client with which nothing was completed for as long as an operation may take. The
    /// driver waits for ever for the first answer on a new connection, and opens two at a time.
    fn forget(&self, client: &Arc<ConnectedClient>) {
        // If another operation has the slot, it has a newer client, or the next one drops this.
        if let Ok(mut slot) = self.client.try_lock() {
            slot.take_if(|current| Arc::ptr_eq(current, client));
        }
    }

    fn collection(&self, client: &Client) -> Collection<Document> {
        let MongoSettings {
            database,
            collection,
            ..
        } = &self.settings;
        client.database(database).collection(collection)
    }
}

impl Drop for ConnectedClient {
    fn drop(&mut self) {
        if let Some(indexing) = &self.indexing {
            indexing.abort();
        }
    }
}

async fn read(
    collection: &Collection<Document>,
    filter: Document,
    limit: i64,
) -> Result<Vec<Document>, MongoError> {
    let mut cursor = collection.find(filter).limit(limit).await?;
    let mut found = Vec::new();
    while cursor.advance().await? {
        found.push(cursor.deserialize_current()?);
    }
    Ok(found)
}

/// Makes the unique index that docker_auth makes, or logs why it cannot. No login waits for it:
/// rights to read are enough.
async fn make_index(section: &'static str, collection: Collection<Document>, key: &'static str) {
    loop {
        let options = IndexOptions::builder().unique(true).build();
        let index = IndexModel::builder().keys(doc! { key: 1 }).options(options);
        let Err(error) = collection.create_index(index.build()).await else {
            return;
        };
        let error = MongoError::from(error);
        if !error.may_pass() {
            let error = &error as &dyn std::error::Error;
            let collection = collection.name();
            tracing::warn!(
                section,
                collection,
                key,
                error,
                "the unique index cannot be made, so two documents may have the same key"
            );
            return;
        }
        tokio::time::sleep(INDEX_PAUSE).await;
    }
}
