//! Retention that is killed or finds no room, beside pushes and pulls. Whatever happens, what is gone was to go and
//! comes back as it was, what was acknowledged is there, and endpoints are told of what happened and of nothing
//! else.
//!
//! In PostgreSQL, a proxy holds the message of a step, as for other [kill points](crate::replicas). SQLite has no
//! messages: there, a process is killed at many moments.

mod clients;
mod scene;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread::{self, sleep};
use std::time::Duration;

use peers::Postgres;

use super::transfers::disks::Disk;
use clients::{Client, EndOfClients};
use scene::Scene;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const REPOSITORY: &str = "team/app";
/// Longer than the grace time.
const GRACE: Duration = Duration::from_secs(3);
/// How often processes are killed at any moment. `scripts/soak` does it more often.
const KILLS: u64 = 8;
const KILLS_OF_SOAK: u64 = 400;

/// Numbers that look random, and are the same each time.
fn mixed(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)) % 1000
}

/// Commands and the server are killed at any moment, while clients push and pull.
fn kill_at_any_moment(scene: &mut Scene) {
    let is_over = AtomicBool::new(false);
    let kills = match std::env::var_os("WHARFINGER_SOAK") {
        Some(_) => KILLS_OF_SOAK,
        None => KILLS,
    };
    let (url, pushed) = (scene.server.url("/v2/"), Mutex::new(BTreeMap::new()));
    let client = Client {
        url: &url,
        is_over: &is_over,
        pushed: &pushed,
    };
    thread::scope(|threads| {
        let _end = EndOfClients(&is_over);
        threads.spawn(|| client.push());
        threads.spawn(|| client.pull());
        for number in 0..kills {
            let moment = Duration::from_millis(mixed(number) / 2);
            let restorable = scene.restorable();
            let image = restorable.first().map(|tag| format!("{REPOSITORY}:{tag}"));
            let mut command = match &image {
                Some(image) if number % 3 == 2 => {
                    scene.begin(&["registry", "undelete", "FILE", image])
                }
                _ => scene.begin(&["registry", "retention", "run", "FILE"]),
            };
            sleep(moment);
            if number % 2 == 0 {
                scene.server.kill();
            }
            if number % 4 != 0 {
                command.kill().unwrap();
            }
            command.wait().unwrap();
            if number % 2 == 0 {
                scene.start_again();
            }
        }
    });
    scene
        .pushed
        .lock()
        .unwrap()
        .extend(pushed.into_inner().unwrap());
    // At least once, a command comes to its end.
    sleep(GRACE);
    scene
        .run(&["registry", "retention", "run", "FILE"])
        .succeeded();
    assert!(!scene.restorable().is_empty());
    scene.require_consistent();
    // The command tells no endpoint.
    scene.require_told(&BTreeMap::new());
}

#[test]
fn nothing_is_lost_when_processes_are_killed_beside_sqlite() {
    kill_at_any_moment(&mut Scene::in_sqlite("off"));
}

#[test]
fn nothing_is_lost_when_processes_are_killed_beside_postgresql() {
    kill_at_any_moment(&mut Scene::in_postgresql("off"));
}

#[test]
fn a_command_that_is_killed_at_a_removal_or_a_return_has_done_all_of_it_or_nothing() {
    let mut scene = Scene::in_postgresql("off");
    scene.push_all(&["a", "keep-a"]);
    let run: &[&str] = &["registry", "retention", "run", "FILE"];
    let image = format!("{REPOSITORY}:a");
    let undelete: &[&str] = &["registry", "undelete", "FILE", &image];
    let steps = [
        ("remove_tags_1", run, false),
        ("remove_tags_1", run, true),
        ("restore_tag_1", undelete, false),
        ("restore_tag_1", undelete, true),
    ];
    for (number, (function, words, is_done)) in steps.into_iter().enumerate() {
        let was_there = scene.has("a");
        // A client that may push has just asked for it.
        sleep(GRACE);
        let held = scene.hold(function, is_done);
        let mut command = scene.begin(words);
        held.wait_until_reached();
        // Clients go on meanwhile.
        assert!(scene.push(&format!("keep-{number}")));
        assert!(scene.has("keep-a"));
        command.kill().unwrap();
        command.wait().unwrap();
        held.discard();
        assert_eq!(
            scene.has("a"),
            was_there != is_done,
            "{function}, {is_done}"
        );
    }
    // The return is its second push: it may go again once the time of grace is over.
    let removed = scene.require_consistent();
    assert_eq!(removed, BTreeMap::from([("a".to_owned(), 1)]));
    scene.require_told(&BTreeMap::new());
}

