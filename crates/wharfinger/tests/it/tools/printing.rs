//! Where what a command prints cannot be written.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use super::{Folder, PROGRAM};

/// Every command that prints, by its words; what it needs lies in the folder.
const PRINTING: [&str; 13] = [
    "certs new --host made",
    "check auth.yml",
    "check --json auth.yml",
    "check --print auth.yml",
    "explain auth.yml repository:a:pull",
    "hash --cost 4",
    "inspect TOKEN",
    "inspect --json TOKEN",
    "keys jwks token.key",
    "keys new -",
    "keys show token.key",
    "keys show --json token.key",
    "token -key token.key",
];

struct Bench {
    folder: Folder,
    token: String,
}

impl Bench {
    fn new() -> Self {
        let folder = Folder::new();
        folder.said("keys new token.key");
        folder.write(
            "auth.yml",
            "{server: {addr: ':0'}, token: {issuer: i, expiration: 900, key: token.key}, users: {'': {}}, acl: \
             [{match: {}, actions: [pull]}]}",
        );
        let token = folder.said("token -key token.key");
        Self { folder, token }
    }

    /// Runs `words` with `output` for its standard output: its exit code and what it said on
    /// standard error.
    fn run(&self, words: &str, output: impl Into<Stdio>) -> (Option<i32>, String) {
        self.folder.write("password", "sesame\n");
        for made in ["made.key", "made.pem"] {
            let _ = std::fs::remove_file(self.folder.path(made));
        }
        let words = words.replace("TOKEN", &self.token);
        let child = Command::new(PROGRAM)
            .args(words.split(' '))
            .current_dir(self.folder.path("."))
            .stdin(
                OpenOptions::new()
                    .read(true)
                    .open(self.folder.path("password"))
                    .unwrap(),
            )
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}

#[test]
fn a_full_disk_is_told() {
    let bench = Bench::new();
    for words in PRINTING {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, said) = bench.run(words, full);
        assert_eq!(code, Some(3), "{words}: {said}");
        assert!(
            said.starts_with("error: cannot write to standard output: "),
            "{words}: {said}"
        );
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let bench = Bench::new();
    for words in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(
            bench.run(words, writer),
            (Some(0), String::new()),
            "{words}"
        );
    }
}
