//! Group commit: one thread writes, and what arrives while it waits for the disk goes into the next
//! commit together.
//!
//! A commit costs one wait for the disk however much is in it. So that gathering is invisible to
//! those who are gathered, each write runs in a savepoint of its own: one that fails is undone
//! alone. Where SQLite gives up the whole transaction (the disk is full, the commit itself fails),
//! every write of it is tried again by itself, so that each gets the answer that it would have had
//! alone. That is why a write must be able to run more than once.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::Error;
use crate::file::DatabaseFile;

/// Writes that may wait; whoever comes then waits to be allowed to wait.
const QUEUE: usize = 1024;
/// Writes in one commit: more would save little and make the first wait for the last.
const BATCH: usize = 256;

/// The thread that writes. When it is dropped it finishes what was begun.
#[derive(Debug)]
pub(crate) struct GroupCommit {
    queue: Option<mpsc::Sender<Box<dyn Write>>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

/// What a writer has done since it started.
#[derive(Debug, Default)]
struct Counters {
    writes: AtomicU64,
    commits: AtomicU64,
}

/// How much has been written, and in how many goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Writes that were answered with success.
    pub writes: u64,
    /// Commits that held them: each is one wait for the disk.
    pub commits: u64,
}

impl GroupCommit {
    pub(crate) fn start(connection: Connection, place: DatabaseFile) -> io::Result<Self> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let counted = Arc::clone(&counters);
        let thread = thread::Builder::new()
            .name("database".to_owned())
            .spawn(move || run(&connection, &place, queue, &counted))?;
        Ok(Self {
            queue: Some(sender),
            thread: Some(thread),
            counters,
        })
    }

    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let Some(queue) = &self.queue else {
            return Err(Error::Closed.into());
        };
        let (reply, answer) = oneshot::channel();
        if queue
            .send(Box::new(Pending {
                work,
                returned: None,
                reply,
            }))
            .await
            .is_err()
        {
            return Err(Error::Closed.into());
        }
        match answer.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Error::Closed.into()),
        }
    }

    pub(crate) fn activity(&self) -> Activity {
        let Counters { writes, commits } = self.counters.as_ref();
        Activity {
            writes: writes.load(Ordering::Relaxed),
            commits: commits.load(Ordering::Relaxed),
        }
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        // Without senders the thread finishes its queue and ends.
        self.queue = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A write may itself hold the last clone of the database; a thread cannot wait for its own
        // end.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the database's writer panicked");
        }
    }
}

/// A write on its way: run, perhaps more than once, then answered once.
trait Write: Send {
    /// Runs it and says whether what it did is to be kept.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Tells the one who waits how it went, given how the commit went.
    fn answer(self: Box<Self>, commit: Result<(), Error>);
}

/// A write whose result goes to whoever awaits the other end of `reply`.
struct Pending<F, T, E> {
    work: F,
    returned: Option<Returned<T, E>>,
    reply: oneshot::Sender<Returned<T, E>>,
}

/// What a write returned, or how it panicked.
type Returned<T, E> = thread::Result<Result<T, E>>;

impl<F, T, E> Write for Pending<F, T, E>
where
    F: FnMut(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let returned = catch_unwind(AssertUnwindSafe(|| (self.work)(connection)));
        let keep = matches!(returned, Ok(Ok(_)));
        self.returned = Some(returned);
        keep
    }

    fn answer(self: Box<Self>, commit: Result<(), Error>) {
        let returned = match (self.returned, commit) {
            // Its own failure says more than the commit's.
            (Some(returned @ (Err(_) | Ok(Err(_)))), _) => returned,
            (Some(returned), Ok(())) => returned,
            (_, Err(error)) => Ok(Err(error.into())),
            (None, Ok(())) => Ok(Err(Error::Unfinished.into())),
        };
        // Who has stopped waiting misses nothing.
        let _ = self.reply.send(returned);
    }
}

/// Gathers writes from `queue` and commits them, until every sender is gone and the queue is empty.
fn run(
    connection: &Connection,
    place: &DatabaseFile,
    mut queue: mpsc::Receiver<Box<dyn Write>>,
    counters: &Counters,
) {
    while let Some(first) = queue.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        commit(connection, place, batch, counters);
    }
}

fn commit(
    connection: &Connection,
    place: &DatabaseFile,
    mut batch: Vec<Box<dyn Write>>,
    counters: &Counters,
) {
    match attempt(connection, place, &mut batch) {
        Ok(kept) => {
            counters.writes.fetch_add(kept, Ordering::Relaxed);
            counters
                .commits
                .fetch_add(u64::from(kept > 0), Ordering::Relaxed);
            batch.into_iter().for_each(|write| write.answer(Ok(())));
        }
        Err(Abandoned::Later(_)) if batch.len() > 1 => {
            batch
                .into_iter()
                .for_each(|write| commit(connection, place, vec![write], counters));
        }
        // Where the transaction did not even begin, they would all wait for the same lock in vain,
        // one after the other.
        Err(Abandoned::Later(error) | Abandoned::AtBegin(error)) => {
            batch
                .into_iter()
                .for_each(|write| write.answer(Err(error.clone())));
        }
    }
}

/// Why nothing of a batch is in the database.
enum Abandoned {
    AtBegin(Error),
    Later(Error),
}

impl From<rusqlite::Error> for Abandoned {
    fn from(error: rusqlite::Error) -> Self {
        Self::Later(error.into())
    }
}

/// Runs `batch` as one transaction and says how many of it were kept.
fn attempt(
    connection: &Connection,
    place: &DatabaseFile,
    batch: &mut [Box<dyn Write>],
) -> Result<u64, Abandoned> {
    place.check().map_err(Abandoned::AtBegin)?;
    let begin = Transaction::new_unchecked(connection, TransactionBehavior::Immediate);
    let transaction = begin.map_err(|error| Abandoned::AtBegin(error.into()))?;
    let execute = |sql: &str| transaction.prepare_cached(sql)?.execute(());
    let mut kept = 0;
    for write in batch {
        execute("SAVEPOINT write")?;
        let keep = write.run(&transaction);
        if transaction.is_autocommit() {
            return Err(Abandoned::Later(Error::Unfinished));
        }
        if keep {
            kept += 1;
        } else {
            execute("ROLLBACK TO write")?;
        }
        execute("RELEASE write")?;
    }
    transaction.commit()?;
    Ok(kept)
}
