//! What an operator needs to know of a running server: whether it is ready, which files it cannot use,
//! and where its log is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use peers::{Server, http};

use crate::registry::layout::Layout;
use crate::registry::world::World;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// The program as root without root's powers: files of other users are closed to it, as to any other
/// user.
pub(crate) fn without_capabilities(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=-all", "--bounding-set=-all", "--", program]);
    command
}

#[test]
fn a_registry_without_an_adopted_directory_is_not_ready() {
    let old = Layout::new();
    old.layer("app", b"adopted");
    let mut world = World::new();
    world.serve();
    let directory = old.path().join("docker");
    let place = old.path().display().to_string();
    world.run("adopt", &[&place]).succeeded();
    let url = world.server().url("/readyz");
    let readiness = || http::get(&url);
    assert_eq!(readiness().status, 200);
    // As after an unmount: the mount point is there, and empty.
    let away = old.path().join("away");
    fs::rename(&directory, &away).unwrap();
    let answer = readiness();
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(
        answer.body.contains("content cannot be read"),
        "{}",
        answer.body
    );
    assert!(!answer.body.contains(&place), "{}", answer.body);
    let log = world.log_with(&place);
    assert!(log.contains("check that it is mounted"), "{log}");
    fs::rename(&away, &directory).unwrap();
    assert_eq!(readiness().status, 200);
}

#[test]
fn a_server_that_lost_its_database_or_a_directory_is_not_ready() {
    let mut world = World::new();
    world.serve();
    let url = world.server().url("/readyz");
    let readiness = || http::get(&url).status;
    let uploads = world.root().join("uploads");
    let database = world.root().join("wharfinger.db");
    fs::remove_dir(&uploads).unwrap();
    assert_eq!(readiness(), 503);
    fs::create_dir(&uploads).unwrap();
    assert_eq!(readiness(), 200);
    // As a restored backup, without a restart.
    let copy = world.root().join("copy");
    fs::copy(&database, &copy).unwrap();
    fs::rename(&copy, &database).unwrap();
    assert_eq!(readiness(), 503);
    world.log_with("start the server again");
}

/// A command that ran as another user leaves single files that the server may not use.
#[test]
fn files_of_another_user_are_named_at_the_start_with_the_line_that_gives_them_back() {
    let mut world = World::new();
    world.serve();
    let upload = "/v2/a/blobs/uploads/?digest=\
         sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    let url = world.server().url(upload);
    let kind = "Content-Type: application/octet-stream";
    let pushed = http::request(&["-X", "POST", "-H", kind, "-d", "a", &url]);
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    world.stop();
    let root = world.root();
    let find = peers::run(
        Command::new("find")
            .arg(root.join("blobs"))
            .args(["-type", "f"]),
    );
    let blob = find.succeeded().to_owned();
    chown(&blob, Some(65534), Some(65534)).unwrap();
    fs::set_permissions(&blob, PermissionsExt::from_mode(0o600)).unwrap();

    let start = |world: &World| {
        let script = world.program(&format!(
            "exec setpriv --inh-caps=-all --bounding-set=-all -- {PROGRAM} \"$@\""
        ));
        Server::start(&script, &world.config())
    };
    let mut server = start(&world);
    server.wait_for_log("may not use some files");
    let log = server.log();
    assert!(log.contains(&blob), "{log}");
    // The remedy, as it is printed.
    let (_, remedy) = log.split_once("run as root: ").unwrap();
    let remedy = remedy.lines().next().unwrap();
    let remedy = remedy.split(" files=").next().unwrap().trim_matches('"');
    peers::run(Command::new("sh").args(["-ec", remedy])).succeeded();
    drop(server);
    let server = start(&world);
    let digest = upload.rsplit('=').next().unwrap();
    let pulled = http::get(&server.url(&format!("/v2/a/blobs/{digest}")));
    assert_eq!((pulled.status, pulled.body.as_str()), (200, "a"));
    assert!(
        !server.log().contains("may not use some files"),
        "{}",
        server.log()
    );
}

/// Names of accounts and repositories are not for every user of the machine.
#[test]
fn the_log_file_is_its_owner_s_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display().to_string();
    let config = format!(
        "server: {{addr: \"@addr@\"}}\nregistry: {{storage: {{filesystem: {{root: {place}/data}}}}, auth: {{none: true}}}}\n"
    );
    // The umask takes nothing away.
    let script = folder.path().join("program");
    fs::write(
        &script,
        format!("#!/bin/sh\numask 0\nexec {PROGRAM} \"$@\"\n"),
    )
    .unwrap();
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let arguments = ["-log_dir", &place, "-alsologtostderr"];
    let _server = Server::start_as(&script, &arguments, &config);
    let log = folder.path().join("wharfinger.log");
    let mode = log.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(fs::read_to_string(&log).unwrap().contains("listening"));
}
