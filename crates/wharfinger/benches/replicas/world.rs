//! The servers, and what they share.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use peers::{Postgres, TestCertificate, TestKeyKind, VersityGateway, program};
use tempfile::TempDir;

use crate::common::features::Feature;
use crate::common::http::Connection;
use crate::common::{Process, cpu_seconds_with_children, free_address, pinned};

/// The core of every server.
const CORE: &str = "0";

/// The name of PostgreSQL's database.
const DATABASE: &str = "wharfinger";

/// A database, a bucket, and the key that signs the tokens of all servers.
pub(crate) struct World {
    pub(crate) postgres: Postgres,
    /// Takes the place of `postgres` if that ends.
    pub(crate) standby: Option<Postgres>,
    gateway: VersityGateway,
    key: TestCertificate,
    directory: TempDir,
    servers: AtomicU64,
}

/// A running registry.
pub(crate) struct Server {
    pub(crate) process: Process,
    has_tokens: bool,
}

/// What the replicas of a row have beside the usual.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    /// The replica sends all content itself, and no client to the store.
    pub(crate) is_proxy: bool,
    /// Keys of `registry.gc`.
    pub(crate) gc: &'static str,
    /// What it does more for each request.
    pub(crate) feature: Option<&'static Feature>,
}

impl World {
    pub(crate) fn start() -> Self {
        let postgres = Postgres::start_durable();
        postgres.run("postgres", "CREATE ROLE wharfinger LOGIN PASSWORD 'sesame'");
        let sql = format!("CREATE DATABASE {DATABASE} OWNER wharfinger");
        postgres.run("postgres", &sql);
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self {
            postgres,
            standby: None,
            gateway: VersityGateway::start(),
            key: TestCertificate::new(TestKeyKind::P256, directory.path(), "token"),
            directory,
            servers: AtomicU64::new(0),
        }
    }

    /// With a standby that has each commit before it is acknowledged.
    pub(crate) fn start_with_standby() -> Self {
        let mut world = Self::start();
        world.standby = Some(world.postgres.start_standby());
        world.postgres.commit_synchronously();
        world
    }

    /// A server on PostgreSQL and the bucket.
    pub(crate) fn replica(&self, options: &Options) -> Server {
        let ports = [Some(&self.postgres), self.standby.as_ref()];
        let hosts = ports.into_iter().flatten().map(|server| {
            let port = server.port();
            format!("127.0.0.1:{port}")
        });
        let hosts = hosts.collect::<Vec<_>>().join(",");
        let Options {
            is_proxy,
            gc,
            feature,
        } = options;
        let gc = if gc.is_empty() { "schedule: off" } else { gc };
        let config = format!(
            "database: {{url: 'postgres://wharfinger:sesame@{hosts}/{DATABASE}?sslmode=disable'}}\n\
             registry: {{gc: {{{gc}}}, storage: {{redirect: {{enabled: {}}}, s3: {{{}}}}}}}\n\
             {}",
            !is_proxy,
            self.bucket("/ours"),
            feature.map(Feature::sections).unwrap_or_default(),
        );
        self.ours(feature.map_or("", |feature| feature.server), &config)
    }

    /// A server that has everything on its own disk.
    pub(crate) fn single(&self) -> Server {
        let root = self.directory.path().join("single");
        let config = format!(
            "registry: {{gc: {{schedule: off}}, storage: {{filesystem: {{root: {root:?}}}}}}}\n"
        );
        self.ours("", &config)
    }

    /// Distribution's on the bucket, as its own example has it, without a log of accesses.
    pub(crate) fn registry3(&self, is_proxy: bool) -> Server {
        let bucket = self.bucket("/three");
        let config = |address: &str| {
            format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
                 storage: {{s3: {{{bucket}}}, redirect: {{disable: {is_proxy}}}, delete: {{enabled: true}}, cache: {{blobdescriptor: inmemory}}}}\n\
                 http: {{addr: {address:?}, secret: bench}}\n"
            )
        };
        let process = self.serve(&program("registry"), config, "/v2/");
        Server {
            process,
            has_tokens: false,
        }
    }

    /// The keys of the bucket, which both programs know.
    fn bucket(&self, root: &str) -> String {
        self.gateway.driver(self.gateway.host_port(), root)
    }

    /// `keys` are further keys of `server`.
    fn ours(&self, keys: &str, config: &str) -> Server {
        let (certificate, key) = (&self.key.certificate, &self.key.key);
        let config = |address: &str| {
            format!(
                "server: {{{keys}addr: {address:?}}}\n\
                 token: {{issuer: bench, expiration: 3600, certificate: {certificate:?}, key: {key:?}}}\n\
                 users: {{\"\": {{}}}}\n\
                 acl: [{{match: {{account: \"\"}}, actions: [\"*\"]}}]\n\
                 {config}"
            )
        };
        let program = Path::new(env!("CARGO_BIN_EXE_wharfinger"));
        Server {
            process: self.serve(program, config, "/readyz"),
            has_tokens: true,
        }
    }

    fn serve(&self, program: &Path, config: impl Fn(&str) -> String, ready: &str) -> Process {
        let number = self.servers.fetch_add(1, Ordering::Relaxed);
        let file = self.directory.path().join(format!("{number}.yml"));
        let address = free_address();
        std::fs::write(&file, config(&address)).unwrap();
        let mut command = pinned(CORE, program);
        command
            .arg("serve")
            .arg(&file)
            .env("OTEL_TRACES_EXPORTER", "none");
        let log = File::create(file.with_extension("log")).unwrap();
        let process = Process::start_logging(&mut command, &address, log);
        process.wait_for(ready);
        process
    }

    /// Runs statements in the database of the replicas.
    pub(crate) fn sql(&self, statements: &str) -> String {
        self.postgres.run(DATABASE, statements)
    }

    /// The SQLite file of [`single`](Self::single).
    pub(crate) fn sqlite(&self) -> rusqlite::Connection {
        let file = self.directory.path().join("single/wharfinger.db");
        rusqlite::Connection::open(file).unwrap()
    }

    /// Writes an object of registry 3 behind its back.
    pub(crate) fn write_object(&self, key: &str, content: &str) {
        let key = format!("three/docker/registry/v2/{key}");
        self.gateway.write_file(&key, content);
    }

    /// What PostgreSQL has used of the processor, and what the store has.
    pub(crate) fn cpu_seconds(&self) -> (f64, f64) {
        (
            cpu_seconds_with_children(self.postgres.id()),
            cpu_seconds_with_children(self.gateway.id()),
        )
    }
}

impl Server {
    /// The header that allows to pull, or to push, too; empty for a server that is open.
    pub(crate) fn bearer(&self, repository: &str, actions: &str) -> String {
        if !self.has_tokens {
            return String::new();
        }
        let address = &self.process.address;
        let url = format!(
            "http://{address}/auth?service=wharfinger&scope=repository:{repository}:{actions}"
        );
        let answer = peers::http::get(&url);
        let token = answer.json_string("token").unwrap();
        format!("Authorization: Bearer {token}\r\n")
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.process.address)
    }
}
