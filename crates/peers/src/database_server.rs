//! What PostgreSQL and MariaDB have in common: a database directory that belongs to a user of their
//! own, a certificate, and a start that is complete only when a client can connect.

use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::service_user::ServiceUser;
use crate::{
    Daemon, Output, ReservedAddress, Signal, TestCertificate, TestKeyKind, port, run, wait,
};

/// How long it may take to be ready. This is long, because the machine may be busy.
const READY: Duration = Duration::from_secs(60);

/// A database server in a temporary directory, which has its `log`, `server.pem` and `server.key`.
#[derive(Debug)]
pub(crate) struct DatabaseServer {
    daemon: Daemon,
    address: ReservedAddress,
    user: ServiceUser,
    command: ServerCommand,
    certificate: PathBuf,
    directory: TempDir,
}

/// The command that starts a server in its directory, at an address.
pub(crate) type ServerCommand = fn(&Path, SocketAddrV4) -> Command;

impl DatabaseServer {
    /// Runs `install`, which makes the database directory, and then `command`, both as `user`.
    pub(crate) fn start(
        user: ServiceUser,
        install: impl FnOnce(&Path) -> Command,
        command: ServerCommand,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        user.own(path);
        run(&mut user.run(install(path))).succeeded();
        let pair = TestCertificate::new(TestKeyKind::P256, path, "server");
        user.own(&pair.key);
        let (daemon, address) = Daemon::start_on_port(&path.join("log"), |address| {
            user.run(command(path, address))
        });
        Self {
            daemon,
            address,
            user,
            command,
            certificate: pair.certificate,
            directory,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.daemon.id()
    }

    pub(crate) fn command(&self) -> ServerCommand {
        self.command
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its certificate, PEM. It is self-signed.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    pub(crate) fn log(&self) -> String {
        self.daemon.log()
    }

    /// Kills it, and waits until the processes of its sessions have noticed: until then they answer.
    pub(crate) fn kill(&mut self) {
        let sessions = children(self.daemon.id());
        self.daemon.signal(Signal::Kill);
        self.daemon.wait();
        wait::until(READY, || {
            let is_there = |id: &String| Path::new("/proc").join(id).exists();
            (!sessions.iter().any(is_there)).then_some(())
        });
    }

    /// Runs another program as the server's user.
    pub(crate) fn run(&self, command: Command) -> Output {
        run(&mut self.user.run(command))
    }

    /// Waits until the server has ended, as it was asked to.
    pub(crate) fn wait(&mut self) {
        self.daemon.wait();
    }

    /// Starts a server that has ended again, at the same address.
    pub(crate) fn start_again(&mut self) {
        let (path, port) = (self.directory.path(), self.port());
        // Processes of the killed server may still hold its shared memory for a moment.
        let started = wait::until(READY, || {
            let mut command = self.user.run((self.command)(path, self.address.address()));
            let mut daemon = Daemon::start(&mut command, &path.join("log"));
            let listens =
                |daemon: &Daemon| port::is_listened_on_by(port, daemon.id()).then_some(());
            daemon.until(listens).map(|()| daemon)
        });
        self.daemon = started.expect("the database server does not start again");
    }

    /// Waits until `can_connect`: a server listens before it has recovered.
    pub(crate) fn wait_until(&self, can_connect: impl Fn() -> bool) {
        let ready = wait::until(READY, || can_connect().then_some(()));
        assert!(ready.is_some(), "{}", self.log());
    }
}

/// The ids of the processes that a process has started.
fn children(process: u32) -> Vec<String> {
    let path = format!("/proc/{process}/task/{process}/children");
    let ids = fs::read_to_string(path).unwrap_or_default();
    ids.split_whitespace().map(str::to_owned).collect()
}
