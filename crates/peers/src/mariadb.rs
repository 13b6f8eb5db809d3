//! MariaDB, with TLS and passwords.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::database_server::DatabaseServer;
use crate::service_user::ServiceUser;
use crate::{Output, program, run};

/// A server with an empty database directory. Its superuser `root` needs no password on the Unix
/// socket.
#[derive(Debug)]
pub struct MariaDb(DatabaseServer);

impl MariaDb {
    /// Makes a database directory and starts the server.
    ///
    /// # Panics
    /// If MariaDB is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let user = ServiceUser::new("mysql", "mariadb-server");
        let server = Self(DatabaseServer::start(user, install, serve));
        server.wait_until_ready();
        server
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.directory().join("socket")
    }

    /// Its certificate, PEM. It is self-signed.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        self.0.certificate()
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
        self.0
            .wait_until(|| self.client("SELECT 1").status.success());
    }
}

fn install(path: &Path) -> Command {
    let mut install = Command::new(program("mariadb-install-db"));
    install
        .args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ])
        .arg(format!("--datadir={}", path.join("data").display()))
        .current_dir(path);
    install
}

fn serve(path: &Path, address: SocketAddrV4) -> Command {
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
    command
}
