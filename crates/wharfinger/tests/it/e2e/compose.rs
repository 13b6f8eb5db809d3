//! The compose files of `deploy/`, run by docker-compose and dockerd.
//!
//! The images are stand-ins, for `deploy/image` needs a static build: the programs under test with
//! the libraries that they need, and otherwise what `deploy/Containerfile` says.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use peers::{Client, Docker, Output, http, program as installed, run};
use tempfile::TempDir;

use super::world::{login, program};
use crate::deploy::{deploy, made_as_compose_two_says};

/// A compose file with ports that are free, until it is dropped.
struct Project<'a> {
    docker: &'a Docker,
    folder: TempDir,
    /// In the order of the file's services.
    ports: Vec<u16>,
}

impl<'a> Project<'a> {
    fn new(docker: &'a Docker, file: &str, published: &[u16]) -> Self {
        let listeners: Vec<_> = published
            .iter()
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports: Vec<_> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        let mut text = fs::read_to_string(deploy(file)).unwrap();
        for (usual, port) in published.iter().zip(&ports) {
            let here = format!("\"{usual}:{usual}\"");
            assert!(text.contains(&here), "{file}: {here}");
            text = text.replace(&here, &format!("\"127.0.0.1:{port}:{usual}\""));
            text = text.replace(&format!(":{usual}/auth\""), &format!(":{port}/auth\""));
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("compose.yaml"), text).unwrap();
        Self {
            docker,
            folder,
            ports,
        }
    }

    fn compose(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(installed("docker-compose"));
        command
            .args(["--file", "compose.yaml", "--project-name", "wharfinger"])
            .args(arguments);
        command
            .env("DOCKER_HOST", self.docker.host())
            .env("REGISTRY_HOST", "localhost")
            .env("AUTH_HOST", "localhost");
        run(command.current_dir(self.folder.path()))
    }

    /// Starts it, and waits until every service answers.
    fn up(&self) {
        self.compose(&["up", "--detach"]).succeeded();
        for port in &self.ports {
            let answers = (0..600).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(100));
                http::try_request(&[&format!("https://localhost:{port}/")])
                    .is_some_and(|answer| answer.status == 200)
            });
            assert!(answers, "{}", self.logs());
        }
    }

    fn logs(&self) -> String {
        self.compose(&["logs", "--no-color"]).stdout
    }
}

impl Drop for Project<'_> {
    /// The network's bridge is the machine's, and would stay.
    fn drop(&mut self) {
        let _ = self.compose(&["down", "--volumes", "--timeout", "1"]);
    }
}

/// Makes the image `name` of `binary` and the libraries that it is linked with.
fn image(docker: &Client, binary: &Path, name: &str, changes: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let copy = |from: &Path, to: &Path| {
        let to = root.join(to.strip_prefix("/").unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    copy(binary, Path::new("/usr/bin/program"));
    let libraries = run(Command::new(installed("ldd")).arg(binary));
    for library in libraries
        .stdout
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        copy(Path::new(library), Path::new(library));
    }
    let data = root.join("var/lib/wharfinger");
    fs::create_dir_all(&data).unwrap();
    std::os::unix::fs::chown(data, Some(65532), Some(65532)).unwrap();
    let archive = folder.path().join("image.tar");
    run(Command::new(installed("tar"))
        .arg("-C")
        .arg(&root)
        .arg("-cf")
        .arg(&archive)
        .arg("."))
    .succeeded();
    let changes: Vec<_> = changes
        .iter()
        .flat_map(|change| ["--change", change])
        .collect();
    let archive = archive.display().to_string();
    docker
        .run(&[&["import"], &changes[..], &[&archive, name]].concat())
        .succeeded();
}

fn ours(docker: &Client) {
    let changes = [
        r#"ENTRYPOINT ["/usr/bin/program"]"#,
        "USER 65532:65532",
        "WORKDIR /var/lib/wharfinger",
        "ENV STATE_DIRECTORY=/var/lib/wharfinger",
        "VOLUME /var/lib/wharfinger",
    ];
    let text = fs::read_to_string(deploy("Containerfile")).unwrap();
    assert!(
        changes[1..].iter().all(|line| text.contains(line)),
        "the stand-in is like the image"
    );
    image(docker, program(), "wharfinger", &changes);
}

#[test]
fn one_process() {
    let docker = Docker::start();
    ours(&docker.client());
    let project = Project::new(&docker, "compose.yaml", &[5000]);
    project.up();
    let logs = project.logs();
    let password = logs
        .split("-u admin -p ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let host = format!("localhost:{}", project.ports[0]);
    login(&docker.client(), &[], ("admin", password), &host).succeeded();
    assert!(
        login(&docker.client(), &[], ("admin", "wrong"), &host)
            .refused()
            .contains("unauthorized")
    );
    // What it made is in the volume: made anew, the container starts with it.
    project
        .compose(&["up", "--detach", "--force-recreate"])
        .succeeded();
    project.up();
    assert!(
        project
            .logs()
            .contains("Starting what /var/lib/wharfinger/wharfinger.yml says."),
        "{}",
        project.logs()
    );
    login(&docker.client(), &[], ("admin", password), &host).succeeded();
}

#[test]
fn our_token_server_beside_registry_2() {
    let docker = Docker::start();
    ours(&docker.client());
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/config/distribution/tests/registry-2.8-image.yml"
    );
    let project = Project::new(&docker, "compose-two.yaml", &[5001, 5000]);
    let auth: PathBuf = project.folder.path().join("auth");
    fs::create_dir(&auth).unwrap();
    fs::copy(file, auth.join("config.yml")).unwrap();
    let configuration = made_as_compose_two_says(&auth, "localhost");
    fs::write(auth.join("wharfinger.yml"), configuration).unwrap();
    for key in ["token.key", "tls.key"] {
        std::os::unix::fs::chown(auth.join(key), Some(65532), Some(65532)).unwrap();
    }
    // In the image, the file is at a place of its own.
    let changes = [r#"ENTRYPOINT ["/usr/bin/program", "serve", "/auth/config.yml"]"#];
    image(
        &docker.client(),
        &installed("docker-registry"),
        "registry:2",
        &changes,
    );
    project.up();
    let host = format!("localhost:{}", project.ports[1]);
    let admin = docker.client();
    login(&admin, &[], ("admin", "sesame"), &host).succeeded();
    let reference = format!("{host}/team/app:1");
    docker
        .import(&peers::Image::saying("compose"), &reference)
        .succeeded();
    let pushed = admin.run(&["push", &reference]);
    assert!(pushed.status.success(), "{pushed}\n{}", project.logs());
    assert!(
        login(&docker.client(), &[], ("admin", "wrong"), &host)
            .refused()
            .contains("unauthorized")
    );
}
