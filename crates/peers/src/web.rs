//! Web servers: scripts in PHP and Python, and nginx as the proxy in front of ours.

use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::{Daemon, ReservedAddress, program};

/// A script that serves HTTP: in PHP, with the server that PHP has built in, or in Python.
#[derive(Debug)]
pub struct ScriptServer {
    daemon: Daemon,
    address: ReservedAddress,
    _log: TempDir,
}

impl ScriptServer {
    /// `php -S`: runs `script`, a file in `directory`, there for each request.
    ///
    /// # Panics
    /// If PHP is not installed or does not start.
    #[must_use]
    pub fn php(directory: &Path, script: &str) -> Self {
        Self::start(directory, |address| {
            let mut command = Command::new(program("php"));
            command.arg("-S").arg(address.to_string()).arg(script);
            command
        })
    }

    /// Runs `script`, a file in `directory`, there. Its argument is the port to listen on.
    ///
    /// # Panics
    /// If Python is not installed, or the script does not listen.
    #[must_use]
    pub fn python(directory: &Path, script: &str) -> Self {
        Self::start(directory, |address| {
            let mut command = Command::new(program("python3"));
            command.arg(script).arg(address.port().to_string());
            command
        })
    }

    fn start(directory: &Path, command: impl Fn(SocketAddrV4) -> Command) -> Self {
        let log = tempfile::tempdir().expect("a temporary directory");
        let (daemon, address) = Daemon::start_on_port(&log.path().join("log"), |address| {
            let mut command = command(address);
            command.current_dir(directory);
            command
        });
        Self {
            daemon,
            address,
            _log: log,
        }
    }

    /// The URL of `path`, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its requests and the script's errors.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

/// nginx with one `server` block.
#[derive(Debug)]
pub struct Nginx {
    daemon: Daemon,
    address: ReservedAddress,
    _directory: TempDir,
}

impl Nginx {
    /// Starts nginx with `directives` in its only `server`; `@listen@` stands for the address to
    /// listen on.
    ///
    /// # Panics
    /// If nginx is not installed or does not start.
    #[must_use]
    pub fn start(directives: &str) -> Self {
        Self::start_with("", directives)
    }

    /// [`start`](Self::start), with `around` beside the `server` block, such as an `upstream`.
    ///
    /// # Panics
    /// If nginx is not installed or does not start.
    #[must_use]
    pub fn start_with(around: &str, directives: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        let (daemon, address) = Daemon::start_on_port(&path.join("log"), |address| {
            let file = path.join("nginx.conf");
            let server = directives.replace("@listen@", &address.to_string());
            fs::write(&file, configuration(path, around, &server)).expect("nginx's configuration");
            let mut command = Command::new(program("nginx"));
            command
                .arg("-e")
                .arg("stderr")
                .arg("-p")
                .arg(path)
                .arg("-c")
                .arg(file);
            command
        });
        Self {
            daemon,
            address,
            _directory: directory,
        }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host_port(&self) -> String {
        self.address.to_string()
    }

    /// The port alone.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its errors.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

/// In the foreground, with one worker, and with every file that nginx writes in `directory`.
fn configuration(directory: &Path, around: &str, server: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", directory.display()))
        .collect();
    format!(
        "user root;\n\
         daemon off;\n\
         worker_processes 1;\n\
         pid {}/pid;\n\
         events {{ worker_connections 128; }}\n\
         http {{\naccess_log off;\n{temporary}{around}\nserver {{\n{server}\n}}\n}}\n",
        directory.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[test]
    fn php_runs_the_script_where_it_is_told() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(
            directory.path().join("who.php"),
            "<?php echo $_GET['account'] . ' ' . `ls`;",
        )
        .unwrap();
        let php = ScriptServer::php(directory.path(), "who.php");
        assert_eq!(
            http::get(&php.url("/?account=mizzy")).body,
            "mizzy who.php\n",
            "{}",
            php.log()
        );
    }

    #[test]
    fn nginx_answers() {
        let nginx = Nginx::start("listen @listen@; location / { return 200 here; }");
        assert_eq!(
            http::get(&format!("http://{}/", nginx.host_port())).body,
            "here",
            "{}",
            nginx.log()
        );
    }
}
