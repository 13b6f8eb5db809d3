//! A pooler in front of PostgreSQL that gives each transaction another connection.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::service_user::ServiceUser;
use crate::{Daemon, Postgres, ReservedAddress, program};

/// A running PgBouncer in transaction mode, with two connections for each user and database.
/// Clients need their passwords (SCRAM).
#[derive(Debug)]
pub struct PgBouncer {
    daemon: Daemon,
    address: ReservedAddress,
    _directory: TempDir,
}

impl PgBouncer {
    /// Starts a pooler in front of `server`, for users with these passwords.
    ///
    /// # Panics
    /// If PgBouncer is not installed or does not start.
    #[must_use]
    pub fn start(server: &Postgres, users: &[(&str, &str)]) -> Self {
        Self::start_with(server, users, "")
    }

    /// The same, with more lines of configuration.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(server: &Postgres, users: &[(&str, &str)], more: &str) -> Self {
        let user = ServiceUser::new("postgres", "postgresql");
        let directory = tempfile::tempdir().expect("a temporary directory");
        user.own(directory.path());
        let write = |name: &str, text: &str| {
            let file = directory.path().join(name);
            fs::write(&file, text).expect("a file of PgBouncer");
            file
        };
        let list = write("users.txt", &user_list(users));
        let (daemon, address) = Daemon::start_on_port(&directory.path().join("log"), |address| {
            let file = write(
                "pgbouncer.ini",
                &configuration(server, &list, address, more),
            );
            user.run(command(&file, directory.path()))
        });
        Self {
            daemon,
            address,
            _directory: directory,
        }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

fn command(file: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program("pgbouncer"));
    command.arg(file).current_dir(directory);
    command
}

/// `"name" "password"`, in which a quote is doubled.
fn user_list(users: &[(&str, &str)]) -> String {
    let mut list = String::new();
    for (name, password) in users {
        let password = password.replace('"', "\"\"");
        let _ = writeln!(list, "\"{name}\" \"{password}\"");
    }
    list
}

fn configuration(server: &Postgres, list: &Path, address: SocketAddrV4, more: &str) -> String {
    format!(
        "[databases]\n* = host={} port={}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
         auth_type = scram-sha-256\nauth_file = {}\n\
         pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 200\n{more}\n",
        server.socket_directory().display(),
        server.port(),
        address.port(),
        list.display(),
    )
}
