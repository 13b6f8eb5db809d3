//! `wharfinger`, run with a home of its own.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use peers::{Output, run_with_input};
use tempfile::TempDir;

/// A user of the program, who has not logged in anywhere.
pub(super) struct User {
    home: TempDir,
}

impl User {
    pub(super) fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// One whose files are those of another client.
    pub(super) fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "", &[])
    }

    pub(super) fn run_with(
        &self,
        arguments: &[&str],
        input: &str,
        variables: &[(&str, &str)],
    ) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_wharfinger"));
        run_with_input(
            command.args(arguments).envs(variables.iter().copied()),
            input,
        )
    }

    /// Starts the program, to be observed while it runs; its output is dropped.
    pub(super) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(env!("CARGO_BIN_EXE_wharfinger"));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Running(command.spawn().unwrap())
    }

    /// `program`, in this user's home and without the settings of this machine's user.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.home.path())
            .env("HOME", self.home.path());
        let theirs = [
            "DOCKER_CONFIG",
            "REGISTRY_AUTH_FILE",
            "XDG_RUNTIME_DIR",
            "XDG_CONFIG_HOME",
            "NO_PROXY",
            "no_proxy",
        ];
        theirs.into_iter().chain(PROXIES).for_each(|variable| {
            command.env_remove(variable);
        });
        command
    }

    pub(super) fn login(&self, (user, password): (&str, &str), host: &str) -> Output {
        self.run_with(
            &["login", "--user", user, "--password-stdin", host],
            password,
            &[],
        )
    }

    pub(super) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(name)).unwrap_or_default()
    }
}

/// The variables that name proxies.
const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The program, running.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Ctrl-C.
    pub(super) fn interrupt(&self) {
        let mut kill = Command::new("kill");
        peers::run(kill.args(["-INT", &self.id().to_string()])).succeeded();
    }

    /// Whether it has come to its end.
    pub(super) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Its exit code, and what it wrote to standard error.
    pub(super) fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (self.0.wait().unwrap().code(), said)
    }
}

/// Its exit code.
pub(super) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}
