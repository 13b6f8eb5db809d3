//! MinIO, a server that speaks S3's protocol, with quirks of its own. Its last snapshot: it is not
//! developed any more, and widely installed.

use std::process::Command;

use tempfile::TempDir;

use crate::bucket::BUCKET;
use crate::{Daemon, TestBucket, program, run};

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
                .env("MINIO_ROOT_USER", BUCKET.access_key)
                .env("MINIO_ROOT_PASSWORD", BUCKET.secret_key)
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
        minio.create_bucket();
        minio
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host_port(&self) -> &str {
        &self.host_port
    }

    /// Its bucket.
    #[must_use]
    pub fn bucket(&self) -> TestBucket {
        BUCKET
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    fn create_bucket(&self) {
        let user = format!("{}:{}", BUCKET.access_key, BUCKET.secret_key);
        let url = format!("http://{}/{}", self.host_port, BUCKET.name);
        let signature = format!("aws:amz:{}:s3", BUCKET.region);
        // It listens before it can answer.
        let mut command = Command::new(program("curl"));
        run(command
            .args(["--silent", "--show-error", "--fail", "-X", "PUT"])
            .args(["--retry", "20", "--retry-delay", "1", "--retry-all-errors"])
            .args(["--aws-sigv4", &signature, "--user", &user, &url]))
        .succeeded();
    }
}
