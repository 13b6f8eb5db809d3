//! `wharfinger`, run with a home of its own.

use std::process::Command;

use peers::{Output, run_with_input};
use tempfile::TempDir;

/// A user of the program, who has not logged in anywhere.
pub(super) struct User {
    home: TempDir,
}

impl User {
    pub(super) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// One whose files are those of another client.
    pub(super) fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "", &[])
    }

    pub(super) fn run_with(&self, arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
        command.args(arguments).current_dir(self.home.path()).env("HOME", self.home.path());
        for variable in ["DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"] {
            command.env_remove(variable);
        }
        run_with_input(command.envs(variables.iter().copied()), input)
    }

    pub(super) fn login(&self, (user, password): (&str, &str), host: &str) -> Output {
        self.run_with(&["login", "--user", user, "--password-stdin", host], password, &[])
    }

    pub(super) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(name)).unwrap_or_default()
    }
}

/// Its exit code.
pub(super) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}
