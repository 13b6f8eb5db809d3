//! The threads that do slow computing.
//!
//! They are not the runtime's: a verification neither holds up a request being served nor fills the
//! pool that file and database access share. On Linux they also run at a lower priority, so that a
//! core which is busy refusing passwords still answers everybody else at once.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::fair_queue::FairQueue;
use crate::{AuthenticationError, LoginSource};

/// How many may wait for their turn; the next is told to come back.
const WAITING: usize = 512;

/// How long one waits for its turn before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// When to come back.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How much less important than serving requests, on Unix's scale of 20 steps.
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads, started when first needed, and a bounded queue before them in which
/// origins take turns. They end when this is dropped.
pub struct WorkerPool {
    shared: Arc<Shared>,
    patience: Duration,
}

struct Shared {
    parallel: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    turns: FairQueue<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl WorkerPool {
    /// WorkerPool for so many jobs at once.
    #[must_use]
    pub fn new(parallel: NonZeroUsize) -> Self {
        let queue = Queue {
            turns: FairQueue::new(),
            threads: 0,
            idle: 0,
            closed: false,
        };
        let shared = Shared {
            parallel: parallel.get(),
            queue: Mutex::new(queue),
            changed: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
            patience: PATIENCE,
        }
    }

    /// How many jobs run at once.
    #[must_use]
    pub fn parallel(&self) -> usize {
        self.shared.parallel
    }

    /// Runs `work` when it is `origin`'s turn. When the caller gives up before that, it is never
    /// run.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        origin: &LoginSource,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthenticationError> {
        let (reply, mut answer) = oneshot::channel();
        let started = Arc::new(AtomicBool::new(false));
        let start = started.clone();
        let job = Box::new(move || {
            start.store(true, Ordering::Relaxed);
            if !reply.is_closed() {
                // The caller may have left in the meantime; then nobody wants the answer.
                let _ = reply.send(work());
            }
        });
        self.submit(origin, job)?;
        let answer = match timeout(self.patience, &mut answer).await {
            Ok(answer) => answer,
            Err(_) if started.load(Ordering::Relaxed) => answer.await,
            Err(_) => return Err(AuthenticationError::Busy(RETRY_AFTER)),
        };
        answer.map_err(|_| AuthenticationError::Busy(RETRY_AFTER))
    }

