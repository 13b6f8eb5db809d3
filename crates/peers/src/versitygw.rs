//! A server that speaks S3's protocol, with objects in files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::bucket::BUCKET;
use crate::{Daemon, TestBucket, TestCertificate, program};

/// A running server.
#[derive(Debug)]
pub struct VersityGateway {
    daemon: Daemon,
    host_port: String,
    directory: TempDir,
}

impl VersityGateway {
    /// Starts a server with one bucket, `content`.
    ///
    /// # Panics
    /// If versitygw is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// The same, with TLS.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with_tls(certificate: &TestCertificate) -> Self {
        Self::start_with(Some(certificate))
    }

    fn start_with(certificate: Option<&TestCertificate>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (daemon, host_port) = launch(directory.path(), certificate);
        let gateway = Self {
            daemon,
            host_port,
            directory,
        };
        gateway.create_bucket(BUCKET.name);
        gateway
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.daemon.id()
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

    /// What [`RegistryConfig::s3`](crate::RegistryConfig::s3) says of the bucket, behind a proxy at
    /// `host_port`, with all keys below `root`.
    #[must_use]
    pub fn driver(&self, host_port: &str, root: &str) -> String {
        let TestBucket {
            name,
            region,
            access_key,
            secret_key,
        } = BUCKET;
        format!(
            "bucket: {name}, region: {region}, regionendpoint: 'http://{host_port}', \
             forcepathstyle: true, secure: false, accesskey: {access_key}, \
             secretkey: {secret_key}, rootdirectory: {root}"
        )
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Makes a bucket. A bucket is a directory.
    ///
    /// # Panics
    /// If that fails.
    pub fn create_bucket(&self, name: &str) {
        fs::create_dir_all(self.objects().join(name)).expect("a bucket's directory");
    }

    /// The keys of all objects below a prefix, which ends with a slash, sorted.
    #[must_use]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let bucket = self.objects().join(BUCKET.name);
        let mut keys = Vec::new();
        files(&bucket.join(prefix), &mut keys);
        let mut keys: Vec<_> = keys
            .iter()
            .filter_map(|path| path.strip_prefix(&bucket).ok()?.to_str())
            .map(str::to_owned)
            .collect();
        keys.sort();
        keys
    }

    /// How many multipart uploads are not complete.
    #[must_use]
    pub fn multipart_uploads(&self) -> usize {
        let bucket = self.objects().join(BUCKET.name);
        let directory = bucket.join(".sgwtmp").join("multipart");
        let Ok(objects) = fs::read_dir(directory) else {
            return 0;
        };
        let uploads = objects.flatten().map(|object| {
            let ids = fs::read_dir(object.path());
            ids.map_or(0, Iterator::count)
        });
        uploads.sum()
    }

    /// Writes an object behind the server's back.
    ///
    /// # Panics
    /// If that fails.
    pub fn write_file(&self, key: &str, content: &str) {
        let path = self.objects().join(BUCKET.name).join(key);
        fs::create_dir_all(path.parent().expect("a key has a directory")).expect("directories");
        fs::write(path, content).expect("an object's file");
    }

    /// Removes an object behind the server's back.
    ///
    /// # Panics
    /// If there is none.
    pub fn remove_file(&self, key: &str) {
        fs::remove_file(self.objects().join(BUCKET.name).join(key)).expect("an object's file");
    }

    fn objects(&self) -> PathBuf {
        self.directory.path().join("objects")
    }
}

fn launch(directory: &Path, certificate: Option<&TestCertificate>) -> (Daemon, String) {
    let objects = directory.join("objects");
    fs::create_dir_all(&objects).expect("the directory of all buckets");
    let (daemon, address) = Daemon::start_on_port(&directory.join("log"), |address| {
        let mut command = Command::new(program("versitygw"));
        command
            .args(["--access", BUCKET.access_key, "--secret", BUCKET.secret_key])
            .args(["--port", &address.to_string()]);
        if let Some(TestCertificate { certificate, key }) = certificate {
            command.arg("--cert").arg(certificate);
            command.arg("--key").arg(key);
        }
        command
            .args(["--region", BUCKET.region, "posix"])
            .arg(&objects)
            .current_dir(directory);
        command
    });
    (daemon, address.to_string())
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.file_name().is_some_and(|name| name == ".sgwtmp") {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}
