//! The servers that are measured, and the logins that they get.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use data_encoding::BASE64;
use peers::{TestCertificate, TestKeyKind};
use tempfile::TempDir;

use crate::common::load::{self, Figure};
use crate::common::{Process, free_address, pinned};

/// The core of the servers.
const CORE: &str = "0";

/// Who may do what. Both servers read it.
const RULES: &str = "acl:\n- {match: {labels: {group: dev}}, actions: [\"*\"]}\n";

const TOKEN: &str = "/auth?service=registry.example.com&scope=repository:app:pull,push";

/// A folder with the key that signs tokens.
pub(crate) struct Setup {
    folder: TempDir,
    signing: TestCertificate,
}

/// An account that can log in.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl Account {
    pub(crate) fn new(name: &str, password: &str) -> Self {
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
        }
    }
}

impl Setup {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let signing = TestCertificate::new(TestKeyKind::P256, folder.path(), "signing");
        Self { folder, signing }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A server of ours whose backend is `backend`, a section of the configuration. Logins are
    /// remembered so many seconds.
    pub(crate) fn ours(&self, backend: &str, remember: u32) -> Process {
        let address = free_address();
        let more = format!(
            "login: {{remember: {remember}s, per_address: 1000000/s, per_account: 1000000/s}}\n"
        );
        let file = self.write(&address, backend, &more);
        let mut command = pinned(CORE, env!("CARGO_BIN_EXE_wharfinger"));
        Process::start_listening(command.arg("serve").arg(file), &address)
    }

    /// `docker_auth` with the same backend, if there is one.
    pub(crate) fn docker_auth(&self, backend: &str) -> Option<Process> {
        let program = docker_auth()?;
        let address = free_address();
        let file = self.write(&address, backend, "");
        let mut command = pinned(CORE, program);
        Some(Process::start_listening(command.arg(file), &address))
    }

    fn write(&self, address: &str, backend: &str, more: &str) -> PathBuf {
        let file = self.folder().join(format!("{address}.yml"));
        let (certificate, key) = (&self.signing.certificate, &self.signing.key);
        let text = format!(
            "server: {{addr: {address:?}}}\n\
             token: {{issuer: logins, expiration: 900, certificate: {certificate:?}, key: {key:?}}}\n\
             {RULES}{backend}\n{more}"
        );
        std::fs::write(&file, text).unwrap();
        file
    }
}

fn docker_auth() -> Option<OsString> {
    std::env::var_os("DOCKER_AUTH")
}

/// What came of logins in a row.
pub(crate) struct Logins {
    figure: Figure,
    /// How many were not answered with a token.
    failed: f64,
}

impl Logins {
    /// Has so many clients log in again and again for `time`.
    pub(crate) fn measure(
        server: &Process,
        account: &Account,
        clients: usize,
        time: Duration,
    ) -> Self {
        let basic = BASE64.encode(format!("{}:{}", account.name, account.password).as_bytes());
        let header = format!("Authorization: Basic {basic}\r\n");
        let failed = AtomicU64::new(0);
        let figure = load::load_over(
            server,
            clients,
            |done, began| done == 0 || began.elapsed() < time,
            |connection, _| {
                let answer = connection.ask("GET", TOKEN, &header);
                if answer.status != 200 {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                answer.length
            },
        );
        Self {
            figure,
            failed: failed.into_inner() as f64,
        }
    }

    pub(crate) fn failed(&self) -> f64 {
        self.failed
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.figure.operations_per_second() * self.accepted_part()
    }

    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.figure.operations_per_cpu_second() * self.accepted_part()
    }

    fn accepted_part(&self) -> f64 {
        1.0 - self.failed / self.figure.operations()
    }
}
