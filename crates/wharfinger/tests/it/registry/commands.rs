//! `wharfinger registry …`, as a shell runs it, beside a running server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use database::{Database, DatabaseLocation, params};
use oci::{Digest, DigestAlgorithm};
use peers::{Image, RegistryConfig, registry2, registry3};
use serde_json::{Value, json};
use storage::hash;

use super::world::{World, pulls, push};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

#[test]
fn garbage_goes_while_the_server_runs() {
    let mut world = World::new();
    let past = world.of_two_days_ago();
    world.serve();
    let blob = |digest: Digest| format!("/v2/app/blobs/{digest}");
    assert_eq!(world.status(&blob(past.garbage)), 200);

    let planned = world.json("gc", &["--dry-run"]);
    assert_eq!(
        planned["blobs"],
        json!([{"digest": past.garbage.to_string(), "size": 7}])
    );
    assert_eq!(
        (&planned["dry_run"], &planned["bytes"]),
        (&json!(true), &json!(7))
    );
    let told = world.run("gc", &["--dry-run"]);
    let told = told.succeeded();
    assert!(
        told.contains(&format!("blob {} 7 bytes", past.garbage))
            && told.contains("nothing was changed"),
        "{told}"
    );
    assert_eq!(
        world.status(&blob(past.garbage)),
        200,
        "nothing was changed"
    );

    let done = world.run("gc", &[]);
    assert_eq!(
        done.succeeded(),
        "removed 1 blob (7 bytes), 0 manifests without a tag and 1 unfinished upload"
    );
    assert_eq!(world.status(&blob(past.garbage)), 404);
    assert_eq!(world.status(&blob(past.config)), 200);
    assert_eq!(world.status("/v2/app/manifests/1"), 200);
    assert_eq!(world.json("gc", &[])["blobs"], 0);
}

#[test]
fn a_changed_blob_is_found() {
    let world = World::serving();
    let image = Image::saying("verify");
    world.push(&image, "app:1");
    let sound = world.json("verify", &[]);
    assert_eq!(
        (&sound["checked"], &sound["damaged"]),
        (&json!(3), &json!([]))
    );

    let layer = fs::read(image.layer()).unwrap();
    let digest = hash::digest(DigestAlgorithm::Sha256, &layer);
    let file = blob_file(&world.root(), &digest);
    let mut changed = layer.clone();
    changed[600] ^= 1;
    fs::write(&file, &changed).unwrap();
    let found = world.run("verify", &[]);
    assert_eq!(found.status.code(), Some(1), "{found}");
    let computed = hash::digest(DigestAlgorithm::Sha256, &changed);
    assert!(
        found
            .stdout
            .contains(&format!("was changed: its digest is {computed} now")),
        "{found}"
    );
    assert!(
        found.stderr.contains(
            "1 damaged or missing\nhint: remove the files that were changed or cannot be read"
        ),
        "{found}"
    );

    fs::remove_file(&file).unwrap();
    let found = world.run("verify", &["--json"]);
    assert_eq!(found.status.code(), Some(1), "{found}");
    let report: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(report["damaged"][0]["digest"], digest.to_string());
    assert_eq!(report["damaged"][0]["health"], "missing");
    for command in ["backup", "export"] {
        let copied = world.run(command, &[&world.path(command)]);
        let hint = "hint: content is missing: `wharfinger registry verify ";
        assert!(copied.stderr.contains(hint), "{copied}");
    }
    let found = world.run("verify", &[]);
    let remedy = "hint: push the affected images again";
    assert!(found.stderr.contains(remedy), "{found}");
    world.push(&image, "app:1");
    world.run("verify", &[]).succeeded();
}

#[test]
fn a_damaged_or_lost_database_is_not_sound() {
    let world = World::serving();
    world.push(&Image::saying("database"), "app:1");
    // A copy has all its rows in one file.
    let copy = PathBuf::from(world.path("copy"));
    world.run("backup", &[&world.path("copy")]).succeeded();
    let fails_with = |expected: &str| {
        for command in ["verify", "gc"] {
            let mut run = Command::new(PROGRAM);
            let file = copy.join("wharfinger.yml");
            let output = peers::run(run.args(["registry", command]).arg(file));
            assert_eq!(output.status.code(), Some(3), "{output}");
            assert!(output.stderr.contains(expected), "{output}");
        }
    };
    let database = copy.join("content/wharfinger.db");
    let mut damaged = fs::read(&database).unwrap();
    damaged[4096..].fill(0xa5);
    fs::write(&database, damaged).unwrap();
    fails_with("stop the server and restore a backup");
    // What a server leaves behind that does not start because the database is lost.
    let empty = World::serving();
    empty.run("backup", &[&empty.path("copy")]).succeeded();
    fs::copy(empty.path("copy/content/wharfinger.db"), &database).unwrap();
    for more in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{more}", database.display()));
    }
    fails_with("holds blobs, but the database has none");
}

