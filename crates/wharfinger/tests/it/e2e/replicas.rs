//! `deploy/replicas`, run by docker-compose and dockerd: three replicas behind nginx, PostgreSQL and a bucket.
//!
//! The images of others are made of this machine's programs, under the names that the file has.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use peers::{Client, Docker, Image, program as installed, run, run_with_input};
use tempfile::TempDir;

use super::compose::{Project, build};
use super::world::{login, program};
use crate::deploy::deploy;

/// The directories of an image.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, place: &str) -> std::path::PathBuf {
        self.0
            .path()
            .join("root")
            .join(place.trim_start_matches('/'))
    }

    /// A file, or a directory with what is in it.
    fn copy(&self, from: &Path, to: &str) {
        let to = self.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        run(Command::new("cp").args(["-rL", "--"]).arg(from).arg(&to)).succeeded();
    }

    fn write(&self, place: &str, text: &str) {
        let path = self.path(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A program with the libraries that it is linked with.
    fn program(&self, name: &str, to: &str) {
        let program = fs::canonicalize(installed(name)).unwrap();
        self.copy(&program, to);
        let libraries = run(Command::new(installed("ldd")).arg(&program));
        let words = libraries.stdout.split_whitespace();
        for library in words.filter(|word| word.starts_with('/')) {
            if !self.path(library).exists() {
                self.copy(Path::new(library), library);
            }
        }
    }

    fn image(&self, docker: &Client, name: &str, entry: &str) {
        let file = self.0.path().join("Containerfile");
        let text =
            format!("FROM scratch\nCOPY root/ /\nENV PATH=/usr/bin:/bin\nENTRYPOINT {entry}\n");
        fs::write(&file, text).unwrap();
        let (file, place) = (
            file.display().to_string(),
            self.0.path().display().to_string(),
        );
        docker
            .run(&["build", "--tag", name, "--file", &file, &place])
            .succeeded();
    }
}

/// What the image's own entry point does with the variables that the compose file sets.
const POSTGRES: &str = r#"#!/bin/sh
set -e
cd /var/lib/postgresql/data
if [ ! -e db/PG_VERSION ]; then
    initdb --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" --auth scram-sha-256 $POSTGRES_INITDB_ARGS -D db
    echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -j -D db postgres
    echo "host all all all scram-sha-256" >>db/pg_hba.conf
fi
exec postgres -D db -c listen_addresses='*' -c unix_socket_directories=''
"#;

fn postgres(docker: &Client) {
    let root = Root::new();
    let initdb = fs::canonicalize(installed("initdb")).unwrap();
    let bin = initdb.parent().unwrap();
    // The programs look for their files beside themselves.
    for name in ["initdb", "postgres"] {
        root.program(
            bin.join(name).to_str().unwrap(),
            bin.join(name).to_str().unwrap(),
        );
        fs::create_dir_all(root.path("usr/bin")).unwrap();
        symlink(bin.join(name), root.path("usr/bin").join(name)).unwrap();
    }
    let version = bin.parent().unwrap().file_name().unwrap().to_str().unwrap();
    for file in ["plpgsql.so", "dict_snowball.so"] {
        let library = bin.parent().unwrap().join("lib").join(file);
        root.copy(&library, library.to_str().unwrap());
    }
    let share = format!("/usr/share/postgresql/{version}");
    root.copy(Path::new(&share), &share);
    for (name, place) in [("sh", "/bin/sh"), ("mkdir", "/bin/mkdir")] {
        root.program(name, place);
    }
    root.write(
        "etc/passwd",
        "root:x:0:0::/:/bin/sh\npostgres:x:999:999::/:/bin/sh\n",
    );
    root.write("entrypoint", POSTGRES);
    for directory in ["var/lib/postgresql/data", "tmp", "dev/shm"] {
        fs::create_dir_all(root.path(directory)).unwrap();
        fs::set_permissions(root.path(directory), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let file = root.0.path().join("Containerfile");
    let text = "FROM scratch\nCOPY root/ /\n\
                ENV PATH=/usr/bin:/bin\nUSER 999:999\nENTRYPOINT [\"/bin/sh\", \"/entrypoint\"]\n";
    fs::write(&file, text).unwrap();
    let (file, place) = (
        file.display().to_string(),
        root.0.path().display().to_string(),
    );
    docker
        .run(&["build", "--tag", "postgres:17", "--file", &file, &place])
        .succeeded();
}

fn nginx(docker: &Client) {
    let root = Root::new();
    root.program("nginx", "/usr/bin/nginx");
    root.write(
        "etc/passwd",
        "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    );
    root.write("etc/group", "root:x:0:\nnogroup:x:65534:\n");
    for directory in ["var/log/nginx", "var/lib/nginx", "run", "tmp"] {
        fs::create_dir_all(root.path(directory)).unwrap();
    }
    let entry = r#"["/usr/bin/nginx", "-g", "daemon off; error_log stderr; user nobody nogroup;"]"#;
    root.image(docker, "nginx:1", entry);
}

fn versitygw(docker: &Client) {
    let root = Root::new();
    root.program("versitygw", "/usr/bin/versitygw");
    fs::create_dir_all(root.path("tmp")).unwrap();
    root.image(
        docker,
        "versity/versitygw:v1.8.0",
        r#"["/usr/bin/versitygw"]"#,
    );
}

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
    let ours = program().display().to_string();
    let script = commands
        .replace("registry.example.com", "localhost")
        .replace("wharfinger hash ", "wharfinger hash >hash ")
        .replace("sudo chown", "true chown")
        .replace("wharfinger ", &format!("{ours} "));
    let mut shell = Command::new(installed("sh"));
    run_with_input(shell.args(["-ec", &script]).current_dir(folder), "sesame\n").succeeded();
    let secrets = folder.join("secrets");
    chown(secrets.join("token.key"), Some(65532), Some(65532)).unwrap();
    let hash = fs::read_to_string(secrets.join("hash")).unwrap();
    let file = folder.join("wharfinger.yml");
    let config = fs::read_to_string(&file)
        .unwrap()
        .replace("$2b$10$…", hash.trim());
    fs::write(file, config).unwrap();
    // The database's user reads its password.
    for readable in ["secrets", "secrets/database"] {
        fs::set_permissions(folder.join(readable), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn three_replicas_behind_nginx() {
    let docker = Docker::start();
    let client = docker.client();
    build(&client, program(), "wharfinger", "wharfinger");
    postgres(&client);
    nginx(&client);
    versitygw(&client);
    let text = fs::read_to_string(deploy("replicas/compose.yaml")).unwrap();
    let project = Project::of(&docker, &text, &[5000]);
    made_as_the_file_says(project.folder.path());
    project.compose(&["up", "--detach"]).succeeded();
    let host = format!("localhost:{}", project.ports[0]);
    let ready = format!("https://{host}/readyz");
    let is_ready = (0..900).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        peers::http::try_request(&[&ready]).is_some_and(|answer| answer.status == 200)
    });
    assert!(is_ready, "{}", project.logs());
    let logged_in = login(&client, &[], ("admin", "sesame"), &host);
    assert!(
        logged_in.status.success(),
        "{logged_in}\n{}",
        project.logs()
    );
    // Each in turn is stopped, and what was pushed while the others served is there.
    for number in 1..=3 {
        let reference = format!("{host}/team/app:{number}");
        docker
            .import(&Image::saying(&format!("replica {number}")), &reference)
            .succeeded();
        project
            .compose(&["stop", &format!("replica-{number}")])
            .succeeded();
        let pushed = client.run(&["push", &reference]);
        assert!(pushed.status.success(), "{pushed}\n{}", project.logs());
        project
            .compose(&["start", &format!("replica-{number}")])
            .succeeded();
        client.run(&["rmi", &reference]).succeeded();
        let pulled = client.run(&["pull", &reference]);
        assert!(pulled.status.success(), "{pulled}\n{}", project.logs());
    }
}
