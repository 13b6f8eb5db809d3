//! buildkitd and buildctl, of a newer version than the BuildKit in dockerd.

use std::fs;

use tempfile::TempDir;

use crate::docker::{dockerfile, isolated};
use crate::{Client, Daemon, Output};

/// A running buildkitd with a worker of its own.
#[derive(Debug)]
pub struct BuildKit {
    daemon: Daemon,
    directory: TempDir,
}

impl BuildKit {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If it is not installed or does not start. It needs root.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        // Without a configuration, it reads the machine's.
        let config = path.join("buildkitd.toml");
        fs::write(&config, "").expect("buildkitd's configuration");
        let mut command = isolated("buildkitd");
        command
            .arg("--config")
            .arg(config)
            .arg("--root")
            .arg(path.join("root"))
            .args(["--addr", &socket(&directory)])
            .args([
                "--containerd-worker=false",
                "--oci-worker-snapshotter=native",
            ]);
        let daemon = Daemon::start(&mut command, &path.join("log"));
        let mut buildkit = Self { daemon, directory };
        let client = buildkit.client();
        let is_ready = |_: &Daemon| {
            let workers = client.run(&["debug", "workers"]);
            workers.status.success().then_some(())
        };
        if buildkit.daemon.until(is_ready).is_none() {
            panic!("buildkitd does not answer:\n{}", buildkit.log());
        }
        buildkit
    }

    /// A `buildctl`. It reads logins from docker's `config.json` in its home.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new("buildctl")
            .option("--addr")
            .option(socket(&self.directory))
    }

    /// Builds an image from `reference` with a client of this daemon: its layers are pulled, because a
    /// file is copied onto them.
    #[must_use]
    pub fn build_from(&self, client: &Client, reference: &str) -> Output {
        let directory = dockerfile(client, reference);
        let local = |name: &str| format!("{name}={directory}");
        client.run(&[
            "build",
            "--progress=plain",
            "--no-cache",
            "--frontend=dockerfile.v0",
            "--local",
            &local("context"),
            "--local",
            &local("dockerfile"),
        ])
    }

    /// What buildkitd logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

fn socket(directory: &TempDir) -> String {
    format!("unix://{}", directory.path().join("socket").display())
}
