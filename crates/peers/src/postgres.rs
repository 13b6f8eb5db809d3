//! PostgreSQL, with TLS and passwords.

use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

use crate::database_server::DatabaseServer;
use crate::service_user::ServiceUser;
use crate::{Output, program, run};

/// A server with an empty database directory, on 127.0.0.1 and 127.0.0.2. Its superuser `postgres`
/// needs no password on the Unix socket. Over TCP, everyone needs one (SCRAM).
#[derive(Debug)]
pub struct Postgres(DatabaseServer);

impl Postgres {
    /// Makes a database directory and starts the server.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let user = ServiceUser::new("postgres", "postgresql");
        let server = Self(DatabaseServer::start(user, install, serve));
        server.wait_until_ready();
        server
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// The directory of its Unix socket.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        self.0.directory()
    }

    /// Its certificate, PEM. It is self-signed.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        self.0.certificate()
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
        self.0.kill();
    }

    /// Starts a killed server again, at the same address.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        self.0.start_again();
        self.wait_until_ready();
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.0.log()
    }

    fn psql(&self, database: &str, statements: &str) -> Output {
        let mut psql = Command::new(program("psql"));
        psql.arg("--host")
            .arg(self.socket_directory())
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

    fn wait_until_ready(&self) {
        self.0
            .wait_until(|| self.psql("postgres", "SELECT 1").status.success());
    }
}

fn install(path: &Path) -> Command {
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
    initdb
}

fn serve(path: &Path, address: SocketAddrV4) -> Command {
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
        .args(["-c", "shared_buffers=16MB", "-c", "max_connections=100"])
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
    command
}