#[test]
fn after_the_server_and_each_command_all_rows_are_in_one_file() {
    let mut world = World::serving();
    world.push(&Image::saying("one file"), "app:1");
    world.stop();
    let manifests_in_one_file = |world: &World| {
        let database = world.root().join("wharfinger.db");
        let copies = tempfile::tempdir().unwrap();
        let copy = copies.path().join("wharfinger.db");
        fs::copy(database, &copy).unwrap();
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let copy = Database::open(&DatabaseLocation::at(copy)).unwrap();
            let count = copy.read(|connection| {
                let count = "SELECT count(*) FROM manifests";
                connection.query_one(count, params![], |row| row.get::<i64>(0))
            });
            count.await.unwrap()
        })
    };
    assert_eq!(manifests_in_one_file(&world), 1);
    assert!(!world.root().join("wharfinger.db-wal").exists());
    for (command, target) in [
        ("gc", None),
        ("verify", None),
        ("backup", Some(world.path("backup"))),
        ("export", Some(world.path("exported"))),
    ] {
        let arguments: Vec<&str> = target.iter().map(String::as_str).collect();
        world.run(command, &arguments).succeeded();
        let log = world.root().join("wharfinger.db-wal");
        assert!(!log.exists(), "after {command}");
    }
}

/// The one file of this blob.
fn blob_file(root: &Path, digest: &Digest) -> PathBuf {
    let folder = root.join("blobs/sha256").join(&digest.encoded()[..2]);
    let mut files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .find(|file| file.display().to_string().contains(&digest.encoded()))
        .unwrap()
}

#[test]
fn another_registry_is_adopted_and_goes_on_after_an_export() {
    let (old_image, other_image) = (
        Image::saying("pushed to registry 2.8"),
        Image::saying("pushed to registry 3"),
    );
    let mut world = World::new();
    let old_data = PathBuf::from(world.path("old"));
    {
        let old = registry2(&RegistryConfig {
            data: Some(old_data.clone()),
            ..RegistryConfig::default()
        });
        push(&old_image, &old.host_port(), "team/app:1");
        let data = Some(PathBuf::from(world.path("other")));
        let other = registry3(&RegistryConfig {
            data,
            ..RegistryConfig::default()
        });
        push(&other_image, &other.host_port(), "other:1");
    }
    fs::create_dir_all(old_data.join("docker/registry/v2/repositories/team/app/_uploads/half"))
        .unwrap();

    // Before any server has ever started.
    let adopted = world.run("adopt", &[&world.path("old"), "--check-digests"]);
    let told = adopted.succeeded();
    assert!(
        told.contains(
            "docker/registry/v2/repositories/team/app/_uploads/half: an upload that was never"
        ),
        "{told}"
    );
    assert!(
        told.contains("1 repository, 1 tag, 1 manifest and 2 blobs; 1 thing above"),
        "{told}"
    );
    world.serve();
    pulls(&world.server().host_port(), "team/app:1", &old_image);
    pulls(
        &world.server().host_port(),
        &format!("team/app@{}", old_image.digest()),
        &old_image,
    );

    // Beside one: what it did not know a moment ago it serves.
    assert_eq!(world.status("/v2/other/manifests/1"), 404);
    assert_eq!(
        world.json("adopt", &[&world.path("other")])["repositories"],
        1
    );
    pulls(&world.server().host_port(), "other:1", &other_image);

    // Once more, and for good.
    let again = world.json("adopt", &[&world.path("old")]);
    assert_eq!(
        (
            &again["repositories"],
            &again["problems"].as_array().unwrap().len()
        ),
        (&json!(1), &1)
    );
    assert_eq!(
        world.json("adopt", &[&world.path("old"), "--final"])["final"],
        true
    );

    let new_image = Image::saying("pushed to us");
    world.push(&new_image, "team/new:2");
    let exported = world.json("export", &[&world.path("new")]);
    assert_eq!(
        (
            &exported["repositories"],
            &exported["tags"],
            &exported["blobs"]
        ),
        (&json!(3), &json!(3), &json!(6))
    );
    let data = Some(PathBuf::from(world.path("new")));
    for registry in [registry2, registry3] {
        let registry = registry(&RegistryConfig {
            data: data.clone(),
            ..RegistryConfig::default()
        });
        pulls(&registry.host_port(), "team/app:1", &old_image);
        pulls(&registry.host_port(), "other:1", &other_image);
        pulls(&registry.host_port(), "team/new:2", &new_image);
    }
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let mut world = World::new();
    let refused = |world: &World, command: &str, arguments: &[&str]| {
        let output = world.run(command, arguments);
        (output.status.code(), output.refused())
    };
    let (code, told) = refused(&world, "verify", &[]);
    assert!(
        code == Some(3)
            && told.contains("does not exist: a server creates it")
            && told.contains("hint: start the server"),
        "{told}"
    );
    let (code, told) = refused(&world, "adopt", &[&world.path("")]);
    assert!(
        code == Some(2)
            && told.contains("has no data of another registry")
            && told.contains("hint: "),
        "{told}"
    );
    world.serve();
    fs::create_dir_all(world.path("old/docker/registry/v2/repositories")).unwrap();
    let (code, told) = refused(&world, "adopt", &["--final", &world.path("old")]);
    assert!(
        code == Some(1) && told.contains("was never adopted"),
        "{told}"
    );
    fs::write(world.path("file"), "").unwrap();
    let (code, told) = refused(&world, "backup", &[&world.path("file")]);
    assert!(
        code == Some(3) && told.contains("hint: choose another directory"),
        "{told}"
    );

    let token_server = world.path("token.yml");
    fs::write(&token_server, "server: {addr: ':1'}\n").unwrap();
    let mut gc = Command::new(PROGRAM);
    let output = peers::run(gc.args(["registry", "gc", &token_server]));
    assert_eq!(output.status.code(), Some(2), "{output}");
    assert!(
        output.stderr.contains("the configuration is wrong")
            && output.stderr.contains("wharfinger check"),
        "{output}"
    );
}
