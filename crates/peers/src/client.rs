//! Clients: programs that run once. Each keeps its credentials and images in a home directory of its
//! own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Output, output, program};

/// A client with an empty home directory, which has no logins yet.
#[derive(Debug)]
pub struct Client {
    program: PathBuf,
    /// The options before every command, which say where its daemon or its storage is.
    options: Vec<OsString>,
    home: TempDir,
}

impl Client {
    /// The program called `name`.
    pub(crate) fn new(name: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        // skopeo and buildah fail if the file that the variable names does not exist.
        fs::write(home.path().join(AUTH), "{}").expect("an empty file of credentials");
        Self {
            program: program(name),
            options: Vec::new(),
            home,
        }
    }

    pub(crate) fn option(mut self, option: impl Into<OsString>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Runs it.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, "")
    }

    /// Runs it with `input` on its standard input.
    #[must_use]
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        output::run_with_input(self.command().args(arguments), input)
    }

    /// Runs it with further variables of the environment.
    #[must_use]
    pub fn run_with_variables(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = self.command();
        command.envs(variables.iter().copied());
        output::run_with_input(command.args(arguments), "")
    }

    /// The file `name` in its home, such as `.docker/config.json`; empty when there is none.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.home.path().join(name)).unwrap_or_default()
    }

    /// Its home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Every variable that names credentials or settings of another user is removed, or names the
    /// home directory.
    fn command(&self) -> Command {
        let home = self.home.path();
        let mut command = Command::new(&self.program);
        command
            .args(&self.options)
            .current_dir(home)
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home)
            .env("REGISTRY_AUTH_FILE", home.join(AUTH));
        for variable in [
            "DOCKER_CONFIG",
            "DOCKER_HOST",
            "DOCKER_CONTEXT",
            "XDG_CONFIG_HOME",
            "REGCTL_CONFIG",
            "HELM_REGISTRY_CONFIG",
        ] {
            command.env_remove(variable);
        }
        command
    }
}

/// skopeo, which accepts images without a signature (`--insecure-policy`).
#[must_use]
pub fn skopeo() -> Client {
    Client::new("skopeo").option("--insecure-policy")
}

/// podman, with its storage in its home.
#[must_use]
pub fn podman() -> Client {
    with_storage(Client::new("podman"))
}

/// buildah, with its storage in its home.
#[must_use]
pub fn buildah() -> Client {
    with_storage(Client::new("buildah"))
}

/// crane, go-containerregistry's client.
#[must_use]
pub fn crane() -> Client {
    Client::new("crane")
}

/// regctl, regclient's client, which speaks HTTP without TLS to the registry at `host`.
///
/// # Panics
/// If regctl is not installed or refuses the host.
#[must_use]
pub fn regctl(host: &str) -> Client {
    let client = Client::new("regctl");
    let set = ["registry", "set", "--skip-check", "--tls", "disabled", host];
    client.run(&set).succeeded();
    client
}

/// helm, which keeps charts as images.
#[must_use]
pub fn helm() -> Client {
    Client::new("helm")
}

/// The program of `crates/peers/kubernetes`: Kubernetes' own types, and what a kubelet does with
/// credential providers.
#[must_use]
pub fn kubernetes_peer() -> Client {
    Client::new("kubernetes-peer")
}

/// Where skopeo, podman and buildah keep credentials.
const AUTH: &str = "auth.json";

fn with_storage(client: Client) -> Client {
    let (root, run) = (client.home().join("storage"), client.home().join("run"));
    client
        .option("--storage-driver")
        .option("vfs")
        .option("--root")
        .option(root)
        .option("--runroot")
        .option(run)
}
