//! The images of other projects that the compose file names, made of this machine's programs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use peers::{Client, program as installed, run};
use tempfile::TempDir;

/// The files of an image.
struct ImageRoot(TempDir);

impl ImageRoot {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, place: &str) -> PathBuf {
        let root = self.0.path().join("root");
        root.join(place.trim_start_matches('/'))
    }

    fn directory(&self, place: &str) {
        fs::create_dir_all(self.path(place)).unwrap();
        // Each program runs as a user of its own.
        fs::set_permissions(self.path(place), fs::Permissions::from_mode(0o777)).unwrap();
    }

    /// A file, or a directory with what is in it.
    fn copy(&self, from: &Path, to: &Path) {
        let to = self.path(to.to_str().unwrap());
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
    fn program(&self, program: &Path, to: &str) {
        let program = fs::canonicalize(program).unwrap();
        self.copy(&program, Path::new(to));
        let libraries = run(Command::new(installed("ldd")).arg(&program));
        let words = libraries.stdout.split_whitespace();
        for library in words.filter(|word| word.starts_with('/')) {
            if !self.path(library).exists() {
                self.copy(Path::new(library), Path::new(library));
            }
        }
    }

    /// Builds the image. `run` says how it runs.
    fn build(&self, docker: &Client, name: &str, run: &str) {
        let (file, place) = (self.0.path().join("Containerfile"), self.0.path());
        fs::write(
            &file,
            format!("FROM scratch\nCOPY root/ /\nENV PATH=/usr/bin:/bin\n{run}\n"),
        )
        .unwrap();
        let (file, place) = (file.display().to_string(), place.display().to_string());
        let build = ["build", "--tag", name, "--file", &file, &place];
        docker.run(&build).succeeded();
    }
}

/// What the image's own entry point does with the variables that the compose file sets.
const POSTGRES: &str = r#"#!/bin/sh
set -e
cd /var/lib/postgresql/data
if [ ! -e db/PG_VERSION ]; then
    initdb --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" --auth scram-sha-256 --no-sync $POSTGRES_INITDB_ARGS -D db
    echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -j -D db postgres
    echo "host all all all scram-sha-256" >>db/pg_hba.conf
fi
exec postgres -D db -c listen_addresses='*' -c unix_socket_directories=''
"#;

/// PostgreSQL, with the `mkdir` that the compose file runs in its image.
pub(super) fn postgres(docker: &Client) {
    let root = ImageRoot::new();
    let initdb = fs::canonicalize(installed("initdb")).unwrap();
    let bin = initdb.parent().unwrap();
    root.directory("usr/bin");
    for name in ["initdb", "postgres"] {
        // They look for their files beside themselves.
        let program = bin.join(name);
        root.program(&program, program.to_str().unwrap());
        symlink(&program, root.path("usr/bin").join(name)).unwrap();
    }
    let home = bin.parent().unwrap();
    for file in ["plpgsql.so", "dict_snowball.so"] {
        let library = home.join("lib").join(file);
        root.copy(&library, &library);
    }
    let share = Path::new("/usr/share/postgresql").join(home.file_name().unwrap());
    root.copy(&share, &share);
    for name in ["sh", "mkdir"] {
        root.program(&installed(name), &format!("/bin/{name}"));
    }
    let users = "root:x:0:0::/:/bin/sh\npostgres:x:999:999::/:/bin/sh\n";
    root.write("etc/passwd", users);
    root.write("entrypoint", POSTGRES);
    for place in ["var/lib/postgresql/data", "tmp", "dev/shm"] {
        root.directory(place);
    }
    let run = "USER 999:999\nENTRYPOINT [\"/bin/sh\", \"/entrypoint\"]";
    root.build(docker, "postgres:17", run);
}

pub(super) fn nginx(docker: &Client) {
    let root = ImageRoot::new();
    root.program(&installed("nginx"), "/usr/bin/nginx");
    root.write("etc/passwd", "root:x:0:0::/:/\nnobody:x:65534:65534::/:/\n");
    root.write("etc/group", "root:x:0:\nnogroup:x:65534:\n");
    for place in ["var/log/nginx", "var/lib/nginx", "run", "tmp"] {
        root.directory(place);
    }
    let run = r#"ENTRYPOINT ["/usr/bin/nginx", "-g", "daemon off; error_log stderr; user nobody nogroup;"]"#;
    root.build(docker, "nginx:1", run);
}

pub(super) fn versitygw(docker: &Client) {
    let root = ImageRoot::new();
    root.program(&installed("versitygw"), "/usr/bin/versitygw");
    root.directory("tmp");
    let run = r#"ENTRYPOINT ["/usr/bin/versitygw"]"#;
    root.build(docker, "versity/versitygw:v1.8.0", run);
}