    fn submit(&self, origin: &LoginSource, job: Job) -> Result<(), AuthenticationError> {
        let mut queue = self.shared.lock();
        if queue.turns.len() >= WAITING {
            return Err(AuthenticationError::Busy(RETRY_AFTER));
        }
        queue.turns.push(origin, job);
        if queue.turns.len() > queue.idle && queue.threads < self.shared.parallel {
            let shared = self.shared.clone();
            let spawned = thread::Builder::new()
                .name("password".into())
                .spawn(move || shared.work());
            match spawned {
                Ok(_) => queue.threads += 1,
                Err(error) if queue.threads == 0 => {
                    queue.turns = FairQueue::new();
                    tracing::error!(%error, "no thread can be started to verify passwords");
                    return Err(AuthenticationError::Busy(RETRY_AFTER));
                }
                // The threads there are will come to it.
                Err(error) => tracing::warn!(%error, "fewer threads than wanted verify passwords"),
            }
        }
        drop(queue);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock, so what a poisoned lock guards is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        be_nice();
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.turns.pop() {
                drop(queue);
                // A job that panics drops its reply, which its caller sees; the thread goes on.
                let _ = catch_unwind(AssertUnwindSafe(job));
                queue = self.lock();
            } else if queue.closed {
                return;
            } else {
                queue.idle += 1;
                queue = self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }
}

/// Lowers this thread's priority. Only Linux has priorities by thread; elsewhere this would slow
/// the whole process.
fn be_nice() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "password verification keeps its ordinary priority");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use tokio::task::JoinHandle;

    use super::*;

    fn workers(parallel: usize) -> Arc<WorkerPool> {
        Arc::new(WorkerPool::new(NonZeroUsize::new(parallel).unwrap()))
    }

    fn origin(name: &impl ToString) -> LoginSource {
        LoginSource::Account(name.to_string())
    }

    #[tokio::test]
    async fn runs_no_more_than_it_may_at_once_and_not_on_the_runtimes_thread() {
        let workers = workers(3);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let here = thread::current().id();
        let jobs: Vec<_> = (0..40)
            .map(|n| {
                let (workers, running, most) = (workers.clone(), running.clone(), most.clone());
                tokio::spawn(async move {
                    let work = move || {
                        assert_ne!(thread::current().id(), here);
                        most.fetch_max(
                            running.fetch_add(1, Ordering::SeqCst) + 1,
                            Ordering::SeqCst,
                        );
                        thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        n
                    };
                    workers.run(&origin(&n), work).await.unwrap()
                })
            })
            .collect();
        for (n, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.await.unwrap(), n);
        }
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert!(workers.shared.lock().threads <= 3);
    }

    /// Occupies the only worker until the sender is dropped; the task is the one who waits for it.
    async fn occupy(workers: &Arc<WorkerPool>) -> (mpsc::Sender<()>, JoinHandle<()>) {
        let (release, held) = mpsc::channel::<()>();
        let (busy, is_busy) = oneshot::channel();
        let workers = workers.clone();
        let holder = tokio::spawn(async move {
            let hold = move || {
                busy.send(()).unwrap();
                let _ = held.recv();
            };
            workers.run(&origin(&"holder"), hold).await.unwrap();
        });
        is_busy.await.unwrap();
        (release, holder)
    }

    #[tokio::test]
    async fn a_full_queue_turns_away_at_once() {
        let workers = workers(1);
        let (release, _holder) = occupy(&workers).await;
        let waiting: Vec<_> = (0..WAITING)
            .map(|n| {
                let workers = workers.clone();
                tokio::spawn(async move { workers.run(&origin(&n), || ()).await })
            })
            .collect();
        while workers.shared.lock().turns.len() < WAITING {
            tokio::task::yield_now().await;
        }
        assert!(matches!(
            workers.run(&origin(&"late"), || ()).await,
            Err(AuthenticationError::Busy(_))
        ));
        drop(release);
        for one in waiting {
            one.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn patience_ends_a_wait_but_not_a_verification() {
        let mut impatient = WorkerPool::new(NonZeroUsize::MIN);
        impatient.patience = Duration::from_millis(250);
        let workers = Arc::new(impatient);
        let (release, begun) = occupy(&workers).await;
        assert!(matches!(
            workers.run(&origin(&"waits"), || ()).await,
            Err(AuthenticationError::Busy(_))
        ));
        // The one that has begun is past its patience, too, and is seen to its end.
        drop(release);
        begun.await.unwrap();
        assert_eq!(workers.run(&origin(&"next"), || 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_run() {
        let workers = workers(1);
        let (release, _holder) = occupy(&workers).await;
        let ran = Arc::new(AtomicBool::new(false));
        let flag = ran.clone();
        let (left, gone) = (workers.clone(), origin(&"gone"));
        let gave_up = tokio::spawn(async move {
            left.run(&gone, move || flag.store(true, Ordering::SeqCst))
                .await
        });
        while workers.shared.lock().turns.len() == 0 {
            tokio::task::yield_now().await;
        }
        gave_up.abort();
        assert!(gave_up.await.unwrap_err().is_cancelled());
        drop(release);
        workers.run(&origin(&"next"), || ()).await.unwrap();
        assert!(!ran.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_is_one_callers_trouble() {
        let workers = workers(1);
        assert!(matches!(
            workers.run(&origin(&"a"), || panic!("on purpose")).await,
            Err(AuthenticationError::Busy(_))
        ));
        assert_eq!(workers.run(&origin(&"b"), || 7).await.unwrap(), 7);
    }
}
