//! FerretDB: a server that speaks MongoDB's protocol and keeps its data in `SQLite`.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Daemon, ReservedAddress, port, program};

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct FerretDbConfig {
    /// Certificate and key, as PEM, of a second port with TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether clients must log in: as [`FerretDb::USER`].
    pub login: bool,
}

/// A running server.
#[derive(Debug)]
pub struct FerretDb {
    daemon: Daemon,
    address: ReservedAddress,
    tls_address: ReservedAddress,
    config: FerretDbConfig,
    directory: TempDir,
}

impl FerretDb {
    /// The user, if clients must log in. The database `admin` has it.
    pub const USER: &str = "reader";
    /// Its password. Some of its characters must be encoded in a connection string.
    pub const PASSWORD: &str = "p@ss/w:o%rd-5b1e";

    /// The same, as a connection string has it.
    pub const ENCODED_PASSWORD: &str = "p%40ss%2Fw%3Ao%25rd-5b1e";

    /// Starts a server without data.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    #[must_use]
    pub fn start(config: FerretDbConfig) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("log");
        let mut tls_address = None;
        let (daemon, address) = Daemon::start_on_port(&log, |address| {
            let tls = tls_address.insert(ReservedAddress::new());
            command(directory.path(), address, tls.address(), &config)
        });
        let mut server = Self {
            daemon,
            address,
            tls_address: tls_address.expect("the address that was tried last"),
            config,
            directory,
        };
        server.wait_until_ready();
        server
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host_port(&self) -> String {
        self.address.to_string()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The connection string of a database, with the login if clients must log in.
    #[must_use]
    pub fn uri(&self, database: &str) -> String {
        let login = match self.config.login {
            true => format!("{}:{}@", Self::USER, Self::ENCODED_PASSWORD),
            false => String::new(),
        };
        format!(
            "mongodb://{login}{}/{database}?authSource=admin",
            self.address
        )
    }

    /// `127.0.0.1:PORT` with TLS.
    #[must_use]
    pub fn tls_host_port(&self) -> String {
        self.tls_address.to_string()
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Ends it at once, in the middle of what it does.
    pub fn kill(&mut self) {
        self.daemon.signal(crate::Signal::Kill);
        self.daemon.wait();
    }

    /// Starts it again on the same ports and with its data, after [`kill`](Self::kill).
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let directory = self.directory.path();
        let mut command = command(
            directory,
            self.address.address(),
            self.tls_address.address(),
            &self.config,
        );
        self.daemon = Daemon::start(&mut command, &directory.join("log"));
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let mut ports = vec![self.address.port()];
        if self.config.tls.is_some() {
            ports.push(self.tls_address.port());
        }
        let ready = self.daemon.until(|daemon| {
            let mut ports = ports.iter();
            let is_ready = ports.all(|port| port::is_listened_on_by(*port, daemon.id()));
            is_ready.then_some(())
        });
        assert!(ready.is_some(), "FerretDB does not listen:\n{}", self.log());
    }
}

fn command(
    directory: &Path,
    address: SocketAddrV4,
    tls: SocketAddrV4,
    config: &FerretDbConfig,
) -> Command {
    let data = directory.join("data");
    std::fs::create_dir_all(&data).expect("a directory for the data");
    let mut command = Command::new(program("ferretdb"));
    command.args([
        "--handler=sqlite",
        "--telemetry=disable",
        "--debug-addr=-",
        "--log-level=INFO",
    ]);
    command.arg(format!("--sqlite-url=file:{}/", data.display()));
    command.arg(format!("--state-dir={}", directory.display()));
    command.arg(format!("--listen-addr={address}"));
    if let Some((certificate, key)) = &config.tls {
        command.arg(format!("--listen-tls={tls}"));
        command.arg(format!("--listen-tls-cert-file={}", certificate.display()));
        command.arg(format!("--listen-tls-key-file={}", key.display()));
    }
    if config.login {
        command.args(["--test-enable-new-auth", "--setup-database=admin"]);
        command.arg(format!("--setup-username={}", FerretDb::USER));
        command.arg(format!("--setup-password={}", FerretDb::PASSWORD));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_and_comes_back() {
        let mut server = FerretDb::start(FerretDbConfig {
            tls: None,
            login: true,
        });
        let address = server.host_port();
        assert!(std::net::TcpStream::connect(&address).is_ok());
        server.kill();
        assert!(std::net::TcpStream::connect(&address).is_err());
        server.start_again();
        assert!(std::net::TcpStream::connect(&address).is_ok());
    }
}
