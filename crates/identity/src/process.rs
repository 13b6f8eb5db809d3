//! Somebody else's program, asked by starting it: its answer is its exit code and what it prints.
//!
//! Everything about it is bounded, for strangers make it run: how many run at once, how many wait
//! for that, how long one may take, how much of its output is read. A program that takes too long
//! is killed with everything it started, and so is one whose caller has gone.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// The most that is read of a program's output, in bytes.
pub const MOST_OUTPUT: usize = 64 * 1024;

/// The most that is kept of its complaints, in bytes.
const MOST_COMPLAINT: usize = 4 * 1024;

/// When to come back to a program that too many wait for.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How many may wait for each one that may run.
const WAITING: usize = 4;

/// A program with its arguments and its bounds.
pub struct Program {
    command: OsString,
    arguments: Vec<OsString>,
    limit: Duration,
    /// Running and waiting.
    inside: Semaphore,
    running: Semaphore,
}

/// How a program ended that ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessOutput {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to its standard output, all of it.
    pub output: Vec<u8>,
    /// The beginning of what it wrote to its standard error.
    pub complaint: String,
}

impl ProcessOutput {
    /// Its complaint without `secret`, which a shell script's `set -x` would print; nor with a
    /// beginning of it at the end, where the complaint was cut off.
    #[must_use]
    pub fn complaint_without(&self, secret: &str) -> String {
        if secret.is_empty() {
            return self.complaint.trim_end().to_owned();
        }
        let complaint = self.complaint.replace(secret, "…");
        let is_cut = self.complaint.len() >= MOST_COMPLAINT;
        let beginnings = secret
            .char_indices()
            .rev()
            .map(|(index, _)| &secret[..index])
            .filter(|text| !text.is_empty());
        // The cut may have gone through a character, of which a replacement is left.
        let whole = complaint.trim_end_matches(char::REPLACEMENT_CHARACTER);
        let cut = beginnings
            .filter(|_| is_cut)
            .find_map(|beginning| whole.strip_suffix(beginning));
        cut.map_or_else(
            || complaint.trim_end().to_owned(),
            |before| format!("{before}…"),
        )
    }
}

impl Program {
    /// A program that is found as a shell would find it: by its path, relative ones from the
    /// working directory, or in `$PATH` when it is a bare name. It may take as long as `limit`, and
    /// `concurrency` of it run at once.
    #[must_use]
    pub fn new(
        command: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        limit: Duration,
        concurrency: NonZeroUsize,
    ) -> Self {
        let running = concurrency
            .get()
            .min(Semaphore::MAX_PERMITS / (1 + WAITING));
        Self {
            command: command.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            limit,
            inside: Semaphore::new(running * (1 + WAITING)),
            running: Semaphore::new(running),
        }
    }

    /// Runs the program with `input` on its standard input, and waits for its end.
    ///
    /// # Errors
    /// When it cannot be started, did not end by itself and in time, or printed too much.
    pub async fn run(&self, input: &[u8]) -> Result<ProcessOutput, ProcessError> {
        let _inside = self.inside.try_acquire().map_err(|_| ProcessError::Busy)?;
        let _running = self.turn().await?;
        let mut process = Process::start(&self.command, &self.arguments)?;
        match timeout(self.limit, process.converse(input)).await {
            Ok(finished) => finished,
            Err(_) => {
                process.end().await;
                Err(ProcessError::Limit { limit: self.limit })
            }
        }
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, ProcessError> {
        match timeout(self.limit, self.running.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed, so only time runs out.
            Ok(Err(_)) | Err(_) => Err(ProcessError::Busy),
        }
    }
}

impl fmt::Debug for Program {
    /// Without the arguments, for people put secrets there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer from a program.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// As many as may run do, and as many as may wait do as well, or the wait was as long as the
    /// limit.
    #[error("too many of it are running and waiting already")]
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
    /// Its end or its output could not be seen.
    #[error("what became of it cannot be told")]
    Lost(#[source] io::Error),
}

/// A program that runs, at the head of a process group of its own.
struct Process(Child);

impl Process {
    fn start(command: &OsString, arguments: &[OsString]) -> Result<Self, ProcessError> {
        Command::new(command)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map(Self)
            .map_err(|source| ProcessError::Start {
                command: command.clone(),
                source,
            })
    }

    /// Writes `input`, reads all it prints, and waits for its end.
    async fn converse(&mut self, input: &[u8]) -> Result<ProcessOutput, ProcessError> {
        let (mut stdin, stdout, stderr) = (
            self.0.stdin.take(),
            self.0.stdout.take(),
            self.0.stderr.take(),
        );
        let feed = async {
            if let Some(stdin) = &mut stdin {
                // A program that does not read its input is free to: its exit code says what it
                // thinks.
                let _ = stdin.write_all(input).await;
            }
            drop(stdin.take());
            Ok(())
        };
        let ((), output, complaint) =
            tokio::try_join!(feed, read_all(stdout), read_beginning(stderr))?;
        let status = self.0.wait().await.map_err(ProcessError::Lost)?;
        match (status.code(), status.signal()) {
            (Some(code), _) => Ok(ProcessOutput {
                code,
                output,
                complaint: String::from_utf8_lossy(&complaint).into_owned(),
            }),
            (None, signal) => Err(ProcessError::Signal {
                signal: signal.unwrap_or_default(),
            }),
        }
    }

