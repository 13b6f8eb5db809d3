//! The threads that do slow computing.
//!
//! They are not the runtime's threads: a verification neither delays a request nor fills the pool
//! that file and database access share. On Linux they also run at a lower priority, so a core that
//! is busy with passwords still answers other requests at once.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::fair_queue::{FairQueue, QueueFull};
use crate::{AuthenticationError, LoginSource, RETRY_AFTER};

/// How many jobs may wait for their turn.
const WAITING: usize = 512;

/// How long a job waits for its turn.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How much less important than requests these threads are, on Unix's scale of 20 steps.
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads, started when first needed, and a bounded queue before them in which
/// sources take turns. The threads end when this is dropped.
pub struct WorkerPool {
    shared: Arc<Shared>,
    longest_wait: Duration,
}

/// How much a pool has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerStatistics {
    /// How many jobs can run at once.
    pub parallel: usize,
    /// How many run now.
    pub running: usize,
    /// How many wait.
    pub waiting: usize,
}

struct Shared {
    parallel: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    waiting: FairQueue<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl WorkerPool {
    /// A pool that runs so many jobs at once.
    #[must_use]
    pub fn new(parallel: NonZeroUsize) -> Self {
        let queue = Queue {
            waiting: FairQueue::new(WAITING),
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
            longest_wait: LONGEST_WAIT,
        }
    }

    /// How many jobs run at once.
    #[must_use]
    pub fn parallel(&self) -> usize {
        self.shared.parallel
    }

    /// How much there is to do now.
    #[must_use]
    pub fn statistics(&self) -> WorkerStatistics {
        let queue = self.shared.lock();
        WorkerStatistics {
            parallel: self.shared.parallel,
            running: queue.threads - queue.idle,
            waiting: queue.waiting.len(),
        }
    }

    /// Runs `work` when it is the turn of `source`. If the caller gives up before that, `work` is
    /// never run.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        source: &LoginSource,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthenticationError> {
        let (reply, mut answer) = oneshot::channel();
        let started = Arc::new(AtomicBool::new(false));
        let start = started.clone();
        let job = Box::new(move || {
            start.store(true, Ordering::Relaxed);
            if !reply.is_closed() {
                // The caller may have left in the meantime.
                let _ = reply.send(work());
            }
        });
        self.submit(source, job)?;
        let answer = match timeout(self.longest_wait, &mut answer).await {
            Ok(answer) => answer,
            Err(_) if started.load(Ordering::Relaxed) => answer.await,
            Err(_) => return Err(AuthenticationError::Busy(RETRY_AFTER)),
        };
        answer.map_err(|_| AuthenticationError::Busy(RETRY_AFTER))
    }

    fn submit(&self, source: &LoginSource, job: Job) -> Result<(), AuthenticationError> {
        let mut queue = self.shared.lock();
        // A job that is dropped for another one drops its reply, so its caller gets `Busy`.
        queue
            .waiting
            .push(source, job)
            .map_err(|QueueFull| AuthenticationError::Busy(RETRY_AFTER))?;
        if queue.waiting.len() > queue.idle && queue.threads < self.shared.parallel {
            let shared = self.shared.clone();
            let spawned = thread::Builder::new()
                .name("password".into())
                .spawn(move || shared.work());
            match spawned {
                Ok(_) => queue.threads += 1,
                Err(error) if queue.threads == 0 => {
                    queue.waiting = FairQueue::new(WAITING);
                    tracing::error!(%error, "no thread can be started to verify passwords");
                    return Err(AuthenticationError::Busy(RETRY_AFTER));
                }
                // The threads that exist will come to it.
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
        // No code panics while it holds the lock, so the queue is whole even if it is poisoned.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        be_nice();
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.waiting.pop() {
                drop(queue);
                // A job that panics drops its reply, which its caller sees. The thread goes on.
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

    fn source(name: &impl ToString) -> LoginSource {
        LoginSource::new(None, &name.to_string())
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
                    workers.run(&source(&n), work).await.unwrap()
                })
            })
            .collect();
        for (n, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.await.unwrap(), n);
        }
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert!(workers.shared.lock().threads <= 3);
    }

    /// Occupies the only worker until the sender is dropped; the task waits for it.
    async fn occupy(workers: &Arc<WorkerPool>) -> (mpsc::Sender<()>, JoinHandle<()>) {
        let (release, held) = mpsc::channel::<()>();
        let (busy, is_busy) = oneshot::channel();
        let workers = workers.clone();
        let holder = tokio::spawn(async move {
            let hold = move || {
                busy.send(()).unwrap();
                let _ = held.recv();
            };
            workers.run(&source(&"holder"), hold).await.unwrap();
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
                tokio::spawn(async move { workers.run(&source(&n), || ()).await })
            })
            .collect();
        while workers.shared.lock().waiting.len() < WAITING {
            tokio::task::yield_now().await;
        }
        assert!(matches!(
            workers.run(&source(&"late"), || ()).await,
            Err(AuthenticationError::Busy(_))
        ));
        drop(release);
        for one in waiting {
            one.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_wait_ends_after_a_time_and_a_verification_does_not() {
        let mut pool = WorkerPool::new(NonZeroUsize::MIN);
        pool.longest_wait = Duration::from_millis(250);
        let workers = Arc::new(pool);
        let (release, begun) = occupy(&workers).await;
        assert!(matches!(
            workers.run(&source(&"waits"), || ()).await,
            Err(AuthenticationError::Busy(_))
        ));
        // The one that has begun has waited for longer, too, and goes on to its end.
        drop(release);
        begun.await.unwrap();
        assert_eq!(workers.run(&source(&"next"), || 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_job_without_a_caller_is_not_run() {
        let workers = workers(1);
        let (release, _holder) = occupy(&workers).await;
        let ran = Arc::new(AtomicBool::new(false));
        let flag = ran.clone();
        let (left, gone) = (workers.clone(), source(&"gone"));
        let gave_up = tokio::spawn(async move {
            left.run(&gone, move || flag.store(true, Ordering::SeqCst))
                .await
        });
        while workers.shared.lock().waiting.len() == 0 {
            tokio::task::yield_now().await;
        }
        gave_up.abort();
        assert!(gave_up.await.unwrap_err().is_cancelled());
        drop(release);
        workers.run(&source(&"next"), || ()).await.unwrap();
        assert!(!ran.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_concerns_one_caller() {
        let workers = workers(1);
        assert!(matches!(
            workers.run(&source(&"a"), || panic!("on purpose")).await,
            Err(AuthenticationError::Busy(_))
        ));
        assert_eq!(workers.run(&source(&"b"), || 7).await.unwrap(), 7);
    }
}
