//! `deploy/replicas`, run by docker-compose and dockerd: three replicas behind nginx, PostgreSQL and a bucket.

mod images;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use peers::{Docker, Image, http, program as installed, run_with_input};

use super::compose::{Project, build};
use super::world::{login, program};
use crate::deploy::deploy;

/// Does what the compose file says to do first, in `folder`. The password of `admin` is `sesame`.
fn made_as_the_file_says(folder: &Path) {
    for name in ["nginx.conf", "store.env", "wharfinger.yml"] {
        fs::copy(deploy("replicas").join(name), folder.join(name)).unwrap();
    }
    let text = fs::read_to_string(deploy("replicas/compose.yaml")).unwrap();
    let (_, text) = text.split_once("directory of this file:\n#\n").unwrap();
    let (commands, _) = text.split_once("#\n# Write the hash").unwrap();
    let commands: String = commands
        .lines()
        .map(|line| format!("{}\n", line.trim_start_matches("#   ")))
        .collect();
    let script = commands
        .replace("registry.example.com", "localhost")
        .replace("wharfinger hash ", "wharfinger hash >hash ")
        .replace("sudo chown", "true chown")
        .replace("wharfinger ", &format!("{} ", program().display()));
    let mut shell = Command::new(installed("sh"));
    run_with_input(shell.args(["-ec", &script]).current_dir(folder), "sesame\n").succeeded();
    let secrets = folder.join("secrets");
    chown(secrets.join("token.key"), Some(65532), Some(65532)).unwrap();
    let hash = fs::read_to_string(secrets.join("hash")).unwrap();
    let file = folder.join("wharfinger.yml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(file, config.replace("$2b$10$…", hash.trim())).unwrap();
    // The database's user reads its password.
    for readable in ["secrets", "secrets/database"] {
        fs::set_permissions(folder.join(readable), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn three_replicas_behind_nginx() {
    let docker = Docker::start();
    let client = docker.client();
    thread::scope(|scope| {
        scope.spawn(|| build(&client, program(), "wharfinger", "wharfinger"));
        for image in [images::postgres, images::nginx, images::versitygw] {
            let client = &client;
            scope.spawn(move || image(client));
        }
    });
    let text = fs::read_to_string(deploy("replicas/compose.yaml")).unwrap();
    let project = Project::of(&docker, &text, &[5000]);
    made_as_the_file_says(project.folder.path());
    project.compose(&["up", "--detach"]).succeeded();
    let host = format!("localhost:{}", project.ports[0]);
    let ready = format!("https://{host}/readyz");
    let is_ready = (0..900).any(|_| {
        thread::sleep(Duration::from_millis(100));
        http::try_request(&[&ready]).is_some_and(|answer| answer.status == 200)
    });
    assert!(is_ready, "{}", project.logs());
    let logged_in = login(&client, &[], ("admin", "sesame"), &host);
    assert!(
        logged_in.status.success(),
        "{logged_in}\n{}",
        project.logs()
    );
    // Each in turn is stopped. What is pushed and pulled meanwhile needs the others.
    for number in 1..=3 {
        let replica = format!("replica-{number}");
        let reference = format!("{host}/team/app:{number}");
        let image = Image::saying(&replica);
        docker.import(&image, &reference).succeeded();
        project.compose(&["stop", &replica]).succeeded();
        let logs = project.compose(&["logs", "--no-color", &replica]).stdout;
        assert!(logs.contains("stopped"), "{logs}");
        for step in ["push", "rmi", "pull"] {
            let done = client.run(&[step, &reference]);
            assert!(done.status.success(), "{done}\n{}", project.logs());
        }
        project.compose(&["start", &replica]).succeeded();
    }
    let list = ["exec", "-T", "replica-1", "wharfinger", "replicas"];
    let list = project.compose(&[&list[..], &["/etc/wharfinger/wharfinger.yml"]].concat());
    assert!(list.status.success(), "{list}\n{}", project.logs());
}
