//! PostgreSQL, with TLS and passwords.

use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

use crate::database_server::{DatabaseServer, ServerCommand};
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
        Self::start_as(serve)
    }

    /// The same, as it is used: with 128 MB of buffers, and a commit is on the disk before it is
    /// acknowledged.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_durable() -> Self {
        Self::start_as(serve_durably)
    }

    fn start_as(command: ServerCommand) -> Self {
        let user = ServiceUser::new("postgres", "postgresql");
        let server = Self(DatabaseServer::start(user, install, command));
        server.wait_until_ready();
        server
    }

    /// A standby of this server, which follows its changes over the Unix socket. It answers queries
    /// and accepts no changes until it is promoted.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_standby(&self) -> Self {
        let user = ServiceUser::new("postgres", "postgresql");
        let copy = |path: &Path| {
            let mut command = Command::new(program("pg_basebackup"));
            command
                .args(["--host".as_ref(), self.socket_directory().as_os_str()])
                .args(["--port", &self.port().to_string()])
                .args(["--username", "postgres", "--checkpoint", "fast"])
                .args(["--write-recovery-conf", "--no-sync", "--pgdata"])
                .arg(path.join("data"))
                .current_dir(path);
            command
        };
        let server = Self(DatabaseServer::start(user, copy, self.0.command()));
        server.wait_until_ready();
        server
    }

    /// Makes every commit wait until a standby has it.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn commit_synchronously(&self) {
        self.run(
            "postgres",
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
        );
        self.run("postgres", "SELECT pg_reload_conf()");
        let state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        self.0
            .wait_until(|| self.run("postgres", state).trim() == "1");
    }

    /// Makes a standby the primary, and waits until it accepts changes. It waits for no standby of
    /// its own.
    ///
    /// # Panics
    /// If it is none.
    pub fn promote(&self) {
        self.control(&["promote", "--wait"]);
        self.run("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
        self.run("postgres", "SELECT pg_reload_conf()");
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
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

    /// Ends the server in order: open transactions are rolled back, and clients are told.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(&mut self) {
        self.control(&["stop", "--mode", "fast", "--no-wait"]);
        self.0.wait();
    }

    /// Ends the server without order, as if it had crashed: it recovers when it starts again.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop_immediately(&mut self) {
        self.control(&["stop", "--mode", "immediate", "--no-wait"]);
        self.0.wait();
    }

    /// Starts a server that has ended again, at the same address.
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

    fn control(&self, arguments: &[&str]) {
        let mut command = Command::new(program("pg_ctl"));
        command
            .args(arguments)
            .arg("--pgdata")
            .arg(self.0.directory().join("data"))
            .current_dir(self.0.directory());
        self.0.run(command).succeeded();
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

/// Tests need no disk.
fn serve(path: &Path, address: SocketAddrV4) -> Command {
    let mut command = serve_durably(path, address);
    // The last of two settings counts.
    command.args(["-c", "fsync=off", "-c", "shared_buffers=16MB"]);
    command
}

fn serve_durably(path: &Path, address: SocketAddrV4) -> Command {
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
            "fsync=on",
            "-c",
            "ssl=on",
        ])
        .args(["-c", "shared_buffers=128MB", "-c", "max_connections=100"])
        // A standby connects soon to a primary that has started again.
        .args(["-c", "wal_retrieve_retry_interval=500ms"])
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
