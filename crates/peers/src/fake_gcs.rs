//! A server that speaks the JSON API of Google Cloud Storage.

use std::process::Command;

use tempfile::TempDir;

use crate::{Daemon, Output, program, run};

/// A running server, whose objects are in its memory.
#[derive(Debug)]
pub struct FakeGcs {
    daemon: Daemon,
    url: String,
    _directory: TempDir,
}

impl FakeGcs {
    /// Starts a server without buckets.
    ///
    /// # Panics
    /// If fake-gcs-server is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("log");
        let (daemon, address) = Daemon::start_on_port(&log, |address| {
            let mut command = Command::new(program("fake-gcs-server"));
            let port = address.port().to_string();
            command.args(["-scheme", "http", "-backend", "memory"]);
            command.args(["-host", "127.0.0.1", "-port", &port]);
            command
        });
        Self {
            daemon,
            url: format!("http://{address}"),
            _directory: directory,
        }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, name: &str) {
        let body = format!("{{\"name\":\"{name}\"}}");
        let url = format!("{}/storage/v1/b", self.url);
        curl(&[
            "--data",
            &body,
            "-H",
            "Content-Type: application/json",
            &url,
        ])
        .succeeded();
    }

    /// Writes an object, whose name is percent-encoded.
    pub fn put(&self, bucket: &str, name: &str, content: &str) {
        let url = format!(
            "{}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}",
            self.url
        );
        curl(&["--data-binary", content, &url]).succeeded();
    }

    /// The content of an object, whose name is percent-encoded.
    #[must_use]
    pub fn get(&self, bucket: &str, name: &str) -> String {
        let url = format!("{}/storage/v1/b/{bucket}/o/{name}?alt=media", self.url);
        let output = curl(&[&url]);
        output.succeeded();
        output.stdout
    }
}

fn curl(arguments: &[&str]) -> Output {
    let mut command = Command::new(program("curl"));
    run(command
        .args(["--silent", "--show-error", "--fail"])
        .args(arguments))
}
