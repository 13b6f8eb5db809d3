//! A replica is killed or paused at a named step of its work. Afterwards, another one has lost nothing that
//! was acknowledged, and nothing refers to what is gone.
//!
//! The replica that fails reaches the database and the store through proxies, which hold the message of the
//! step. So its program knows nothing of these tests. The other replica reaches both directly.

mod collection;
mod manifests;
mod uploads;

use std::io;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use oci::Digest;
use peers::PostgresProxy;

use super::image::{MANIFEST, digest, manifest};
use super::wire::{self, Answer, BYTES, location, with_digest};
use super::world::{OPEN, PROGRAM, Replicas, Ways};

/// The replica that is killed or paused.
const VICTIM: usize = 0;
/// The one that continues.
const OTHER: usize = 1;

/// How often an upload is tried that the lease of a dead replica keeps for 30 s.
const ATTEMPTS: usize = 600;
const INTERVAL: Duration = Duration::from_millis(100);
/// How often a collection is repeated.
const BUSY: usize = 10;

/// Two replicas, and what the first one reaches the database through.
struct Scene {
    replicas: Replicas,
    database: PostgresProxy,
}

impl Scene {
    fn start() -> Self {
        let mut replicas = Replicas::without_servers();
        let database = PostgresProxy::start(replicas.postgres.port());
        let observed = Ways {
            database: &[database.port()],
            store: replicas.proxy.host_port(),
        };
        let observed = replicas.config_by(&observed, "", OPEN);
        let direct = Ways {
            database: &[replicas.postgres.port()],
            store: replicas.gateway.host_port(),
        };
        let direct = replicas.config_by(&direct, "", OPEN);
        replicas.add(&observed);
        replicas.add(&direct);
        replicas.wait_until_ready();
        Self { replicas, database }
    }

    fn address(&self, replica: usize) -> String {
        self.replicas.servers[replica].host_port()
    }

    /// The answer to a request, which must come.
    fn ask(&self, replica: usize, method: &str, path: &str, body: &[u8]) -> Answer {
        let kind = kind_of(path);
        let answer = wire::send(&self.address(replica), method, path, kind, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.replicas.logs()))
    }

    /// Sends a request whose answer may never come.
    fn ask_later(
        &self,
        replica: usize,
        method: &'static str,
        path: &str,
        body: &[u8],
    ) -> JoinHandle<io::Result<Answer>> {
        let (address, path, body) = (self.address(replica), path.to_owned(), body.to_owned());
        thread::spawn(move || wire::send(&address, method, &path, kind_of(&path), &body))
    }

    /// Begins an upload.
    fn upload(&self, replica: usize) -> String {
        let begun = self.ask(replica, "POST", "/v2/app/blobs/uploads/", b"");
        assert_eq!(begun.status, 202, "{begun:?}");
        location(&begun)
    }

    fn push_blob(&self, replica: usize, content: &[u8]) -> Digest {
        let end = with_digest(&self.upload(replica), &digest(content));
        let put = self.ask(replica, "PUT", &end, content);
        assert_eq!(put.status, 201, "{put:?}\n{}", self.replicas.logs());
        digest(content)
    }

    /// The status of a request that the lease of another replica may keep waiting.
    fn continue_upload(&self, replica: usize, method: &str, path: &str, body: &[u8]) -> Answer {
        for _ in 0..ATTEMPTS {
            let answer = self.ask(replica, method, path, body);
            if answer.status != 429 && answer.status != 503 {
                return answer;
            }
            thread::sleep(INTERVAL);
        }
        panic!("{method} {path} never succeeded\n{}", self.replicas.logs());
    }

    /// Pushes an image of nothing but this blob, so that collection keeps it.
    fn tag(&self, content: &[u8]) {
        let image = image_of(content, content);
        let pushed = self.ask(OTHER, "PUT", "/v2/app/manifests/kept", image.as_bytes());
        assert_eq!(pushed.status, 201, "{pushed:?}");
    }

    fn kill(&mut self) {
        self.replicas.servers[VICTIM].kill();
    }

    /// Requires that a replica has a blob's content.
    fn has(&self, replica: usize, content: &[u8]) {
        let path = format!("/v2/app/blobs/{}", digest(content));
        let pulled = wire::pull(&self.address(replica), &path).unwrap();
        let is_whole = pulled.status == 200 && pulled.body == content;
        assert!(is_whole, "{}\n{}", pulled.status, self.replicas.logs());
    }

    /// The status of a blob.
    fn head(&self, replica: usize, digest: &Digest) -> u16 {
        let path = format!("/v2/app/blobs/{digest}");
        self.ask(replica, "HEAD", &path, b"").status
    }

    /// Begins to collect as the victim does.
    fn collect_later(&self) -> Child {
        let mut command = Command::new(PROGRAM);
        command
            .args(["registry", "gc"])
            .arg(self.replicas.servers[VICTIM].config());
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        quiet.spawn().unwrap()
    }

    /// Collects as the other replica does. What was used within a second stays.
    fn collect(&self) {
        thread::sleep(Duration::from_millis(1500));
        let collect = || {
            let mut command = Command::new(PROGRAM);
            let config = self.replicas.servers[OTHER].config();
            peers::run(command.args(["registry", "gc"]).arg(config))
        };
        // A database on a busy machine may not answer in time.
        let mut collected = collect();
        for _ in 0..BUSY {
            if collected.status.success() {
                break;
            }
            collected = collect();
        }
        collected.succeeded();
    }

    /// Lets a day pass for what waits to be removed.
    fn let_a_day_pass(&self) {
        let sql = "UPDATE blobs SET since = since - interval '1 day' WHERE state = 3;
                   UPDATE uploads SET moved_at = now() - interval '8 days', until = NULL";
        self.replicas.postgres.run("wharfinger", sql);
    }

    /// The objects that have content.
    fn objects(&self) -> Vec<String> {
        self.replicas.gateway.keys("registry/blobs/")
    }

    /// Starts the victim again, and requires that each replica has just these blobs, and the store no
    /// other objects.
    fn require_whole(mut self, blobs: &[&[u8]]) {
        self.replicas.servers[VICTIM].start_again();
        self.replicas.wait_until_ready();
        for _ in 0..2 {
            self.let_a_day_pass();
            self.collect();
        }
        for replica in [VICTIM, OTHER] {
            for content in blobs {
                self.has(replica, content);
            }
        }
        self.replicas.command_succeeds(&["registry", "verify"]);
        let objects = self.objects();
        assert_eq!(objects.len(), blobs.len(), "{objects:?}");
        assert_eq!(self.replicas.gateway.multipart_uploads(), 0);
    }
}

fn kind_of(path: &str) -> &'static str {
    match path.contains("/manifests/") {
        true => MANIFEST,
        false => BYTES,
    }
}

/// The manifest of an image with one layer.
fn image_of(config: &[u8], layer: &[u8]) -> String {
    let (config, layer) = (config.to_vec(), layer.to_vec());
    let layers = [(digest(&layer), &layer)];
    manifest(&(digest(&config), &config), &layers)
}