/// A server that applies the rules by itself is killed before or after it removes a tag.
fn killed_during_a_run(is_done: bool) {
    let mut scene = Scene::in_postgresql("1m");
    let held = scene.hold("remove_tags_1", is_done);
    scene.push_all(&["a", "keep-a"]);
    while !held.is_reached_within(GRACE) {}
    assert!(scene.push("keep-b"));
    assert!(scene.has("keep-a"));
    scene.kill_for_good();
    held.discard();
    let removed = scene.require_consistent();
    let expected = match is_done {
        true => BTreeMap::from([("a".to_owned(), 1)]),
        false => BTreeMap::new(),
    };
    assert_eq!(removed, expected);
    scene.require_told(&removed);
}

#[test]
fn a_server_that_is_killed_before_it_removes_a_tag_has_removed_and_told_nothing() {
    killed_during_a_run(false);
}

#[test]
fn a_server_that_is_killed_after_it_has_removed_a_tag_tells_of_it_later() {
    killed_during_a_run(true);
}

/// SQLite's server waits a minute before it applies the rules, so this test does, too.
#[test]
fn a_server_that_is_killed_while_it_removes_tags_tells_of_each_that_is_gone() {
    let mut scene = Scene::in_sqlite("1m");
    let tags: Vec<String> = (0..40).map(|number| format!("n-{number}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    scene.push_all(&tags);
    scene.push_all(&["keep-a"]);
    while !scene.server.log().contains("tag removed by retention") {
        sleep(Duration::from_millis(20));
    }
    scene.kill_for_good();
    let removed = scene.require_consistent();
    assert!(!removed.is_empty());
    scene.require_told(&removed);
}

/// Retention, its reversal and pushes find no room for rows, and go on when there is some.
fn without_room(mut scene: Scene, disk: &Disk) {
    let tags: Vec<String> = (0..30).map(|number| format!("n-{number}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    scene.push_all(&tags);
    let run = ["registry", "retention", "run", "FILE"];
    let filler = disk.fill();
    // Before it is noticed, there may be some room in what the database has.
    let (mut number, mut refused) = (0, 0);
    while refused < 5 {
        number += 1;
        refused += usize::from(!scene.push(&format!("n-more-{number}")));
    }
    let mut is_refused = !scene.run(&run).status.success();
    while !is_refused {
        number += 1;
        scene.push(&format!("n-more-{number}"));
        let restored = scene.restorable().first().is_none_or(|tag| {
            let image = format!("{REPOSITORY}:{tag}");
            let undelete = scene.run(&["registry", "undelete", "FILE", &image]);
            undelete.status.success()
        });
        is_refused = !restored || !scene.run(&run).status.success();
    }
    std::fs::remove_file(filler).unwrap();
    while !scene.push("keep-a") {}
    sleep(GRACE);
    scene.run(&run).succeeded();
    assert!(scene.restorable().contains("n-0"));
    scene.require_consistent();
    scene.require_told(&BTreeMap::new());
}

#[test]
fn a_full_disk_of_sqlite_loses_no_tag() {
    let (disk, folder) = (Disk::new(24), tempfile::tempdir().unwrap());
    let database = format!("sqlite://{}", disk.path().join("wharfinger.db").display());
    without_room(Scene::start(folder, &database, "off", None), &disk);
}

#[test]
fn a_full_disk_of_postgresql_loses_no_tag() {
    let (disk, postgres) = (Disk::new(48), Postgres::start());
    let place = disk.path().join("tablespace");
    std::fs::create_dir(&place).unwrap();
    for folder in [disk.path().parent().unwrap(), &disk.path()] {
        let readable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder, readable).unwrap();
    }
    peers::run(Command::new("chown").arg("postgres").arg(&place)).succeeded();
    postgres.run("postgres", "CREATE ROLE wharfinger LOGIN PASSWORD 'sesame'");
    let sql = format!("CREATE TABLESPACE small LOCATION '{}'", place.display());
    postgres.run("postgres", &sql);
    postgres.run(
        "postgres",
        "CREATE DATABASE wharfinger OWNER wharfinger TABLESPACE small",
    );
    without_room(Scene::beside(postgres, "off"), &disk);
}
