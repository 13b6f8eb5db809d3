//! A program that runs beside the test and does not outlive it.
//!
//! Each daemon leads its own process group, so that its children end with it. Each also has a
//! *guard*: a small shell that waits on a pipe from the test's process and kills the group when the
//! pipe breaks. So even a test that is killed leaves no process behind.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddrV4;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::{ReservedAddress, port, program, wait};

/// How long a daemon may take to be ready. This is long, because the machine may be busy.
const READY: Duration = Duration::from_secs(60);
/// How long a daemon may take to end once asked to.
const STOP: Duration = Duration::from_secs(10);
/// How often another port is tried after a process took the one that was free.
const PORTS: usize = 10;

/// A signal that a running daemon can get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Read the configuration again.
    Hangup,
    /// End in good order.
    Terminate,
    /// End at once.
    Kill,
    /// Run no further, as a machine that is paused.
    Stop,
    /// Go on after [`Stop`](Self::Stop).
    Continue,
}

/// A running program, stopped with all its children when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    guard: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command`. Its standard output and error go to the file `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::create(log);
        Self::start_writing(command, log, file)
    }

    /// [`start`](Self::start), after what the file `log` already contains.
    pub(crate) fn start_again(command: &mut Command, log: &Path) -> Self {
        let file = File::options().append(true).create(true).open(log);
        Self::start_writing(command, log, file)
    }

    fn start_writing(command: &mut Command, log: &Path, file: io::Result<File>) -> Self {
        let file = file.unwrap_or_else(|error| panic!("cannot create {}: {error}", log.display()));
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle of the log file"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self {
            guard: guard(child.id()),
            child,
            log: log.to_owned(),
        }
    }

    /// Starts the program that `command` makes for an address, and waits until it listens there.
    /// If another process took the port meanwhile, the program ends, and another port is tried. The
    /// address is reserved as long as the caller keeps it, also when the program has ended.
    ///
    /// # Panics
    /// If the program ends for another reason, or does not listen in time. The message has its log.
    pub(crate) fn start_on_port(
        log: &Path,
        mut command: impl FnMut(SocketAddrV4) -> Command,
    ) -> (Self, ReservedAddress) {
        for _ in 0..PORTS {
            let address = ReservedAddress::new();
            let mut daemon = Self::start(&mut command(address.address()), log);
            let ready = daemon
                .until(|daemon| port::is_listened_on_by(address.port(), daemon.id()).then_some(()));
            match ready {
                Some(()) => return (daemon, address),
                None if is_in_use(&daemon.log()) => {}
                None => panic!(
                    "{:?} does not listen on {address}:\n{}",
                    command(address.address()),
                    daemon.log()
                ),
            }
        }
        panic!("no port stayed free in {PORTS} attempts");
    }

    /// Calls `probe` until it returns a value, and once more after the daemon ended. Returns `None`
    /// if that call brings nothing, or after a time.
    pub(crate) fn until<T>(&mut self, mut probe: impl FnMut(&Self) -> Option<T>) -> Option<T> {
        wait::until(READY, || match probe(self) {
            Some(answer) => Some(Some(answer)),
            None => self.ended().map(|_| probe(self)),
        })
        .flatten()
    }

    /// The id of the process and of its group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it wrote until now.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends `signal` to the process alone, not to what it started.
    pub fn signal(&self, signal: Signal) {
        send(signal, &self.id().to_string());
    }

    /// Its exit status; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child process")
    }

    /// Waits until it has ended by itself, or after a [`Signal`].
    ///
    /// # Panics
    /// If it still runs after 10 s.
    pub fn wait(&mut self) -> ExitStatus {
        wait::until(STOP, || self.ended())
            .unwrap_or_else(|| panic!("still running after {STOP:?}:\n{}", self.log()))
    }
}

impl Drop for Daemon {
    /// Kills its whole group. A test reads nothing that the program would have written at its end.
    fn drop(&mut self) {
        send(Signal::Kill, &format!("-{}", self.id()));
        let _ = self.child.wait();
        release(&mut self.guard);
    }
}

/// The guard of the process group `group`. A line on its standard input ends it.
fn guard(group: u32) -> Child {
    Command::new(program("sh"))
        .args([
            "-c",
            "read -r released || kill -KILL \"-$0\"",
            &group.to_string(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell to guard the daemon")
}

fn release(guard: &mut Child) {
    if let Some(mut pipe) = guard.stdin.take() {
        let _ = pipe.write_all(b"released\n");
    }
    let _ = guard.wait();
}

/// Runs the program `kill`: to send a signal from here would need unsafe code or another
/// dependency. It is no error if the process has ended.
fn send(signal: Signal, target: &str) {
    let name = match signal {
        Signal::Hangup => "-HUP",
        Signal::Terminate => "-TERM",
        Signal::Kill => "-KILL",
        Signal::Stop => "-STOP",
        Signal::Continue => "-CONT",
    };
    let _ = Command::new(program("kill"))
        .args([name, "--", target])
        .stderr(Stdio::null())
        .status();
}

fn is_in_use(log: &str) -> bool {
    log.to_lowercase().contains("address already in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new(program("sh"));
        command.args(["-c", script]);
        command
    }

    fn is_alive(id: &str) -> bool {
        // A zombie has no command line.
        fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty())
    }

    /// Waits until a script has printed `count` ids, and returns them.
    fn ids(daemon: &mut Daemon, count: usize) -> Vec<String> {
        daemon
            .until(|daemon| {
                let ids: Vec<_> = daemon.log().split_whitespace().map(str::to_owned).collect();
                (ids.len() == count).then_some(ids)
            })
            .unwrap()
    }

    #[test]
    fn dropping_it_ends_what_it_started_too() {
        let directory = tempfile::tempdir().unwrap();
        let script = "sleep 600 & echo $$ $!; trap '' TERM; sleep 600 & echo $!; wait";
        let mut daemon = Daemon::start(&mut shell(script), &directory.path().join("log"));
        let ids = ids(&mut daemon, 3);
        assert!(ids.iter().all(|id| is_alive(id)), "{ids:?}");
        daemon.signal(Signal::Kill);
        drop(daemon);
        let gone = wait::until(STOP, || ids.iter().all(|id| !is_alive(id)).then_some(()));
        assert!(gone.is_some(), "still running: {ids:?}");
    }

    #[test]
    fn the_guard_ends_it_when_the_test_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start(
            &mut shell("sleep 600 & echo $$ $!; wait"),
            &directory.path().join("log"),
        );
        let ids = ids(&mut daemon, 2);
        // The kernel closes our end of the pipe in this way when this process dies.
        drop(daemon.guard.stdin.take());
        daemon.wait();
        assert!(wait::until(STOP, || (!is_alive(&ids[1])).then_some(())).is_some());
    }

    #[test]
    fn another_port_is_tried_when_the_first_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let mut attempts = 0;
        let registry = crate::RegistryConfig::default();
        let (daemon, address) = Daemon::start_on_port(&directory.path().join("log"), |address| {
            attempts += 1;
            if attempts < 3 {
                shell("echo listen tcp: bind: address already in use; exit 1")
            } else {
                registry.command(&program("docker-registry"), directory.path(), address)
            }
        });
        assert_eq!(attempts, 3);
        assert!(daemon.log().contains(&format!("listening on {address}")));
    }

    #[test]
    #[should_panic(expected = "cannot read the moon")]
    fn a_daemon_that_does_not_start_shows_its_log() {
        let directory = tempfile::tempdir().unwrap();
        Daemon::start_on_port(&directory.path().join("log"), |_| {
            shell("echo cannot read the moon; exit 1")
        });
    }
}
