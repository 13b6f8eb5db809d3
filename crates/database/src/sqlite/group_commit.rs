//! Group commit: one thread writes. Writes that arrive while it waits for the disk share the next
//! commit.
//!
//! A commit waits for the disk once, whatever its size. Writes do not notice that they share one: each
//! runs in a savepoint of its own, and a write that fails is undone alone. If SQLite rolls back the
//! whole transaction (the disk is full, or the commit fails), every write is tried again in a
//! transaction of its own. So each gets the result that it would have had alone, and must be able to
//! run more than once.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use common::{
    Counter, FINE_DURATION_BOUNDS, Gauge, Histogram, HistogramSnapshot, SMALL_NUMBER_BOUNDS,
    Stopwatch,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::file::DatabaseFile;
use crate::Error;

/// How many writes may be queued. Callers beyond that wait for room in the queue.
const QUEUE: usize = 1024;
/// The largest number of writes in one commit. More would save little, and the first would wait long.
const BATCH: usize = 256;

/// The thread that writes. When it is dropped, it finishes all queued writes.
#[derive(Debug)]
pub(crate) struct GroupCommit {
    queue: Option<mpsc::Sender<Box<dyn Write>>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

/// What a writer has done since it started.
#[derive(Debug)]
struct Counters {
    writes: Counter,
    commits: Counter,
    /// Writes that wait for their commit.
    waiting: Gauge,
    /// How many writes a commit has.
    batch: Histogram,
    /// How long a write waits for its commit, in nanoseconds.
    wait: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            writes: Counter::default(),
            commits: Counter::default(),
            waiting: Gauge::default(),
            batch: Histogram::new(SMALL_NUMBER_BOUNDS),
            wait: Histogram::new(FINE_DURATION_BOUNDS),
        }
    }
}

/// A write that waits for its commit, until this is dropped.
struct WaitingWrite<'a> {
    counters: &'a Counters,
    watch: Stopwatch,
}

impl<'a> WaitingWrite<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.waiting.add(1);
        Self {
            counters,
            watch: Stopwatch::start(),
        }
    }
}

impl Drop for WaitingWrite<'_> {
    fn drop(&mut self) {
        self.counters.waiting.add(-1);
        self.counters.wait.observe_duration(self.watch.elapsed());
    }
}

/// How writes were committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatistics {
    /// How many writes wait for their commit now.
    pub waiting: i64,
    /// How many writes the commits had.
    pub batch: HistogramSnapshot,
    /// How long writes waited for their commits, in nanoseconds.
    pub wait: HistogramSnapshot,
}

/// How many writes and commits there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Successful writes.
    pub writes: u64,
    /// Their commits. Each waits for the disk once.
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
        let _waiting = WaitingWrite::new(&self.counters);
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
        let Counters {
            writes, commits, ..
        } = self.counters.as_ref();
        Activity {
            writes: writes.value(),
            commits: commits.value(),
        }
    }

    pub(crate) fn statistics(&self) -> CommitStatistics {
        CommitStatistics {
            waiting: self.counters.waiting.value(),
            batch: self.counters.batch.snapshot(),
            wait: self.counters.wait.snapshot(),
        }
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        // Without senders, the thread finishes its queue and ends.
        self.queue = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A write may hold the last clone of the database. A thread cannot wait for its own end.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the database's writer panicked");
        }
    }
}

/// A queued write. It runs once or more often, and gets one result.
trait Write: Send {
    /// Runs it, and returns whether its changes are to be kept.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Sends its result to the caller, given the outcome of the commit.
    fn answer(self: Box<Self>, commit: Result<(), Error>);
}

/// A write whose result goes to the receiver of `reply`.
struct Pending<F, T, E> {
    work: F,
    returned: Option<Returned<T, E>>,
    reply: oneshot::Sender<Returned<T, E>>,
}

/// What a write returned, or its panic.
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
            // Its own error says more than the commit's.
            (Some(returned @ (Err(_) | Ok(Err(_)))), _) => returned,
            (Some(returned), Ok(())) => returned,
            (_, Err(error)) => Ok(Err(error.into())),
            (None, Ok(())) => Ok(Err(Error::Unfinished.into())),
        };
        // The caller may have stopped waiting.
        let _ = self.reply.send(returned);
    }
}

/// Takes writes from `queue` and commits them, until all senders are dropped and the queue is empty.
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
            counters.writes.add(kept);
            if kept > 0 {
                counters.commits.increment();
                counters.batch.observe(kept);
            }
            batch.into_iter().for_each(|write| write.answer(Ok(())));
        }
        Err(Abandoned::Later(_)) if batch.len() > 1 => {
            batch
                .into_iter()
                .for_each(|write| commit(connection, place, vec![write], counters));
        }
        // If the transaction did not begin, each would wait for the same lock again.
        Err(Abandoned::Later(error) | Abandoned::AtBegin(error)) => {
            batch
                .into_iter()
                .for_each(|write| write.answer(Err(error.clone())));
        }
    }
}

/// Why a batch was not committed.
enum Abandoned {
    AtBegin(Error),
    Later(Error),
}

impl From<rusqlite::Error> for Abandoned {
    fn from(error: rusqlite::Error) -> Self {
        Self::Later(error.into())
    }
}

/// Runs `batch` as one transaction, and returns how many of its writes were kept.
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