    /// Kills the whole group and waits until its head is gone; should that take longer, the runtime
    /// does the waiting.
    async fn end(&mut self) {
        self.kill();
        let _ = timeout(Duration::from_secs(1), self.0.wait()).await;
    }

    fn kill(&self) {
        // The id is there until the process has been waited for, so it is not somebody else's yet.
        let group = self
            .0
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(Err(error)) = group.map(|group| kill_process_group(group, Signal::KILL)) {
            tracing::debug!(%error, "a program's process group could not be killed");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Everything `from` says, which must not be too much.
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

/// The beginning of what `from` says; the rest is read and dropped, lest the program wait for a
/// reader.
async fn read_beginning(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, ProcessError> {
    let mut read = Vec::new();
    if let Some(mut from) = from {
        (&mut from)
            .take(MOST_COMPLAINT as u64)
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

    fn shell(script: &str, limit: Duration) -> Program {
        Program::new("sh", ["-c", script], limit, NonZeroUsize::MIN)
    }

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn hands_over_input_output_complaint_and_code() {
        let finished = shell("cat; echo oops >&2; exit 7", LONG)
            .run(b"user pass")
            .await
            .unwrap();
        assert_eq!(
            finished,
            ProcessOutput {
                code: 7,
                output: b"user pass".to_vec(),
                complaint: "oops\n".into()
            }
        );
    }

    #[tokio::test]
    async fn a_program_need_not_read() {
        let finished = shell("exec true", LONG)
            .run(&vec![b'x'; 1 << 20])
            .await
            .unwrap();
        assert_eq!(finished.code, 0);
    }

    #[tokio::test]
    async fn bounds_what_is_printed() {
        let all = format!("head -c {MOST_OUTPUT} /dev/zero");
        assert_eq!(
            shell(&all, LONG).run(b"").await.unwrap().output.len(),
            MOST_OUTPUT
        );
        let more = format!("head -c {} /dev/zero", MOST_OUTPUT + 1);
        assert!(matches!(
            shell(&more, LONG).run(b"").await,
            Err(ProcessError::Output)
        ));
        assert!(matches!(
            shell("cat /dev/zero", LONG).run(b"").await,
            Err(ProcessError::Output)
        ));
        let loud = shell("head -c 1000000 /dev/zero >&2; exit 3", LONG)
            .run(b"")
            .await
            .unwrap();
        assert_eq!((loud.code, loud.complaint.len()), (3, MOST_COMPLAINT));
    }

    #[test]
    fn a_complaint_holds_no_secret_not_even_its_beginning() {
        let said = |complaint: String| ProcessOutput {
            code: 3,
            output: Vec::new(),
            complaint,
        };
        assert_eq!(
            said("+ login ann päß word\n".into()).complaint_without("päß word"),
            "+ login ann …"
        );
        assert_eq!(
            said("no such pä\n".into()).complaint_without(""),
            "no such pä"
        );
        assert_eq!(
            said("not cut: pä".into()).complaint_without("päß"),
            "not cut: pä"
        );
        for cut in ["p", "pä", "päß wor"] {
            let filler = "x".repeat(MOST_COMPLAINT - cut.len());
            assert_eq!(
                said(format!("{filler}{cut}")).complaint_without("päß word"),
                format!("{filler}…")
            );
            assert_eq!(
                said(format!("{filler}{cut}\u{fffd}")).complaint_without("päß word"),
                format!("{filler}…")
            );
        }
    }

    #[tokio::test]
    async fn a_signal_is_no_exit_code() {
        assert!(matches!(
            shell("kill -9 $$", LONG).run(b"").await,
            Err(ProcessError::Signal { signal: 9 })
        ));
    }

    #[tokio::test]
    async fn says_what_cannot_be_started() {
        let none = Program::new("./no-such-program", [""; 0], LONG, NonZeroUsize::MIN);
        let error = none.run(b"").await.unwrap_err();
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

    /// Waits until the process is gone, or dead and only not waited for by whoever inherited it.
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
            let error = shell(&script, limit).run(b"").await.unwrap_err();
            assert!(matches!(error, ProcessError::Limit { .. }), "{error}");
            if child.exists() {
                break;
            }
        }
        ended(started(&child).await).await;
    }

    #[tokio::test]
    async fn is_killed_when_its_caller_has_gone() {
        let directory = tempfile::tempdir().unwrap();
        let child = directory.path().join("child");
        let script = format!("sleep 1000 & echo $! > {}; wait", child.display());
        let call = tokio::spawn(async move { shell(&script, LONG).run(b"").await.map(|_| ()) });
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
                tokio::spawn(async move { program.run(b"").await.map(|finished| finished.code) })
            })
            .collect();
        while program.inside.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(program.run(b"").await, Err(ProcessError::Busy)));
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
    async fn who_waits_too_long_is_turned_away() {
        let program = shell("exec true", SHORT);
        let _occupied = program.running.acquire().await.unwrap();
        assert!(matches!(program.run(b"").await, Err(ProcessError::Busy)));
    }
}
