//! The commands that make and show tokens, keys and certificates, as a shell runs them.

mod certs;
mod help;
mod inspect;
mod keys;
mod passwd;
mod printing;
mod token;

use std::path::{Path, PathBuf};
use std::process::Command;

use peers::Output;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// A folder to work in.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// `wharfinger WORDS`, the words separated by spaces.
    fn run(&self, words: &str) -> Output {
        self.run_with_input(words, "")
    }

    fn run_with_input(&self, words: &str, input: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        command
            .args(words.split(' '))
            .current_dir(self.0.path())
            .env_remove("COLUMNS");
        peers::run_with_input(&mut command, input)
    }

    /// The same, which has to succeed.
    #[track_caller]
    fn said(&self, words: &str) -> String {
        self.run(words).succeeded().to_owned()
    }

    /// Runs what has to fail, and returns the exit code and the message.
    #[track_caller]
    fn refused(&self, words: &str) -> (i32, String) {
        let output = self.run(words);
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{output}"
        );
        (output.status.code().unwrap(), output.stderr)
    }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o777
}
