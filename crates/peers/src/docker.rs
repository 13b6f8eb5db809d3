//! dockerd and docker of one package, so that their versions fit.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::{Client, Daemon, Image, Output, program};

/// A running Docker daemon. Registries on 127.0.0.0/8 may speak plain HTTP to it.
#[derive(Debug)]
pub struct Docker {
    daemon: Daemon,
    directory: TempDir,
}

impl Docker {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If it is not installed or does not start. It needs root.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        let mut command = isolated("dockerd");
        command
            .arg("--data-root")
            .arg(path.join("root"))
            .arg("--exec-root")
            .arg(path.join("exec"))
            .arg("--pidfile")
            .arg(path.join("pid"))
            .args(["--host", &socket(&directory), "--storage-driver", "vfs"])
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"]);
        let daemon = Daemon::start(&mut command, &path.join("log"));
        let mut docker = Self { daemon, directory };
        let client = docker.client();
        if docker
            .daemon
            .until(|_| client.run(&["version"]).status.success().then_some(()))
            .is_none()
        {
            panic!("dockerd does not answer:\n{}", docker.log());
        }
        docker
    }

    /// A `docker` that has not logged in anywhere.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new("docker")
            .option("--host")
            .option(socket(&self.directory))
    }

    /// The daemon's address, as `DOCKER_HOST` has it.
    #[must_use]
    pub fn host(&self) -> String {
        socket(&self.directory)
    }

    /// Makes the daemon's image `reference` from the layer of `image`.
    #[must_use]
    pub fn import(&self, image: &Image, reference: &str) -> Output {
        self.client()
            .run(&["import", &image.layer().display().to_string(), reference])
    }

    /// Builds an image from `reference` with the daemon's own BuildKit: its layers are pulled, because a
    /// file is copied onto them.
    #[must_use]
    pub fn build_from(&self, client: &Client, reference: &str) -> Output {
        let directory = dockerfile(client, reference);
        client.run_with_variables(
            &["build", "--progress=plain", "--no-cache", &directory],
            &[("DOCKER_BUILDKIT", "1")],
        )
    }

    /// What dockerd logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

/// Runs `name` in its own process and mount namespaces. When its first process is killed, the kernel
/// ends its children and unmounts its file systems.
pub(crate) fn isolated(name: &str) -> Command {
    let mut command = Command::new(program("unshare"));
    command
        .args([
            "--mount",
            "--pid",
            "--mount-proc",
            "--fork",
            "--kill-child=KILL",
        ])
        .arg(program(name));
    command
}

/// Writes a `Dockerfile` that copies itself onto `reference` into the client's home, and returns its
/// directory.
pub(crate) fn dockerfile(client: &Client, reference: &str) -> String {
    let directory = client.home().join("context");
    fs::create_dir_all(&directory).expect("the directory of a build");
    let text = format!("FROM {reference}\nCOPY Dockerfile /\n");
    fs::write(directory.join("Dockerfile"), text).expect("a Dockerfile");
    directory.display().to_string()
}

fn socket(directory: &TempDir) -> String {
    format!("unix://{}", directory.path().join("socket").display())
}
