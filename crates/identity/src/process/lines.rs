//! A program that stays: a line of JSON in, a line of JSON out.
//!
//! Each question has an `id`, and its answer has the same one. One process answers one question at
//! a time; when more are asked at once, more processes are started, and they stay, too. A process
//! that breaks the protocol in any way is killed, and no answer of its is used: an answer that
//! belongs to another login would let a client in as another account.

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::Clock;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::running::RunningProcess;
use super::stderr::StderrBeginning;
use super::{MOST_OUTPUT, ProcessError, without};
use crate::LoginSource;
use crate::circuit_breaker::{CircuitBreaker, CircuitOpen};
use crate::fair_semaphore::{FairSemaphore, TooManyWaiting};

/// A program that answers lines, with its bounds.
pub struct LineProgram {
    command: OsString,
    arguments: Vec<OsString>,
    limit: Duration,
    running: FairSemaphore,
    breaker: CircuitBreaker,
    next_id: AtomicU64,
    idle: Mutex<Vec<LineProcess>>,
}

/// Why a program has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LineProgramError {
    /// As many questions as allowed are asked and waiting, or the wait was as long as the limit.
    #[error("too many questions to it are asked and waiting")]
    Busy,
    /// It failed several times in a row, and is not asked for a while.
    #[error("it keeps failing, and is not asked for a while")]
    CircuitOpen,
    /// It could not be started.
    #[error(transparent)]
    Start(ProcessError),
    /// It took too long and was killed.
    #[error("it took longer than {limit:?} and was killed; its standard error: {stderr:?}")]
    Limit {
        /// How long an answer may take.
        limit: Duration,
        /// The beginning of what it wrote there meanwhile.
        stderr: String,
    },
    /// It ended, or closed its standard output, before it answered.
    #[error("it ended before it answered; its standard error: {stderr:?}")]
    Ended {
        /// The beginning of what it wrote there meanwhile.
        stderr: String,
    },
    /// It broke the protocol and was killed.
    #[error("{violation}, and was killed; its standard error: {stderr:?}")]
    Protocol {
        /// How.
        violation: ProtocolViolation,
        /// The beginning of what it wrote there meanwhile.
        stderr: String,
    },
    /// Its answer has the right `id`, and something else in it is wrong. The answer is not shown,
    /// because it may hold the password.
    #[error("a member of its answer is missing, or of the wrong type")]
    Answer,
}

/// How a program breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolViolation {
    /// A line is longer than any answer may be.
    #[error("it wrote a line of more than {MOST_OUTPUT} bytes")]
    TooLong,
    /// A line is not an answer at all.
    #[error("it wrote a line that is not a JSON object with the number `id`")]
    Stray,
    /// The line answers another question.
    #[error("it answered question {found} instead of {expected}")]
    OtherId {
        /// The `id` of the question.
        expected: u64,
        /// The `id` of the answer.
        found: u64,
    },
}

/// A question as it is written.
#[derive(Serialize)]
struct NumberedQuestion<'a, Q> {
    id: u64,
    #[serde(flatten)]
    question: &'a Q,
}

/// What tells an answer from other output.
#[derive(Deserialize)]
struct AnswerId {
    id: u64,
}

