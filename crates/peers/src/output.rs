//! Programs that run once, within a time limit.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::{program, wait};

/// How long a client may take. This is long: it only ends a test that would never end.
const LIMIT: Duration = Duration::from_secs(120);

/// The output of a program and its exit status.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command as a shell would read it, for messages.
    pub command: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Its standard output, without white space around it.
    ///
    /// # Panics
    /// If it failed.
    #[track_caller]
    pub fn succeeded(&self) -> &str {
        assert!(self.status.success(), "{self}");
        self.stdout.trim()
    }

    /// Its standard output and error.
    ///
    /// # Panics
    /// If it succeeded.
    #[track_caller]
    pub fn refused(&self) -> String {
        assert!(!self.status.success(), "should have been refused: {self}");
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n{}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.status, self.stdout, self.stderr
        )
    }
}

/// Runs `command` to its end.
///
/// # Panics
/// If it cannot be started, or still runs after two minutes.
#[must_use]
pub fn run(command: &mut Command) -> Output {
    run_with_input(command, "")
}

/// [`run`], with `input` on its standard input.
///
/// # Panics
/// If it cannot be started, or still runs after two minutes.
#[must_use]
pub fn run_with_input(command: &mut Command, input: &str) -> Output {
    let line = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
    let stdin = child.stdin.take();
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    if let Some(mut stdin) = stdin {
        // A program that does not read its input may have ended already.
        let _ = stdin.write_all(input.as_bytes());
    }
    let status = wait::until(LIMIT, || {
        child.try_wait().expect("the state of a child process")
    });
    if status.is_none() {
        kill(&mut child);
    }
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let status = status
        .unwrap_or_else(|| panic!("{line} was not done after {LIMIT:?}:\n{stdout}\n{stderr}"));
    Output {
        command: line,
        status,
        stdout,
        stderr,
    }
}

fn collect(source: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut source) = source {
            let _ = source.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn kill(child: &mut Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new(program("kill"))
        .args(["-KILL", "--", &group])
        .status();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_both_streams_and_the_status() {
        let mut command = Command::new(program("sh"));
        command.args(["-c", "cat; echo aside >&2; exit 3"]);
        let output = run_with_input(&mut command, "words\n");
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("words\n", "aside\n")
        );
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.refused(), "words\naside\n");
    }
}
