//! The compose files of `deploy/`, run by docker-compose and dockerd.
//!
//! The images are those of `deploy/Containerfile`, but for the binary: `deploy/image` needs a static
//! one, and here it comes with the libraries that it needs.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use peers::{Client, Docker, Output, http, program as installed, run};
use tempfile::TempDir;

use super::world::{login, program};
use crate::deploy::{deploy, made_as_compose_two_says};

/// A compose file with ports that are free, until it is dropped.
pub(super) struct Project<'a> {
    docker: &'a Docker,
    pub(super) folder: TempDir,
    /// In the order of the file's services.
    pub(super) ports: Vec<u16>,
}

impl<'a> Project<'a> {
    fn new(docker: &'a Docker, file: &str, published: &[u16]) -> Self {
        let text = fs::read_to_string(deploy(file)).unwrap();
        Self::of(docker, &text, published)
    }

    pub(super) fn of(docker: &'a Docker, text: &str, published: &[u16]) -> Self {
        let listeners: Vec<_> = published
            .iter()
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports: Vec<_> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        let mut text = text.to_owned();
        for (usual, port) in published.iter().zip(&ports) {
            let here = format!("\"{usual}:{usual}\"");
            assert!(text.contains(&here), "{text}: {here}");
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

    pub(super) fn compose(&self, arguments: &[&str]) -> Output {
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
    pub(super) fn up(&self) {
        self.up_at("https");
    }

    pub(super) fn up_at(&self, scheme: &str) {
        self.compose(&["up", "--detach"]).succeeded();
        for port in &self.ports {
            let answers = (0..600).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(100));
                http::try_request(&[&format!("{scheme}://localhost:{port}/")])
                    .is_some_and(|answer| answer.status == 200)
            });
            assert!(answers, "{}", self.logs());
        }
    }

    pub(super) fn logs(&self) -> String {
        self.compose(&["logs", "--no-color"]).stdout
    }
}

impl Drop for Project<'_> {
    /// The network's bridge is the machine's, and would stay.
    fn drop(&mut self) {
        let _ = self.compose(&["down", "--volumes", "--timeout", "1"]);
    }
}

/// The files of an image: `program` with the libraries that it is linked with, where `deploy/image`
/// would put a static one, and what else the Containerfile takes.
fn context(program: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let copy = |from: &Path, to: &str| {
        let to = root.join(to.strip_prefix('/').unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    copy(program, "/usr/bin/wharfinger");
    let libraries = run(Command::new(installed("ldd")).arg(program));
    for library in libraries
        .stdout
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        copy(Path::new(library), library);
    }
    for place in ["docker/registry", "distribution"] {
        copy(
            &deploy("registry-2.yml"),
            &format!("/etc/{place}/config.yml"),
        );
    }
    fs::create_dir_all(root.join("bin")).unwrap();
    std::os::unix::fs::symlink("../usr/bin/wharfinger", root.join("bin/registry")).unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    folder
}

/// Builds the image `name` of the stage `stage`, as `deploy/image` does.
pub(super) fn build(docker: &Client, program: &Path, name: &str, stage: &str) {
    let context = context(program);
    let file = deploy("Containerfile").display().to_string();
    let place = context.path().display().to_string();
    let arguments = [
        "build", "--tag", name, "--target", stage, "--file", &file, &place,
    ];
    docker.run(&arguments).succeeded();
}

#[test]
fn one_process() {
    let docker = Docker::start();
    build(&docker.client(), program(), "wharfinger", "wharfinger");
    let project = Project::new(&docker, "compose.yaml", &[5000]);
    project.up();
    let logs = project
        .compose(&["logs", "--no-color", "--no-log-prefix"])
        .stdout;
    // Lines to paste: none names a file in the container.
    let host = format!("localhost:{}", 5000);
    let line = format!("  docker login {host} -u admin");
    assert!(logs.lines().any(|printed| printed == line), "{logs}");
    assert!(
        logs.lines()
            .any(|line| line == "mkdir -p /etc/docker/certs.d/localhost:5000"),
        "{logs}"
    );
    let password = logs
        .split("Password of the user admin: ")
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
            .contains("Starting with configuration /var/lib/wharfinger/wharfinger.yml"),
        "{}",
        project.logs()
    );
    login(&docker.client(), &[], ("admin", password), &host).succeeded();
}