impl LineProgram {
    /// A program, found as [`Program`](super::Program) finds it, for the configuration's `section`.
    /// An answer may take as long as `limit`, and there are at most `concurrency` processes. None is
    /// started before the first question.
    #[must_use]
    pub fn new(
        section: &'static str,
        command: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        limit: Duration,
        concurrency: NonZeroUsize,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            command: command.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            limit,
            running: FairSemaphore::new(concurrency, limit),
            breaker: CircuitBreaker::new(section, clock),
            next_id: AtomicU64::new(1),
            idle: Mutex::default(),
        }
    }

    /// The answer to `question`, asked when it is the turn of `source`. `secret` is a part of the
    /// question that must not be in an error.
    ///
    /// # Errors
    /// When there is no answer, or it cannot be used.
    pub async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        source: &LoginSource,
        question: &Q,
        secret: &str,
    ) -> Result<A, LineProgramError> {
        self.breaker.check()?;
        let turn = self.running.acquire(source).await;
        let _permit = turn.map_err(|TooManyWaiting| LineProgramError::Busy)?;
        let attempt = self.breaker.admit()?;
        match self.exchange(question, secret).await {
            Ok(line) => {
                attempt.succeeded();
                serde_json::from_slice(&line).map_err(|_| LineProgramError::Answer)
            }
            Err(error) => {
                attempt.failed();
                Err(error)
            }
        }
    }

    /// The line that answers. If a process that answered before has ended meanwhile, another one is
    /// asked.
    async fn exchange<Q: Serialize + Sync>(
        &self,
        question: &Q,
        secret: &str,
    ) -> Result<Vec<u8>, LineProgramError> {
        if let Some(process) = self.take_idle() {
            match self.ask_process(process, question, secret).await {
                Err(LineProgramError::Ended { .. }) => {}
                answered => return answered,
            }
        }
        let process = RunningProcess::start(&self.command, &self.arguments);
        let process = process.and_then(LineProcess::new);
        let process = process.map_err(LineProgramError::Start)?;
        self.ask_process(process, question, secret).await
    }

    /// Asks this process. It is kept if it keeps to the protocol; else it is dropped, which kills it.
    async fn ask_process<Q: Serialize + Sync>(
        &self,
        mut process: LineProcess,
        question: &Q,
        secret: &str,
    ) -> Result<Vec<u8>, LineProgramError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        process.stderr.clear();
        let failure = match timeout(self.limit, process.exchange(id, question)).await {
            Ok(Ok(line)) => {
                // More output would be taken for the answer to the next question.
                if process.stdout.buffer().is_empty() {
                    self.idle().push(process);
                } else {
                    tracing::warn!(
                        command = %self.command.display(),
                        "a program wrote more than one line for an answer, and was killed"
                    );
                }
                return Ok(line);
            }
            Ok(Err(failure)) => failure,
            Err(_) => {
                process.running.end().await;
                ExchangeFailure::Limit
            }
        };
        let stderr = process.last_words(secret).await;
        Err(match failure {
            ExchangeFailure::Limit => LineProgramError::Limit {
                limit: self.limit,
                stderr,
            },
            ExchangeFailure::Ended => LineProgramError::Ended { stderr },
            ExchangeFailure::Protocol(violation) => {
                LineProgramError::Protocol { violation, stderr }
            }
        })
    }

    fn take_idle(&self) -> Option<LineProcess> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<LineProcess>> {
        // No code panics while it holds the lock, so the list is whole even if it is poisoned.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LineProgram {
    /// Without the arguments, because people put secrets there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineProgram")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

impl LineProgramError {
    /// Whether another attempt may succeed without a change to the program.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Busy | Self::CircuitOpen | Self::Limit { .. } | Self::Ended { .. } => true,
            Self::Start(_) | Self::Protocol { .. } | Self::Answer => false,
        }
    }
}

impl From<CircuitOpen> for LineProgramError {
    fn from(_: CircuitOpen) -> Self {
        Self::CircuitOpen
    }
}

/// A running process of the program.
struct LineProcess {
    running: RunningProcess,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    stderr: StderrBeginning,
}

/// Why a process has no answer.
enum ExchangeFailure {
    Limit,
    Ended,
    Protocol(ProtocolViolation),
}

impl LineProcess {
    fn new(mut running: RunningProcess) -> Result<Self, ProcessError> {
        let (stdin, stdout, stderr) = (
            running.0.stdin.take(),
            running.0.stdout.take(),
            running.0.stderr.take(),
        );
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            let lost = std::io::Error::other("the program has no pipes");
            return Err(ProcessError::Lost(lost));
        };
        Ok(Self {
            running,
            stdin,
            stdout: BufReader::new(stdout),
            stderr: StderrBeginning::of(stderr),
        })
    }

    async fn exchange<Q: Serialize + Sync>(
        &mut self,
        id: u64,
        question: &Q,
    ) -> Result<Vec<u8>, ExchangeFailure> {
        let question = NumberedQuestion { id, question };
        #[expect(
            clippy::expect_used,
            reason = "questions are structs of strings, lists and maps with string keys"
        )]
        let line = serde_json::to_vec(&question).expect("a question is plain data");
        let mut line = Zeroizing::new(line);
        line.push(b'\n');
        let ended = |_| ExchangeFailure::Ended;
        self.stdin.write_all(&line).await.map_err(ended)?;
        self.stdin.flush().await.map_err(ended)?;
        let line = self.read_line().await?;
        // A list of its members would be taken for the object, too.
        let is_object = line.trim_ascii_start().starts_with(b"{");
        match serde_json::from_slice(&line) {
            _ if !is_object => Err(ExchangeFailure::Protocol(ProtocolViolation::Stray)),
            Ok(AnswerId { id: found }) if found == id => Ok(line),
            Ok(AnswerId { id: found }) => {
                let expected = id;
                Err(ExchangeFailure::Protocol(ProtocolViolation::OtherId {
                    expected,
                    found,
                }))
            }
            Err(_) => Err(ExchangeFailure::Protocol(ProtocolViolation::Stray)),
        }
    }

    /// A whole line without its end.
    async fn read_line(&mut self) -> Result<Vec<u8>, ExchangeFailure> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stdout).take(MOST_OUTPUT as u64 + 1);
        let read = bounded.read_until(b'\n', &mut line).await;
        read.map_err(|_| ExchangeFailure::Ended)?;
        if line.pop_if(|byte| *byte == b'\n').is_some() {
            return Ok(line);
        }
        Err(match line.len() {
            0..=MOST_OUTPUT => ExchangeFailure::Ended,
            _ => ExchangeFailure::Protocol(ProtocolViolation::TooLong),
        })
    }

    /// What it wrote to standard error since it was asked, without `secret`. It is killed, so that
    /// there is an end to it.
    async fn last_words(mut self, secret: &str) -> String {
        self.running.end().await;
        let text = self.stderr.whole().await;
        without(&text, secret)
    }
}
