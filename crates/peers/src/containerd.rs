//! containerd and ctr. They ask for a token with `POST` first, as no other client does.

use std::fs;

use tempfile::TempDir;

use crate::docker::isolated;
use crate::{Client, Daemon};

/// A running containerd.
#[derive(Debug)]
pub struct Containerd {
    daemon: Daemon,
    directory: TempDir,
}

impl Containerd {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If it is not installed or does not start. It needs root.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        let config = format!(
            "version = 2\n\
             root = {:?}\n\
             state = {:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\n\
             address = {:?}\n",
            path.join("root"),
            path.join("state"),
            path.join("socket"),
        );
        fs::write(path.join("config.toml"), config).expect("containerd's configuration");
        let mut command = isolated("containerd");
        command.arg("--config").arg(path.join("config.toml"));
        let daemon = Daemon::start(&mut command, &path.join("log"));
        let mut containerd = Self { daemon, directory };
        let client = containerd.client();
        if containerd
            .daemon
            .until(|_| client.run(&["version"]).status.success().then_some(()))
            .is_none()
        {
            panic!("containerd does not answer:\n{}", containerd.log());
        }
        containerd
    }

    /// A `ctr`. It stores no logins: each command needs its own `--user`.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new("ctr")
            .option("--address")
            .option(self.directory.path().join("socket"))
    }

    /// What containerd logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}
