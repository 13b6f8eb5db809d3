//! Prometheus, which scrapes a server, and its tool, which checks what it scrapes.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::{Daemon, Output, ReservedAddress, http, program, run, run_with_input};

/// A running Prometheus, which stores exemplars, too.
#[derive(Debug)]
pub struct Prometheus {
    _daemon: Daemon,
    address: ReservedAddress,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts it with `scrape_configs` in YAML.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    #[must_use]
    pub fn start(scrape_configs: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("prometheus.yml");
        fs::write(&file, format!("scrape_configs:\n{scrape_configs}"))
            .expect("Prometheus's configuration");
        let log = directory.path().join("log");
        let (daemon, address) = Daemon::start_on_port(&log, |address| {
            let mut command = Command::new(program("prometheus"));
            command
                .arg(format!("--config.file={}", file.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    directory.path().join("data").display()
                ))
                .arg(format!("--web.listen-address={address}"))
                .arg("--enable-feature=exemplar-storage");
            command
        });
        Self {
            _daemon: daemon,
            address,
            _directory: directory,
        }
    }

    /// The body of the response to a `GET` of its API: `query?query=up`.
    ///
    /// # Panics
    /// If there is no response.
    #[must_use]
    pub fn api(&self, call: &str) -> String {
        http::get(&format!("http://{}/api/v1/{call}", self.address)).body
    }
}

/// `promtool check metrics`, with the text of a scrape.
///
/// # Panics
/// If promtool is not installed.
#[must_use]
pub fn check_metrics(scrape: &str) -> Output {
    let mut command = Command::new(program("promtool"));
    run_with_input(command.args(["check", "metrics"]), scrape)
}

/// `promtool ARGUMENTS` in a directory.
///
/// # Panics
/// If promtool is not installed.
#[must_use]
pub fn promtool(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program("promtool"));
    run(command.current_dir(directory).args(arguments))
}
