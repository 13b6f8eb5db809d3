//! Quotas, with the programs that people use, and after crashes.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use oci::DigestAlgorithm;
use peers::{
    Docker, Image, Output, Server, Signal, TestPostgresDatabase, crane, http, podman, skopeo,
};
use serde_json::Value;
use tempfile::TempDir;

use super::transfers::disks::Disk;
use crate::client::early_refusals::noise;
use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");
const PLAIN: &str = "--tls-verify=false";

/// A registry without authentication.
struct World {
    server: Server,
    quotas: String,
    directory: TempDir,
    database: String,
}

impl World {
    /// With these items of `registry.quotas`.
    fn start(quotas: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}/w.db", directory.path().display());
        Self::on(directory, quotas, database)
    }

    fn on(directory: TempDir, quotas: &str, database: String) -> Self {
        let config = config(directory.path(), quotas, &database);
        let server = Server::start(Path::new(PROGRAM), &config);
        for _ in 0..600 {
            if http::get(&server.url("/readyz")).status == 200 {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            server,
            quotas: quotas.to_owned(),
            directory,
            database,
        }
    }

    /// After SIGKILL, with the same data.
    fn kill_and_start(mut self) -> Self {
        self.server.kill();
        let Self {
            directory,
            quotas,
            database,
            ..
        } = self;
        Self::on(directory, &quotas, database)
    }

    /// Replaces the quotas of the running server.
    fn reload(&self, quotas: &str) {
        let config = config(self.directory.path(), quotas, &self.database);
        let reloads = || self.server.log().matches("configuration reloaded").count();
        let before = reloads();
        self.server.rewrite(&config);
        for _ in 0..600 {
            if reloads() > before {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{}", self.server.log());
    }

    fn config(&self) -> String {
        self.server.config().display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        peers::run(Command::new(PROGRAM).args(arguments))
    }

    /// `wharfinger registry usage FILE …`.
    fn usage(&self, arguments: &[&str]) -> Output {
        let file = self.config();
        self.run(&[&["registry", "usage", &file], arguments].concat())
    }

    /// What a prefix uses, as the servers count it: bytes and tags.
    fn used(&self, prefix: &str) -> (u64, u64) {
        let listed = self.usage(&["--json"]);
        let listed: Value = serde_json::from_str(listed.succeeded()).unwrap();
        let quotas = listed["quotas"].as_array().unwrap().iter();
        let mut quotas = quotas.filter(|quota| quota["prefix"] == prefix);
        let quota = quotas.next().unwrap();
        let used = |resource: &str| quota[resource]["used"].as_u64().unwrap();
        (used("bytes"), used("tags"))
    }

    /// That each count is what the rows say.
    fn is_counted_right(&self) {
        let counted = self.usage(&["--recount"]);
        let said = counted.succeeded();
        assert!(said.contains("every count was right"), "{said}");
    }

    fn push(&self, image: &Image, name: &str) -> Output {
        let target = format!("docker://{}/{name}", self.server.host_port());
        let layout = format!("oci:{}", image.layout().display());
        skopeo().run(&["copy", "--dest-tls-verify=false", &layout, &target])
    }

    /// Pushes a blob in one request. `None` if the server did not answer.
    fn blob(&self, repository: &str, content: &[u8]) -> Option<Answer> {
        let digest = digest(content);
        let head = format!(
            "POST /v2/{repository}/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            content.len()
        );
        let mut connection = Connection::to_server(&self.server.host_port()).ok()?;
        connection.send(head.as_bytes()).ok()?;
        // A server that has refused it may not read it.
        let _ = connection.send(content);
        connection.answer(false).ok()
    }

    fn has_blob(&self, repository: &str, digest: &str) -> bool {
        let url = self.server.url(&format!("/v2/{repository}/blobs/{digest}"));
        http::request(&["-I", &url]).status == 200
    }
}

fn config(directory: &Path, quotas: &str, database: &str) -> String {
    format!(
        "server: {{addr: '@addr@'}}\n\
         audit: {{flush: 100ms}}\n\
         database: {{url: '{database}'}}\n\
         registry:\n  \
         storage: {{filesystem: {{root: {}}}, delete: true}}\n  \
         auth: {{none: true}}\n  \
         quotas: [{quotas}]\n",
        directory.join("data").display(),
    )
}

fn digest(content: &[u8]) -> String {
    storage::hash::digest(DigestAlgorithm::Sha256, content).to_string()
}

#[test]
fn every_client_says_that_there_is_no_room() {
    let world = World::start("{prefix: team, bytes: 1MiB}");
    let host = world.server.host_port();
    let image = Image::saying(&noise(4_000_000));
    world
        .push(&Image::saying("small"), "team/app:1")
        .succeeded();
    let reference = format!("{host}/team/app:2");
    let layout = image.layout().display().to_string();
    let docker = Docker::start();
    docker.import(&image, &reference).succeeded();
    let podman = podman();
    // Another prefix has room.
    let other = format!("{host}/other/app:1");
    world.push(&image, "other/app:1").succeeded();
    podman.run(&["pull", PLAIN, &other]).succeeded();
    let source = format!("oci:{layout}");
    for refused in [
        world.push(&image, "team/app:2"),
        docker.client().run(&["push", &reference]),
        crane().run(&["push", &layout, &reference]),
        podman.run(&["push", PLAIN, &other, &reference]),
        // Its layer could be mounted.
        crane().run(&["copy", &other, &reference]),
        world.run(&["push", "-q", &source, &reference]),
    ] {
        let said = refused.refused();
        for part in ["denied", "the quota of team", "1048576", "delete images"] {
            let found = said.to_lowercase().contains(part);
            assert!(found, "{part} is not in {said}");
        }
        assert!(!said.contains("wharfinger login"), "{said}");
    }
    assert_eq!(world.used("team").1, 1);
    world.is_counted_right();
    // Each refusal is in the audit table.
    std::thread::sleep(Duration::from_secs(1));
    let file = world.config();
    let events = world.run(&[
        "audit",
        "list",
        &file,
        "--event",
        "quota_exceeded",
        "--json",
    ]);
    assert!(events.succeeded().lines().count() >= 6, "{events:?}");
}

/// Docker tries an upload five times, for almost a minute, unless the code says that this is final.
#[test]
fn docker_does_not_try_again_what_has_no_room() {
    let world = World::start("{prefix: team, bytes: 100KiB}");
    let docker = Docker::start();
    let reference = format!("{}/team/app:1", world.server.host_port());
    let image = Image::saying(&noise(2_000_000));
    docker.import(&image, &reference).succeeded();
    let refused = docker.client().run(&["push", &reference]);
    assert!(refused.refused().contains("the quota of team"), "{refused}");
    let begun = |line: &&str| line.contains("method=\"POST\"") && line.contains("/team/app/");
    let log = world.server.log();
    assert_eq!(log.lines().filter(begun).count(), 1, "{log}");
}

#[test]
fn a_blob_without_room_gets_no_permission_to_send() {
    let world = World::start("{prefix: a, bytes: 1000}");
    let host = world.server.host_port();
    let small = vec![7; 10];
    assert_eq!(world.blob("a", &small).unwrap().status, 201);
    let begun = Connection::open(&host).request(
        "POST",
        "/v2/a/blobs/uploads/",
        &[("Content-Length", "0")],
        None,
    );
    let upload = begun.header("location").unwrap();
    let upload = upload.strip_prefix("http://test").unwrap();
    let zeros = digest(&[0; 2000]);
    for line in [
        format!("POST /v2/a/blobs/uploads/?digest={zeros}"),
        format!("PATCH {upload}"),
    ] {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: test\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n"
        );
        let mut connection = Connection::open(&host);
        connection.send(head.as_bytes()).unwrap();
        let answer = connection.answer(false).unwrap();
        assert_eq!(answer.status, 403, "{line}: {}", answer.body);
        let detail = &answer.json()["errors"][0]["detail"];
        assert_eq!(
            (&detail["used"], &detail["limit"], &detail["requested"]),
            (&10.into(), &1000.into(), &2000.into())
        );
    }
    let (bytes, _) = world.used("a");
    assert_eq!(bytes, 10);
}

fn shows_what_is_used(world: &World) {
    let small = Image::saying("small");
    world.push(&small, "team/app:1").succeeded();
    let (bytes, tags) = world.used("team");
    assert!(bytes > 0 && tags == 1);
    // The blobs of another repository are counted once more, and its manifest again.
    world.push(&small, "team/other:1").succeeded();
    let (both, tags) = world.used("team");
    assert!(bytes < both && both < 2 * bytes && tags == 2);
    assert_eq!(world.used("*"), (both, 2));
    assert_eq!(world.used("team/app"), (bytes, 1));
    let listed = world.usage(&[]);
    let lines: Vec<&str> = listed.succeeded().lines().collect();
    assert!(
        lines[0].starts_with("PREFIX") && lines.len() == 4,
        "{listed}"
    );
    let limits = format!("these are the limits of {}", world.config());
    assert!(listed.stderr.contains(&limits), "{listed}");
    let row = lines.iter().find(|line| line.starts_with("team ")).unwrap();
    assert!(row.contains("1.0 GiB") && row.contains("20 %"), "{row}");
    // What has no quota is counted from the rows.
    for (prefix, expected) in [("team", both), ("team/other", bytes), ("*", both)] {
        let shown = world.usage(&[prefix, "--json"]);
        let shown: Value = serde_json::from_str(shown.succeeded()).unwrap();
        assert_eq!(shown["quotas"][0]["bytes"]["used"], expected, "{prefix}");
        assert_eq!(shown["quotas"].as_array().unwrap().len(), 1);
    }
    let unknown = world.usage(&["tea"]);
    assert!(unknown.refused().contains("no repository tea"), "{unknown}");
    let wrong = world.usage(&["Team"]);
    assert!(wrong.refused().contains("Team"), "{wrong}");
    world.is_counted_right();
}

const THREE: &str =
    "{prefix: team, bytes: 1GiB, tags: 10}, {prefix: '*', tags: 100}, {prefix: team/app, tags: 7}";

#[test]
fn the_command_shows_what_is_used() {
    shows_what_is_used(&World::start(THREE));
}

#[test]
fn the_command_shows_what_is_used_in_postgresql() {
    let database = TestPostgresDatabase::create();
    let directory = tempfile::tempdir().unwrap();
    let world = World::on(directory, THREE, database.url());
    shows_what_is_used(&world);
    drop(world);
}

#[test]
fn quotas_follow_a_reload() {
    let world = World::start("");
    let image = Image::saying("one");
    world.push(&image, "team/app:1").succeeded();
    let none = world.usage(&[]);
    assert!(none.refused().contains("has no registry.quotas"), "{none}");
    // What was there before is counted.
    world.reload("{prefix: team, tags: 1}");
    assert_eq!(world.used("team").1, 1);
    let refused = world.push(&image, "team/app:2");
    assert!(refused.refused().contains("quota of team"), "{refused}");
    world.push(&image, "team2/app:2").succeeded();
    world.reload("{prefix: team, tags: 2}");
    world.push(&image, "team/app:2").succeeded();
    world.reload("");
    world.push(&image, "team/app:3").succeeded();
    world.reload("{prefix: team, tags: 2}");
    assert_eq!(world.used("team").1, 3);
    world.push(&image, "team/app:3").succeeded();
}

/// The blobs that clients push while the server is killed.
struct Pushed {
    acknowledged: Mutex<Vec<String>>,
    sent: Mutex<Vec<String>>,
}

/// Pushes blobs of 10 kB from several clients until the server is gone or there is no room.
fn push_until_the_end(world: &World, pushed: &Pushed, round: usize, refused: &AtomicUsize) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..4 {
            let is_over = &is_over;
            scope.spawn(move || {
                for number in 0..50 {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let text = format!("{round} {client} {number} ");
                    let content: Vec<u8> = text.bytes().cycle().take(10_000).collect();
                    let digest = digest(&content);
                    pushed.sent.lock().unwrap().push(digest.clone());
                    // Two repositories share the prefix.
                    let repository = ["team/a", "team/b"][number % 2];
                    match world.blob(repository, &content) {
                        Some(answer) if answer.status == 201 => {
                            pushed.acknowledged.lock().unwrap().push(digest);
                        }
                        Some(answer) => {
                            assert_eq!(answer.status, 403, "{}", answer.body);
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                        None => return,
                    }
                }
            });
        }
        // In the middle of the pushes.
        let before = pushed.acknowledged.lock().unwrap().len();
        while pushed.acknowledged.lock().unwrap().len() < before + 7
            && refused.load(Ordering::SeqCst) == 0
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        world.server.signal(Signal::Kill);
        is_over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn after_a_kill_what_was_acknowledged_counts_and_nothing_else() {
    const LIMIT: u64 = 400_000;
    let mut world = World::start("{prefix: team, bytes: 400000}");
    let pushed = Pushed {
        acknowledged: Mutex::default(),
        sent: Mutex::default(),
    };
    let refused = AtomicUsize::new(0);
    for round in 0..6 {
        push_until_the_end(&world, &pushed, round, &refused);
        world = world.kill_and_start();
        let (used, _) = world.used("team");
        let is_there =
            |digest: &String| world.has_blob("team/a", digest) || world.has_blob("team/b", digest);
        let acknowledged = pushed.acknowledged.lock().unwrap();
        assert!(acknowledged.iter().all(is_there));
        let sent = pushed.sent.lock().unwrap();
        let there = sent.iter().filter(|digest| is_there(digest)).count() as u64;
        assert_eq!(used, there * 10_000);
        assert!(used <= LIMIT);
        drop((acknowledged, sent));
        world.is_counted_right();
    }
    assert!(
        refused.load(Ordering::SeqCst) > 0,
        "the limit was never reached"
    );
}

#[test]
fn a_full_disk_counts_nothing_that_was_not_acknowledged() {
    let disk = Disk::new(24);
    let directory = tempfile::tempdir_in(disk.path()).unwrap();
    let database = format!("sqlite://{}/w.db", directory.path().display());
    let world = World::on(directory, "{prefix: team, bytes: 1GiB}", database);
    let content = |number: usize| -> Vec<u8> {
        let text = format!("{number} ");
        text.bytes().cycle().take(10_000).collect()
    };
    assert_eq!(world.blob("team/a", &content(0)).unwrap().status, 201);
    let filler = disk.fill();
    let (mut acknowledged, mut refused) = (1, 0);
    for number in 1..100 {
        match world.blob("team/a", &content(number)).unwrap().status {
            201 => acknowledged += 1,
            status => {
                assert_eq!(status, 507);
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    std::fs::remove_file(filler).unwrap();
    assert_eq!(world.used("team").0, acknowledged * 10_000);
    assert_eq!(world.blob("team/a", &content(1000)).unwrap().status, 201);
    assert_eq!(world.used("team").0, (acknowledged + 1) * 10_000);
    world.is_counted_right();
}
