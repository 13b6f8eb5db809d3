//! `wharfinger registry copy`: from files to a bucket and back, while clients push and pull.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use peers::{
    Docker, Image, Output, Server, TestPostgresDatabase, VersityGateway, crane, http, run, skopeo,
    wait_until,
};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Configurations of one test.
struct World {
    gateway: VersityGateway,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            gateway: VersityGateway::start(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn config(&self, name: &str, storage: &str) -> String {
        let database = self.directory.path().join(format!("{name}.db"));
        Self::config_on(&format!("sqlite://{}", database.display()), storage)
    }

    fn config_on(database: &str, storage: &str) -> String {
        format!(
            "server: {{addr: '@addr@'}}\ndatabase: {{url: '{database}'}}\n\
             registry:\n  auth: {{none: true}}\n  gc: {{schedule: never}}\n  storage:\n    {storage}\n",
        )
    }

    /// A registry that stores files.
    fn files(&self, name: &str) -> String {
        let root = self.directory.path().join(name);
        self.config(name, &format!("filesystem: {{root: {}}}", root.display()))
    }

    /// A registry that stores objects.
    fn bucket(&self, name: &str) -> String {
        let driver = self.gateway.driver(self.gateway.host_port(), name);
        self.config(name, &format!("s3: {{{driver}, chunksize: 5MiB}}"))
    }

    /// A registry whose database is in PostgreSQL, with its content in a bucket.
    fn postgres(&self, database: &TestPostgresDatabase, name: &str) -> String {
        let driver = self.gateway.driver(self.gateway.host_port(), name);
        Self::config_on(
            &database.url(),
            &format!("s3: {{{driver}, chunksize: 5MiB}}"),
        )
    }

    /// The configuration in a file, for a server that is not started yet.
    fn file(&self, name: &str, config: &str) -> PathBuf {
        let file = self.directory.path().join(format!("{name}.yml"));
        fs::write(&file, config.replace("@addr@", "127.0.0.1:0")).unwrap();
        file
    }
}

fn start(config: &str) -> Server {
    Server::start(Path::new(PROGRAM), config)
}

fn copy(from: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    run(command.args(["registry", "copy"]).arg(from).args(arguments))
}

fn json(output: &Output) -> Value {
    serde_json::from_str(output.succeeded()).unwrap()
}

/// Pushes images until it is told to end, and says which of them were acknowledged.
struct Pusher {
    ends: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeMap<String, String>>>,
    thread: thread::JoinHandle<()>,
}

impl Pusher {
    fn start(host: String) -> Self {
        let (ends, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (end, told) = (
            Arc::clone(&ends),
            Arc::<Mutex<BTreeMap<_, _>>>::clone(&acknowledged),
        );
        let thread = thread::spawn(move || {
            let crane = crane();
            for number in 0.. {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let image = Image::saying(&format!("pushed {number}"));
                let name = format!("team/pushed{}:{number}", number % 3);
                let layout = image.layout().display().to_string();
                let output = crane.run(&["push", "--insecure", &layout, &format!("{host}/{name}")]);
                if output.status.success() {
                    told.lock().unwrap().insert(name, image.digest().to_owned());
                }
            }
        });
        Self {
            ends,
            acknowledged,
            thread,
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn end(self) -> BTreeMap<String, String> {
        self.ends.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        Arc::try_unwrap(self.acknowledged)
            .unwrap()
            .into_inner()
            .unwrap()
    }
}

fn pull(server: &Server, name: &str, digest: &str) {
    let crane = crane();
    let reference = format!("{}/{name}", server.host_port());
    let found = crane.run(&["digest", "--insecure", &reference]);
    assert_eq!(
        found.succeeded().trim(),
        digest,
        "{reference}\n{}",
        server.log()
    );
    let file = crane.home().join("pulled.tar").display().to_string();
    crane
        .run(&["pull", "--insecure", &reference, &file])
        .succeeded();
}

/// With skopeo, which compresses the layers.
fn push(server: &Server, text: &str, name: &str) -> String {
    let image = Image::saying(text);
    let source = format!("oci:{}", image.layout().display());
    let reference = format!("{}/{name}", server.host_port());
    let target = format!("docker://{reference}");
    skopeo()
        .run(&[
            "--insecure-policy",
            "copy",
            "-q",
            "--dest-tls-verify=false",
            &source,
            &target,
        ])
        .succeeded();
    let digest = crane().run(&["digest", "--insecure", &reference]);
    digest.succeeded().trim().to_owned()
}

#[test]
fn a_registry_moves_to_a_bucket_while_clients_push_and_nothing_acknowledged_is_lost() {
    let world = World::new();
    let old = start(&world.files("old"));
    let host = old.host_port();
    let kept = push(&old, "kept", "library/app:1");
    push(&old, "gone", "library/app:gone");
    let to = world.file("new", &world.bucket("new"));
    let prepared = copy(
        &old.config(),
        &[to.to_str().unwrap(), "--prepare", "--json"],
    );
    assert_eq!(json(&prepared)["complete"], false);
    let early = run(Command::new(PROGRAM).arg("serve").arg(&to));
    assert_eq!(early.status.code(), Some(3), "{early}");
    assert!(early.stderr.contains("is an unfinished copy"), "{early}");
    // Gone since the first passes, and a tag that has moved.
    let digest = http::get(&old.url("/v2/library/app/manifests/gone"));
    let digest = digest.header("docker-content-digest").unwrap().to_owned();
    let delete = old.url(&format!("/v2/library/app/manifests/{digest}"));
    assert_eq!(http::request(&["-X", "DELETE", &delete]).status, 202);
    let moved = push(&old, "moved", "library/app:1");

    let pusher = Pusher::start(host.clone());
    wait_until(|| pusher.count() >= 3);
    let output = copy(&old.config(), &[to.to_str().unwrap(), "--json"]);
    let report = json(&output);
    assert_eq!(
        (&report["complete"], &report["damaged"]),
        (&Value::from(true), &Value::from(0))
    );
    // The old registry takes nothing any more, says so, and serves pulls.
    let upload = http::request(&["-X", "POST", &old.url("/v2/a/blobs/uploads/")]);
    assert_eq!(upload.status, 503, "{}", old.log());
    assert!(upload.header("retry-after").is_some());
    assert!(upload.body.contains("is being moved"), "{}", upload.body);
    pull(&old, "library/app:1", &moved);
    let acknowledged = pusher.end();
    drop(old);

    let mut new = start(&world.bucket("new"));
    assert_eq!(report["tags"], acknowledged.len() + 1);
    for (name, digest) in &acknowledged {
        pull(&new, name, digest);
    }
    pull(&new, "library/app:1", &moved);
    pull(&new, &format!("library/app@{kept}"), &kept);
    assert_eq!(
        http::get(&new.url("/v2/library/app/manifests/gone")).status,
        404
    );
    let docker = Docker::start();
    let reference = format!("{}/library/app:1", new.host_port());
    docker.client().run(&["pull", &reference]).succeeded();
    let later = push(&new, "later", "library/app:later");
    // Again, nothing happens: the new registry has its own life.
    assert!(new.terminate().success());
    let file = world.file("old", &world.files("old"));
    let again = copy(&file, &[to.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1), "{again}");
    assert!(
        again.stderr.contains("is a complete copy already"),
        "{again}"
    );

    // And back to files.
    let back = world.file("back", &world.files("back"));
    let report = json(&copy(&to, &[back.to_str().unwrap(), "--json"]));
    assert_eq!(report["tags"], acknowledged.len() + 2);
    let back = start(&world.files("back"));
    pull(&back, "library/app:later", &later);
    for (name, digest) in &acknowledged {
        pull(&back, name, digest);
    }
    push(&back, "stored", "library/app:stored");
}

#[test]
fn a_registry_moves_to_postgresql_and_back_while_clients_push() {
    let world = World::new();
    let database = TestPostgresDatabase::create();
    let old = start(&world.files("old"));
    let kept = push(&old, "kept", "library/app:1");
    let pusher = Pusher::start(old.host_port());
    wait_until(|| pusher.count() >= 3);
    let to = world.file("new", &world.postgres(&database, "new"));
    let report = json(&copy(&old.config(), &[to.to_str().unwrap(), "--json"]));
    assert_eq!(report["complete"], true);
    let acknowledged = pusher.end();
    assert_eq!(report["tags"], acknowledged.len() + 1);
    drop(old);

    let new = start(&world.postgres(&database, "new"));
    for (name, digest) in &acknowledged {
        pull(&new, name, digest);
    }
    pull(&new, "library/app:1", &kept);
    // And back, from a server that runs and gets pushes.
    let pusher = Pusher::start(new.host_port());
    wait_until(|| pusher.count() >= 3);
    let back = world.file("back", &world.files("back"));
    let report = json(&copy(&new.config(), &[back.to_str().unwrap(), "--json"]));
    assert_eq!(report["complete"], true);
    let upload = http::request(&["-X", "POST", &new.url("/v2/a/blobs/uploads/")]);
    assert_eq!(upload.status, 503, "{}", new.log());
    pull(&new, "library/app:1", &kept);
    let later = pusher.end();
    drop(new);
    let back = start(&world.files("back"));
    for (name, digest) in acknowledged.iter().chain(&later) {
        pull(&back, name, digest);
    }
    pull(&back, "library/app:1", &kept);
}

#[test]
fn a_killed_copy_continues() {
    let world = World::new();
    let old = start(&world.files("old"));
    let mut images = Vec::new();
    for number in 0..12 {
        let name = format!("r{number}/app:1");
        images.push((name.clone(), push(&old, &format!("image {number}"), &name)));
    }
    let to = world.file("new", &world.bucket("new"));
    for delay in [60, 120, 200, 300, 450] {
        let mut command = Command::new(PROGRAM);
        command
            .args(["registry", "copy"])
            .arg(old.config())
            .arg(&to);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(delay));
        let _ = child.kill();
        child.wait().unwrap();
    }
    let last = copy(&old.config(), &[to.to_str().unwrap(), "--json"]);
    // A kill may have come after the end.
    let is_complete = last.stderr.contains("is a complete copy already");
    assert!(is_complete || json(&last)["complete"] == true, "{last}");
    let new = start(&world.bucket("new"));
    for (name, digest) in &images {
        pull(&new, name, digest);
    }
}

#[test]
fn a_copy_overwrites_nothing_and_can_be_given_up() {
    let world = World::new();
    let mut old = start(&world.files("old"));
    push(&old, "one", "app:1");
    // Images of another registry.
    let mut other = start(&world.files("other"));
    push(&other, "two", "app:1");
    assert!(other.terminate().success());
    let taken = world.file("other", &world.files("other"));
    let refused = copy(&old.config(), &[taken.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2), "{refused}");
    assert!(
        refused.stderr.contains("has images of its own"),
        "{refused}"
    );
    // A copy of another registry.
    let to = world.file("new", &world.files("new"));
    copy(&taken, &[to.to_str().unwrap(), "--prepare"]).succeeded();
    let refused = copy(&old.config(), &[to.to_str().unwrap()]);
    assert!(
        refused.stderr.contains("is a copy of another one"),
        "{refused}"
    );

    let to = world.file("third", &world.files("third"));
    copy(&old.config(), &[to.to_str().unwrap()]).succeeded();
    let upload = old.url("/v2/app/blobs/uploads/");
    assert_eq!(http::request(&["-X", "POST", &upload]).status, 503);
    // It stays so after a restart, and says so.
    assert!(old.terminate().success());
    let mut old = start(&world.files("old"));
    old.wait_for_log("stores nothing");
    let upload = old.url("/v2/app/blobs/uploads/");
    assert_eq!(http::request(&["-X", "POST", &upload]).status, 503);
    let released = copy(&old.config(), &["--release", "--json"]);
    assert_eq!(json(&released)["released"], true);
    assert_eq!(http::request(&["-X", "POST", &upload]).status, 202);
    push(&old, "three", "app:3");
}