#[test]
fn our_token_server_beside_registry_2() {
    let docker = Docker::start();
    build(&docker.client(), program(), "wharfinger", "wharfinger");
    build(
        &docker.client(),
        &installed("docker-registry"),
        "registry:2",
        "registry",
    );
    let project = Project::new(&docker, "compose-two.yaml", &[5001, 5000]);
    made_as_compose_two_says(project.folder.path(), "localhost");
    for key in ["token.key", "tls.key"] {
        let key = project.folder.path().join("auth").join(key);
        std::os::unix::fs::chown(key, Some(65532), Some(65532)).unwrap();
    }
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

/// A compose file of registry:2, as its manual has it; only the image's name is changed.
const REGISTRY_2: &str = r#"
services:
  registry:
    image: registry:2
    ports: ["5000:5000"]
    environment: {REGISTRY_STORAGE_DELETE_ENABLED: "true"}
    volumes: ["data:/var/lib/registry"]
volumes:
  data:
"#;

#[test]
fn the_image_takes_the_place_of_registry_2() {
    let docker = Docker::start();
    let client = docker.client();
    build(
        &client,
        &installed("docker-registry"),
        "registry:2",
        "registry",
    );
    build(&client, program(), "wharfinger-registry", "registry");
    let project = Project::of(&docker, REGISTRY_2, &[5000]);
    project.up_at("http");
    let reference = format!("127.0.0.1:{}/team/app:1", project.ports[0]);
    docker
        .import(&peers::Image::saying("registry:2"), &reference)
        .succeeded();
    client.run(&["push", &reference]).succeeded();
    client.run(&["rmi", &reference]).succeeded();

    let file = project.folder.path().join("compose.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("image: registry:2", "image: wharfinger-registry"),
    )
    .unwrap();
    project.up_at("http");
    client.run(&["pull", &reference]).succeeded();
    client.run(&["push", &reference]).succeeded();
    // The old command line, in the container.
    let arguments = [
        "exec",
        "-T",
        "registry",
        "registry",
        "garbage-collect",
        "/etc/docker/registry/config.yml",
    ];
    project.compose(&arguments).succeeded();

    // Each form of a command that the old image's entry point takes.
    for form in [
        "/etc/docker/registry/config.yml",
        "serve /etc/distribution/config.yml",
        "registry serve /etc/docker/registry/config.yml",
    ] {
        let ours = format!("image: wharfinger-registry\n    command: {form}");
        fs::write(&file, text.replace("image: registry:2", &ours)).unwrap();
        project.up_at("http");
    }

    // And back.
    fs::write(&file, text).unwrap();
    project.up_at("http");
    client.run(&["rmi", &reference]).succeeded();
    client.run(&["pull", &reference]).succeeded();
}

/// As the manual's page says for a user of one's own.
#[test]
fn the_image_runs_as_another_user_in_registry_2s_place() {
    let docker = Docker::start();
    let client = docker.client();
    build(&client, program(), "wharfinger-registry", "registry");
    let text = REGISTRY_2.replace(
        "image: registry:2",
        "image: wharfinger-registry\n    user: \"65532:65532\"",
    );
    let project = Project::of(&docker, &text, &[5000]);
    // The volume belongs to root until it is given away.
    project.compose(&["up", "--detach"]).succeeded();
    let volumes = client.run(&[
        "volume",
        "inspect",
        "--format",
        "{{.Mountpoint}}",
        "wharfinger_data",
    ]);
    let place = PathBuf::from(volumes.succeeded());
    std::os::unix::fs::chown(&place, Some(65532), Some(65532)).unwrap();
    project
        .compose(&["up", "--detach", "--force-recreate"])
        .succeeded();
    project.up_at("http");
    let reference = format!("127.0.0.1:{}/team/app:1", project.ports[0]);
    docker
        .import(&peers::Image::saying("user"), &reference)
        .succeeded();
    client.run(&["push", &reference]).succeeded();
}
