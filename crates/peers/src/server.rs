//! Our own server, as users run it: the built program and a configuration.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use tempfile::TempDir;

use crate::{Daemon, ReservedAddress, Signal, http};

/// `wharfinger serve FILE` (or another command that starts it), running.
#[derive(Debug)]
pub struct Server {
    daemon: Daemon,
    address: ReservedAddress,
    scheme: &'static str,
    directory: TempDir,
    /// The program and its arguments, of which the configuration file is the last.
    command: Vec<OsString>,
}

impl Server {
    /// Starts `wharfinger serve FILE`: [`start_as`](Self::start_as) with its usual arguments.
    ///
    /// # Panics
    /// If it does not start. The message has its log.
    #[must_use]
    pub fn start(program: &Path, config: &str) -> Self {
        Self::start_as(program, &["serve"], config)
    }

    /// Starts `program` with `arguments` and a file that contains `config`, and waits until
    /// `/healthz` responds 200. In `config`, `@addr@` stands for the address to listen on. The tests
    /// of the binary's crate know the path of `program`.
    ///
    /// # Panics
    /// If it does not start. The message has its log.
    #[must_use]
    pub fn start_as(program: &Path, arguments: &[&str], config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join(CONFIG);
        let mut line = vec![program.into()];
        line.extend(arguments.iter().map(OsString::from));
        line.push(file.clone().into());
        let (mut daemon, address) =
            Daemon::start_on_port(&directory.path().join("log"), |address| {
                fs::write(&file, config.replace("@addr@", &address.to_string()))
                    .expect("the server's configuration");
                command(&line, directory.path())
            });
        let scheme = scheme(&mut daemon, address.address());
        Self {
            daemon,
            address,
            scheme,
            directory,
            command: line,
        }
    }

    /// Starts `program`, which has its own configuration, with `arguments`, and waits until
    /// `/healthz` responds 200. In them, `@addr@` and `@port@` stand for the address to listen on,
    /// and `@directory@` for the server's directory.
    ///
    /// # Panics
    /// If it does not start. The message has its log.
    #[must_use]
    pub fn start_with(program: &Path, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let place = directory.path().display().to_string();
        let mut line = Vec::new();
        let (mut daemon, address) =
            Daemon::start_on_port(&directory.path().join("log"), |address| {
                let (full, port) = (address.to_string(), address.port().to_string());
                let filled = |argument: &&str| {
                    let filled = argument
                        .replace("@addr@", &full)
                        .replace("@port@", &port)
                        .replace("@directory@", &place);
                    OsString::from(filled)
                };
                line = vec![program.into()];
                line.extend(arguments.iter().map(filled));
                command(&line, directory.path())
            });
        let scheme = scheme(&mut daemon, address.address());
        Self {
            daemon,
            address,
            scheme,
            directory,
            command: line,
        }
    }

    /// The directory in which it runs, with its log and usually its configuration.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The URL of `path`, which begins with a slash, on 127.0.0.1.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The URL of `path` on `localhost`. Some clients refuse a token server on a loopback *address*
    /// and accept the name.
    #[must_use]
    pub fn realm(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host_port(&self) -> String {
        self.address.to_string()
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.path().join(CONFIG)
    }

    /// Writes `config` (with `@addr@`) over the configuration file.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn rewrite(&self, config: &str) {
        fs::write(
            self.config(),
            config.replace("@addr@", &self.address.to_string()),
        )
        .expect("the server's configuration");
    }

    /// Its log until now.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Waits until its log contains `text`.
    ///
    /// # Panics
    /// If that does not happen in time.
    pub fn wait_for_log(&mut self, text: &str) {
        if self
            .daemon
            .until(|daemon| daemon.log().contains(text).then_some(()))
            .is_none()
        {
            panic!("never logged {text:?}:\n{}", self.log());
        }
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// Makes it read its configuration again (SIGHUP).
    pub fn hang_up(&self) {
        self.daemon.signal(Signal::Hangup);
    }

    /// Asks it to end (SIGTERM) and does not wait.
    pub fn signal_end(&self) {
        self.daemon.signal(Signal::Terminate);
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it still runs after 10 s.
    pub fn wait(&mut self) -> ExitStatus {
        self.daemon.wait()
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// If it still runs after 10 s.
    pub fn terminate(&mut self) -> ExitStatus {
        self.daemon.signal(Signal::Terminate);
        self.daemon.wait()
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        self.daemon.signal(Signal::Kill);
        self.daemon.wait();
    }

    /// Sends `signal` and does not wait.
    pub fn signal(&self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// Starts a server that has ended once more, at the same address. It does not wait until it serves:
    /// what it needs may be away.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_again(&mut self) {
        let mut command = command(&self.command, self.directory.path());
        let log = self.directory.path().join("log");
        self.daemon = Daemon::start_again(&mut command, &log);
    }
}

/// A command line, in `directory`.
fn command(line: &[OsString], directory: &Path) -> Command {
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]).current_dir(directory);
    command
}

/// Name of the configuration file in the server's directory.
const CONFIG: &str = "wharfinger.yml";

/// Its scheme. Waits until it responds.
fn scheme(daemon: &mut Daemon, address: SocketAddrV4) -> &'static str {
    let scheme = daemon.until(|_| {
        ["http", "https"]
            .into_iter()
            .find(|scheme| is_healthy(scheme, address))
    });
    scheme.unwrap_or_else(|| panic!("GET /healthz never answered 200:\n{}", daemon.log()))
}

fn is_healthy(scheme: &str, address: SocketAddrV4) -> bool {
    http::try_request(&[&format!("{scheme}://{address}/healthz")])
        .is_some_and(|answer| answer.status == 200)
}
