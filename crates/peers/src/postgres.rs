//! PostgreSQL, with TLS and passwords.

use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::service_user::ServiceUser;
use crate::{Daemon, Output, Signal, TestCertificate, TestKeyKind, port, program, run, wait};

/// How long it may take to be ready. This is long, because the machine may be busy.
const READY: Duration = Duration::from_secs(60);

/// A server with an empty database directory, on 127.0.0.1 and 127.0.0.2. Its superuser `postgres` needs no password on the Unix
/// socket. Over TCP, everyone needs one (SCRAM).
#[derive(Debug)]
pub struct Postgres {
    daemon: Daemon,
    address: SocketAddrV4,
    user: ServiceUser,
    certificate: PathBuf,
    directory: TempDir,
}

impl Postgres {
    /// Makes a database directory and starts the server.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        let user = ServiceUser::new("postgres", "postgresql");
        user.own(path);
        let mut initdb = Command::new(program("initdb"));
        initdb
            .arg("--pgdata")
            .arg(path.join("data"))
            .args([
                "--username",
                "postgres",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
            ])
            .args(["--auth-local", "trust", "--auth-host", "scram-sha-256"])
            .args(["--no-sync", "--wal-segsize", "1"])
            .current_dir(path);
        run(&mut user.run(initdb)).succeeded();
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

    /// The directory of its Unix socket.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its certificate, PEM. It is self-signed.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Runs statements as its superuser in `database`.
    ///
    /// # Panics
    /// If one of them fails.
    pub fn run(&self, database: &str, statements: &str) -> String {
        self.psql(database, statements).succeeded().to_owned()
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
        let (path, port) = (self.directory.path(), self.address.port());
        // Processes of the killed server may still hold its shared memory for a moment.
        let started = wait::until(READY, || {
            let mut command = server(path, self.user, self.address);
            let mut daemon = Daemon::start(&mut command, &path.join("log"));
            let listens =
                |daemon: &Daemon| port::is_listened_on_by(port, daemon.id()).then_some(());
            daemon.until(listens).map(|()| daemon)
        });
        self.daemon = started.expect("PostgreSQL does not start again");
        self.wait_until_ready();
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    fn psql(&self, database: &str, statements: &str) -> Output {
        let mut psql = Command::new(program("psql"));
        psql.arg("--host")
            .arg(self.directory.path())
            .args(["--port", &self.port().to_string(), "--username", "postgres"])
            .args([
                "--dbname",
                database,
                "--no-psqlrc",
                "--tuples-only",
                "--no-align",
            ])
            .args([
                "--set",
                "ON_ERROR_STOP=1",
                "--quiet",
                "--command",
                statements,
            ]);
        run(&mut psql)
    }

    /// A server listens before it has recovered.
    fn wait_until_ready(&self) {
        let ready = wait::until(READY, || {
            self.psql("postgres", "SELECT 1")
                .status
                .success()
                .then_some(())
        });
        assert!(ready.is_some(), "{}", self.log());
    }
}

fn server(path: &Path, user: ServiceUser, address: SocketAddrV4) -> Command {
    let _ = fs::remove_file(path.join("data/postmaster.pid"));
    let mut command = Command::new(program("postgres"));
    command
        .arg("-D")
        .arg(path.join("data"))
        .args(["-p", &address.port().to_string()])
        .args([
            "-c",
            "listen_addresses=127.0.0.1,127.0.0.2",
            "-c",
            "fsync=off",
            "-c",
            "ssl=on",
        ])
        .args(["-c", "shared_buffers=16MB", "-c", "max_connections=60"])
        .args(["-c", &format!("unix_socket_directories={}", path.display())])
        .args([
            "-c",
            &format!("ssl_cert_file={}", path.join("server.pem").display()),
        ])
        .args([
            "-c",
            &format!("ssl_key_file={}", path.join("server.key").display()),
        ])
        .current_dir(path);
    user.run(command)
}
