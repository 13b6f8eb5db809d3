//! A registry that outlives its servers, and the commands beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use common::{Clock, SystemClock};
use database::{DatabaseLocation, SqliteDatabase};
use oci::{Digest, DigestAlgorithm, media_type};
use peers::{Image, Output, Server, http, skopeo};
use serde_json::Value;
use storage::{NewManifest, NewUpload, Storage, StorageSettings, UploadId, hash};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

struct TwoDaysAgo;

impl Clock for TwoDaysAgo {
    fn now(&self) -> SystemTime {
        SystemClock.now() - Duration::from_secs(2 * 86_400)
    }
}

/// A registry without authentication, with its data in a directory that outlives its servers.
pub(crate) struct World {
    directory: TempDir,
    server: Option<Server>,
}

impl World {
    /// Nothing is there yet.
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            server: None,
        }
    }

    pub(crate) fn serving() -> Self {
        let mut world = Self::new();
        world.serve();
        world
    }

    pub(crate) fn serve(&mut self) {
        self.server = Some(Server::start(Path::new(PROGRAM), &self.config()));
    }

    pub(crate) fn stop(&mut self) {
        assert!(self.server.take().unwrap().terminate().success());
    }

    /// Waits until the server has logged `text`, and returns the log.
    pub(crate) fn log_with(&mut self, text: &str) -> String {
        let server = self.server.as_mut().unwrap();
        server.wait_for_log(text);
        server.log()
    }

    /// A program that runs these lines of a shell.
    pub(crate) fn program(&self, script: &str) -> PathBuf {
        let path = self.directory.path().join("program");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    pub(crate) fn config(&self) -> String {
        format!(
            "server: {{addr: '@addr@'}}\n\
             registry:\n  storage: {{filesystem: {{root: {root}}}}}\n  auth: {{none: true}}\n  uploads: {{expire: 1d}}\n",
            root = self.root().display(),
        )
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// `wharfinger registry COMMAND FILE …`, FILE being the running server's, or one just like it.
    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let file = match &self.server {
            Some(server) => server.config(),
            None => {
                let file = self.directory.path().join("wharfinger.yml");
                fs::write(&file, self.config().replace("@addr@", "127.0.0.1:1")).unwrap();
                file
            }
        };
        let mut run = Command::new(PROGRAM);
        peers::run(run.args(["registry", command]).arg(file).args(arguments))
    }

    #[track_caller]
    pub(crate) fn json(&self, command: &str, arguments: &[&str]) -> Value {
        serde_json::from_str(
            self.run(command, &[arguments, &["--json"]].concat())
                .succeeded(),
        )
        .unwrap()
    }

    pub(crate) fn push(&self, image: &Image, name: &str) {
        push(image, &self.server().host_port(), name);
    }

    pub(super) fn status(&self, path: &str) -> u16 {
        http::get(&self.server().url(path)).status
    }

    /// Storage as a server of two days ago sees it.
    pub(crate) async fn storage_of_two_days_ago(&self) -> Storage {
        let location = DatabaseLocation::at(self.root().join("wharfinger.db"));
        let database = SqliteDatabase::open_exclusive(&location).unwrap();
        let clock = Arc::new(TwoDaysAgo);
        Storage::open(database, self.root(), StorageSettings::default(), clock)
            .await
            .unwrap()
    }

    /// What a server of two days ago left: an image, a blob that nothing refers to, and an upload
    /// under way.
    pub(super) fn of_two_days_ago(&self) -> Past {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let storage = self.storage_of_two_days_ago().await;
            let config = put(&storage, 1, b"{}").await;
            let garbage = put(&storage, 2, b"garbage").await;
            let manifest = format!(
                r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{config}","size":2}},"layers":[]}}"#,
                media_type::OCI_MANIFEST
            );
            let manifest = NewManifest::parse(None, Bytes::from(manifest), None).unwrap();
            let tags = vec!["1".parse().unwrap()];
            storage.manifests().push(&"app".parse().unwrap(), manifest, tags).await.unwrap();
            storage.begin(upload(3)).await.unwrap();
            Past { config, garbage }
        })
    }
}

/// What was stored two days ago.
pub(super) struct Past {
    pub(super) config: Digest,
    pub(super) garbage: Digest,
}

pub(crate) fn upload(number: u8) -> NewUpload {
    NewUpload {
        id: UploadId::from_random([number; 16]),
        repository: "app".parse().unwrap(),
        client: "ann".to_owned(),
        algorithm: DigestAlgorithm::Sha256,
    }
}

async fn put(storage: &Storage, number: u8, content: &'static [u8]) -> Digest {
    let digest = hash::digest(DigestAlgorithm::Sha256, content);
    let mut upload = storage.put(upload(number)).await.unwrap();
    upload.write(Bytes::from_static(content)).await.unwrap();
    upload.finish(digest).await.unwrap();
    digest
}

pub(crate) fn push(image: &Image, registry: &str, name: &str) {
    let from = format!("oci-archive:{}", image.archive().display());
    let to = format!("docker://{registry}/{name}");
    skopeo()
        .run(&[
            "copy",
            "--preserve-digests",
            "--dest-tls-verify=false",
            &from,
            &to,
        ])
        .succeeded();
}

/// Whether `name` can be pulled whole, and is `image`.
#[track_caller]
pub(crate) fn pulls(registry: &str, name: &str, image: &Image) {
    let from = format!("docker://{registry}/{name}");
    let to = tempfile::tempdir().unwrap();
    let to = format!("dir:{}", to.path().display());
    skopeo()
        .run(&["copy", "--src-tls-verify=false", &from, &to])
        .succeeded();
    let inspected = skopeo().run(&[
        "inspect",
        "--tls-verify=false",
        "--format",
        "{{.Digest}}",
        &from,
    ]);
    assert_eq!(inspected.succeeded(), image.digest());
}
