//! External programs. A [`Program`] is asked by starting it: the answer is the exit code and the
//! output. A [`LineProgram`] stays and answers a line of JSON with a line of JSON.
//!
//! Clients make them run, so everything about them is bounded: how many run and how many wait, how
//! long one may take, how much of its output is read. Sources of requests take turns. A program that
//! takes too long is killed with everything that it started, and so is one whose caller has gone.

mod lines;
mod running;
mod stderr;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

pub use self::lines::{LineProgram, LineProgramError, ProtocolViolation};
use self::running::RunningProcess;
use crate::LoginSource;
use crate::fair_semaphore::{FairSemaphore, TooManyWaiting};

/// How much of a program's standard output is read, in bytes.
pub const MOST_OUTPUT: usize = 64 * 1024;

/// How much of a program's standard error is kept, in bytes.
const MOST_STDERR: usize = 4 * 1024;

/// A program with its arguments and its bounds.
pub struct Program {
    command: OsString,
    arguments: Vec<OsString>,
    limit: Duration,
    running: FairSemaphore,
}

/// What a program that ended by itself left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessOutput {
    /// Its exit code.
    pub code: i32,
    /// Its standard output, all of it.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: String,
}

impl ProcessOutput {
    /// Its standard error without `secret`, which a shell script's `set -x` would print. If the text
    /// was cut off, it does not end in a beginning of `secret` either.
    #[must_use]
    pub fn stderr_without(&self, secret: &str) -> String {
        without(&self.stderr, secret)
    }
}

/// `text`, which a program wrote, without `secret`.
fn without(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.trim_end().to_owned();
    }
    let shown = text.replace(secret, "…");
    let is_cut = text.len() >= MOST_STDERR;
    let beginnings = secret
        .char_indices()
        .rev()
        .map(|(index, _)| &secret[..index])
        .filter(|text| !text.is_empty());
    // The cut may have gone through a character, which leaves a replacement character.
    let whole = shown.trim_end_matches(char::REPLACEMENT_CHARACTER);
    let cut = beginnings
        .filter(|_| is_cut)
        .find_map(|beginning| whole.strip_suffix(beginning));
    cut.map_or_else(
        || shown.trim_end().to_owned(),
        |before| format!("{before}…"),
    )
}

impl Program {
    /// A program, found as a shell finds it: by its path, relative to the working directory, or in
    /// `$PATH` if it is a bare name. One run may take as long as `limit`, and `concurrency` of them
    /// run at once.
    #[must_use]
    pub fn new(
        command: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        limit: Duration,
        concurrency: NonZeroUsize,
    ) -> Self {
        Self {
            command: command.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            limit,
            running: FairSemaphore::new(concurrency, limit),
        }
    }

    /// Runs the program with `input` on its standard input when it is the turn of `source`, and
    /// waits for its end.
    ///
    /// # Errors
    /// When it cannot be started, did not end by itself and in time, or printed too much.
    pub async fn run(
        &self,
        source: &LoginSource,
        input: &[u8],
    ) -> Result<ProcessOutput, ProcessError> {
        let turn = self.running.acquire(source).await;
        let _permit = turn.map_err(|TooManyWaiting| ProcessError::Busy)?;
        let mut process = RunningProcess::start(&self.command, &self.arguments)?;
        match timeout(self.limit, converse(&mut process, input)).await {
            Ok(finished) => finished,
            Err(_) => {
                process.end().await;
                Err(ProcessError::Limit { limit: self.limit })
            }
        }
    }
}

