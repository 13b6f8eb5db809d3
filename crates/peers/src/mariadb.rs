//! MariaDB, with TLS and passwords.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::service_user::ServiceUser;
use crate::{Daemon, Output, Signal, TestCertificate, TestKeyKind, port, program, run, wait};

/// How long it may take to be ready. This is long, because the machine may be busy.
const READY: Duration = Duration::from_secs(60);

/// A server with an empty database directory. Its superuser `root` needs no password on the Unix
/// socket.
#[derive(Debug)]
pub struct MariaDb {
    daemon: Daemon,
    address: SocketAddrV4,
    user: ServiceUser,
    certificate: PathBuf,
    directory: TempDir,
}

impl MariaDb {
    /// Makes a database directory and starts the server.
    ///
    /// # Panics
    /// If MariaDB is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        let user = ServiceUser::new("mysql", "mariadb-server");
        user.own(path);
        let mut install = Command::new(program("mariadb-install-db"));
        install
            .args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ])
            .arg(format!("--datadir={}", path.join("data").display()))
            .current_dir(path);
        run(&mut user.run(install)).succeeded();
        let pair = TestCertificate::new(TestKeyKind::P256, path, "server");
        user.own(&pair.key);
        let (daemon, address) =
            Daemon::start_on_port(&path.join("log"), |address| server(path, user, address));
        let server = Self {
            daemon,
            address,
            user,
            certificate: pair.certificate,
            directory,
        };
        server.wait_until_ready();
        server
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Its certificate, PEM. It is self-signed.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Runs statements as its superuser.
    ///
    /// # Panics
    /// If one of them fails.
    pub fn run(&self, statements: &str) -> String {
        self.client(statements).succeeded().to_owned()
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        self.daemon.signal(Signal::Kill);
        self.daemon.wait();
    }

    /// Starts a killed server again, at the same address.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let path = self.directory.path();
        let mut command = server(path, self.user, self.address);
        self.daemon = Daemon::start(&mut command, &path.join("log"));
        let port = self.address.port();
        let ready = self
            .daemon
            .until(|daemon| port::is_listened_on_by(port, daemon.id()).then_some(()));
        assert!(ready.is_some(), "{}", self.daemon.log());
        self.wait_until_ready();
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    fn client(&self, statements: &str) -> Output {
        let mut client = Command::new(program("mariadb"));
        client
            .args([
                "--no-defaults",
                "--user=root",
                "--batch",
                "--skip-column-names",
            ])
            .args(["--default-character-set=utf8mb4", "--execute", statements])
            .arg(format!("--socket={}", self.socket().display()));
        run(&mut client)
    }

    fn wait_until_ready(&self) {
        let ready = wait::until(READY, || {
            self.client("SELECT 1").status.success().then_some(())
        });
        assert!(ready.is_some(), "{}", self.log());
    }
}

fn server(path: &Path, user: ServiceUser, address: SocketAddrV4) -> Command {
    let mut command = Command::new(program("mariadbd"));
    command
        .args([
            "--no-defaults",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
        ])
        .args([
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=16M",
        ])
        .arg(format!("--port={}", address.port()))
        .arg(format!("--datadir={}", path.join("data").display()))
        .arg(format!("--socket={}", path.join("socket").display()))
        .arg(format!("--pid-file={}", path.join("pid").display()))
        .arg(format!("--ssl-cert={}", path.join("server.pem").display()))
        .arg(format!("--ssl-key={}", path.join("server.key").display()))
        .current_dir(path);
    user.run(command)
}
