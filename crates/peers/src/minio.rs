//! MinIO, a server that speaks S3's protocol, with quirks of its own. Its last snapshot: it is not
//! developed any more, and widely installed.

use std::process::Command;

use tempfile::TempDir;

use crate::{Daemon, program, run};

/// The id of the only key.
const ACCESS_KEY: &str = "wharfinger-test";
/// The key.
const SECRET_KEY: &str = "secret-of-the-test";

/// A running server.
#[derive(Debug)]
pub struct Minio {
    daemon: Daemon,
    host_port: String,
    _directory: TempDir,
}

impl Minio {
    /// Starts a server with one bucket, `content`.
    ///
    /// # Panics
    /// If minio is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("log");
        let (daemon, address) = Daemon::start_on_port(&log, |address| {
            let mut command = Command::new(program("minio"));
            command
                .args(["server", "--quiet", "--address", &address.to_string()])
                .args(["--console-address", "127.0.0.1:0"])
                .arg(directory.path().join("objects"))
                .env("HOME", directory.path())
                .env("MINIO_ROOT_USER", ACCESS_KEY)
                .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
                .env("MINIO_BROWSER", "off")
                .env("MINIO_UPDATE", "off")
                .current_dir(directory.path());
            command
        });
        let minio = Self {
            daemon,
            host_port: address.to_string(),
            _directory: directory,
        };
        minio.create_bucket(minio.bucket());
        minio
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host_port(&self) -> &str {
        &self.host_port
    }

    /// The name of the bucket.
    #[must_use]
    pub fn bucket(&self) -> &'static str {
        "content"
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &'static str {
        "us-east-1"
    }

    /// The id of the only key.
    #[must_use]
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The key.
    #[must_use]
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    fn create_bucket(&self, name: &str) {
        let user = format!("{ACCESS_KEY}:{SECRET_KEY}");
        let url = format!("http://{}/{name}", self.host_port);
        // It listens before it can answer.
        let mut command = Command::new(program("curl"));
        run(command
            .args(["--silent", "--show-error", "--fail", "-X", "PUT"])
            .args(["--retry", "20", "--retry-delay", "1", "--retry-all-errors"])
            .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user, &url]))
        .succeeded();
    }
}