impl fmt::Debug for Program {
    /// Without the arguments, because people put secrets there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

/// Why a program has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// As many as allowed are running and waiting, or the wait was as long as the limit.
    #[error("too many calls of it are running and waiting")]
    Busy,
    /// It could not be started.
    #[error("{} cannot be started", command.display())]
    Start {
        /// What was to be started.
        command: OsString,
        /// Why not.
        source: io::Error,
    },
    /// It took too long and was killed.
    #[error("it took longer than {limit:?} and was killed")]
    Limit {
        /// How long it may take.
        limit: Duration,
    },
    /// It printed too much and was killed.
    #[error("it printed more than {MOST_OUTPUT} bytes and was killed")]
    Output,
    /// It was ended by a signal.
    #[error("it was ended by signal {signal}")]
    Signal {
        /// The signal's number.
        signal: i32,
    },
    /// Its end or its output could not be read.
    #[error("its end or its output could not be read")]
    Lost(#[source] io::Error),
}

/// Writes `input`, reads all it prints, and waits for its end.
async fn converse(
    process: &mut RunningProcess,
    input: &[u8],
) -> Result<ProcessOutput, ProcessError> {
    let (mut stdin, stdout, stderr) = (
        process.0.stdin.take(),
        process.0.stdout.take(),
        process.0.stderr.take(),
    );
    let feed = async {
        if let Some(stdin) = &mut stdin {
            // A program need not read its input: its exit code is the answer.
            let _ = stdin.write_all(input).await;
        }
        drop(stdin.take());
        Ok(())
    };
    let ((), stdout, stderr) = tokio::try_join!(feed, read_all(stdout), read_beginning(stderr))?;
    let status = process.0.wait().await.map_err(ProcessError::Lost)?;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(ProcessOutput {
            code,
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }),
        (None, signal) => Err(ProcessError::Signal {
            signal: signal.unwrap_or_default(),
        }),
    }
}

/// All of `from`, which must not be too much.
async fn read_all(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, ProcessError> {
    let mut read = Vec::new();
    if let Some(from) = from {
        from.take(MOST_OUTPUT as u64 + 1)
            .read_to_end(&mut read)
            .await
            .map_err(ProcessError::Lost)?;
    }
    if read.len() > MOST_OUTPUT {
        Err(ProcessError::Output)
    } else {
        Ok(read)
    }
}

/// The beginning of `from`. The rest is read and dropped, so that the program does not block.
async fn read_beginning(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, ProcessError> {
    let mut read = Vec::new();
    if let Some(mut from) = from {
        (&mut from)
            .take(MOST_STDERR as u64)
            .read_to_end(&mut read)
            .await
            .map_err(ProcessError::Lost)?;
        tokio::io::copy(&mut from, &mut tokio::io::sink())
            .await
            .map_err(ProcessError::Lost)?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::fair_semaphore::WAITING;

    fn shell(script: &str, limit: Duration) -> Program {
        Program::new("sh", ["-c", script], limit, NonZeroUsize::MIN)
    }

    fn source() -> LoginSource {
        LoginSource::new(None, "ann")
    }

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn hands_over_input_output_complaint_and_code() {
        let finished = shell("cat; echo oops >&2; exit 7", LONG)
            .run(&source(), b"user pass")
            .await
            .unwrap();
        assert_eq!(
            finished,
            ProcessOutput {
                code: 7,
                stdout: b"user pass".to_vec(),
                stderr: "oops\n".into()
            }
        );
    }

    #[tokio::test]
    async fn a_program_need_not_read() {
        let finished = shell("exec true", LONG)
            .run(&source(), &vec![b'x'; 1 << 20])
            .await
            .unwrap();
        assert_eq!(finished.code, 0);
    }

    #[tokio::test]
    async fn bounds_what_is_printed() {
        let all = format!("head -c {MOST_OUTPUT} /dev/zero");
        assert_eq!(
            shell(&all, LONG)
                .run(&source(), b"")
                .await
                .unwrap()
                .stdout
                .len(),
            MOST_OUTPUT
        );
        let more = format!("head -c {} /dev/zero", MOST_OUTPUT + 1);
        assert!(matches!(
            shell(&more, LONG).run(&source(), b"").await,
            Err(ProcessError::Output)
        ));
        assert!(matches!(
            shell("cat /dev/zero", LONG).run(&source(), b"").await,
            Err(ProcessError::Output)
        ));
        let loud = shell("head -c 1000000 /dev/zero >&2; exit 3", LONG)
            .run(&source(), b"")
            .await
            .unwrap();
        assert_eq!((loud.code, loud.stderr.len()), (3, MOST_STDERR));
    }

    #[test]
    fn standard_error_is_shown_without_the_secret_and_its_beginnings() {
        let said = |stderr: String| ProcessOutput {
            code: 3,
            stdout: Vec::new(),
            stderr,
        };
        assert_eq!(
            said("+ login ann päß word\n".into()).stderr_without("päß word"),
            "+ login ann …"
        );
        assert_eq!(said("no such pä\n".into()).stderr_without(""), "no such pä");
        assert_eq!(
            said("not cut: pä".into()).stderr_without("päß"),
            "not cut: pä"
        );
        for cut in ["p", "pä", "päß wor"] {
            let filler = "x".repeat(MOST_STDERR - cut.len());
            assert_eq!(
                said(format!("{filler}{cut}")).stderr_without("päß word"),
                format!("{filler}…")
            );
            assert_eq!(
                said(format!("{filler}{cut}\u{fffd}")).stderr_without("päß word"),
                format!("{filler}…")
            );
        }
    }

    #[tokio::test]
    async fn a_signal_is_no_exit_code() {
        assert!(matches!(
            shell("kill -9 $$", LONG).run(&source(), b"").await,
            Err(ProcessError::Signal { signal: 9 })
        ));
    }

    #[tokio::test]
    async fn says_what_cannot_be_started() {
        let none = Program::new("./no-such-program", [""; 0], LONG, NonZeroUsize::MIN);
        let error = none.run(&source(), b"").await.unwrap_err();
        assert_eq!(error.to_string(), "./no-such-program cannot be started");
    }

    /// Waits until `path` names a process, and returns its number.
    async fn started(path: &Path) -> i32 {
        loop {
            if let Some(id) = std::fs::read_to_string(path)
                .ok()
                .and_then(|text| text.trim().parse().ok())
            {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the process is gone, or has ended and was not reaped yet.
    async fn ended(id: i32) {
        while let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/stat")) {
            if status
                .rsplit(") ")
                .next()
                .is_some_and(|rest| rest.starts_with('Z'))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn is_killed_with_its_children_when_time_is_up() {
        let directory = tempfile::tempdir().unwrap();
        let child = directory.path().join("child");
        let script = format!("sleep 1000 & echo $! > {}; wait", child.display());
        // On a busy machine the first limit may be over before the script has begun.
        for limit in [SHORT, 10 * SHORT, 100 * SHORT] {
            let error = shell(&script, limit).run(&source(), b"").await.unwrap_err();
            assert!(matches!(error, ProcessError::Limit { .. }), "{error}");
            if child.exists() {
                break;
            }
        }
        ended(started(&child).await).await;
    }

    #[tokio::test]
    async fn is_killed_when_its_caller_goes_away() {
        let directory = tempfile::tempdir().unwrap();
        let child = directory.path().join("child");
        let script = format!("sleep 1000 & echo $! > {}; wait", child.display());
        let call =
            tokio::spawn(async move { shell(&script, LONG).run(&source(), b"").await.map(|_| ()) });
        let id = started(&child).await;
        call.abort();
        ended(id).await;
    }

    #[tokio::test]
    async fn runs_no_more_than_it_may_and_lets_few_wait() {
        let directory = tempfile::tempdir().unwrap();
        let (go, log) = (directory.path().join("go"), directory.path().join("log"));
        let script = format!(
            "echo in >> {0}; until test -e {1}; do sleep 0.01; done; echo out >> {0}",
            log.display(),
            go.display()
        );
        let program = Arc::new(shell(&script, LONG));
        let calls: Vec<_> = (0..=WAITING)
            .map(|_| {
                let program = program.clone();
                tokio::spawn(async move {
                    program
                        .run(&source(), b"")
                        .await
                        .map(|finished| finished.code)
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(matches!(
            program.run(&source(), b"").await,
            Err(ProcessError::Busy)
        ));
        std::fs::write(&go, "").unwrap();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), 0);
        }
        assert_eq!(
            std::fs::read_to_string(log).unwrap(),
            "in\nout\n".repeat(1 + WAITING)
        );
    }

    #[tokio::test]
    async fn a_call_that_waits_too_long_is_turned_away() {
        let program = shell("exec true", SHORT);
        let _occupied = program.running.acquire(&source()).await.unwrap();
        assert!(matches!(
            program.run(&source(), b"").await,
            Err(ProcessError::Busy)
        ));
    }
}
