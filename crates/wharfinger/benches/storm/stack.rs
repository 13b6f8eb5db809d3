//! The two stacks: ours in one process, and Distribution 3 behind a token server.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use peers::{TestCertificate, TestKeyKind, program};
use tempfile::TempDir;

use crate::common::{Process, free_address, pinned};

/// The `service` that tokens are for.
pub(crate) const SERVICE: &str = "wharfinger";
/// The core of the servers.
const CORE: &str = "0";

/// Which programs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Token server and registry in one process of ours.
    Ours,
    /// Distribution 3 behind `docker_auth`.
    DockerAuth,
    /// Distribution 3 behind our token server.
    OurTokenServer,
}

impl Kind {
    /// What ours is compared with.
    pub(crate) fn others() -> Self {
        match docker_auth() {
            Some(_) => Self::DockerAuth,
            None => Self::OurTokenServer,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "wharfinger",
            Self::DockerAuth => "docker_auth and registry 3",
            Self::OurTokenServer => "our token server and registry 3",
        }
    }
}

fn docker_auth() -> Option<OsString> {
    std::env::var_os("DOCKER_AUTH")
}

/// A running stack. The last clone stops it.
#[derive(Clone)]
pub(crate) struct Stack(Arc<Running>);

struct Running {
    kind: Kind,
    /// The registry last; in ours it is the only one.
    processes: Vec<Process>,
    _directory: TempDir,
}

impl Stack {
    pub(crate) fn start(kind: Kind) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let tls = TestCertificate::new(TestKeyKind::P256, directory.path(), "tls");
        // RSA: the key ids that docker_auth gives elliptic curve keys suit no registry 3.
        let signing = TestCertificate::new(TestKeyKind::Rsa, directory.path(), "signing");
        let setup = Setup {
            directory: directory.path(),
            tls,
            signing,
            hash: hash(),
        };
        let processes = match kind {
            Kind::Ours => vec![setup.ours(true)],
            Kind::DockerAuth => {
                let token_server = setup.docker_auth();
                let registry = setup.distribution(&token_server.address);
                vec![token_server, registry]
            }
            Kind::OurTokenServer => {
                let token_server = setup.ours(false);
                let registry = setup.distribution(&token_server.address);
                vec![token_server, registry]
            }
        };
        Self(Arc::new(Running {
            kind,
            processes,
            _directory: directory,
        }))
    }

    pub(crate) fn token_server(&self) -> &str {
        &self.0.processes[0].address
    }

    /// `docker_auth` speaks HTTP/1.1 alone.
    pub(crate) fn token_server_speaks_http2(&self) -> bool {
        self.0.kind != Kind::DockerAuth
    }

    pub(crate) fn registry(&self) -> &str {
        let last = self.0.processes.len() - 1;
        &self.0.processes[last].address
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.0.processes.iter().map(Process::cpu_seconds).sum()
    }
}

/// What the servers' configurations have in common.
struct Setup<'a> {
    directory: &'a Path,
    tls: TestCertificate,
    signing: TestCertificate,
    hash: String,
}

impl Setup<'_> {
    fn ours(&self, with_registry: bool) -> Process {
        let address = free_address();
        let mut config = self.token_server(&address);
        config += "login: {per_address: 1000000/s, per_account: 1000000/s}\n";
        if with_registry {
            let root = self.directory.join("content");
            config += &format!("registry: {{storage: {{filesystem: {{root: {root:?}}}}}}}\n");
        } else {
            config += &format!(
                "database: {{url: \"sqlite://{}/t.db\"}}\n",
                self.directory.display()
            );
        }
        let file = self.write("ours.yml", &config);
        let mut command = pinned(CORE, env!("CARGO_BIN_EXE_wharfinger"));
        Process::start_listening(command.arg("serve").arg(file), &address)
    }

    fn docker_auth(&self) -> Process {
        let address = free_address();
        let config = self
            .token_server(&address)
            .replace("token: {", "token: {disable_legacy_key_id: true, ");
        let file = self.write("docker_auth.yml", &config);
        let mut command = pinned(CORE, docker_auth().unwrap());
        Process::start_listening(command.arg(file), &address)
    }

    /// The configuration of a token server, which both read.
    fn token_server(&self, address: &str) -> String {
        let Self {
            tls, signing, hash, ..
        } = self;
        format!(
            "server: {{addr: {address:?}, certificate: {:?}, key: {:?}}}\n\
             token: {{issuer: storm, expiration: 900, certificate: {:?}, key: {:?}}}\n\
             users: {{\"\": {{}}, nodes: {{password: {hash:?}}}, ci: {{password: {hash:?}}}}}\n\
             acl:\n\
             - {{match: {{account: ci}}, actions: [\"*\"]}}\n\
             - {{match: {{name: \"fleet/*\"}}, actions: [pull]}}\n",
            tls.certificate, tls.key, signing.certificate, signing.key
        )
    }

    fn distribution(&self, token_server: &str) -> Process {
        let address = free_address();
        let Self { tls, signing, .. } = self;
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {:?}}}, cache: {{blobdescriptor: inmemory}}}}\n\
             http: {{addr: {address:?}, secret: storm, tls: {{certificate: {:?}, key: {:?}}}}}\n\
             auth: {{token: {{realm: \"https://{token_server}/auth\", service: {SERVICE}, issuer: storm, rootcertbundle: {:?}}}}}\n",
            self.directory.join("data"),
            tls.certificate,
            tls.key,
            signing.certificate
        );
        let file = self.write("registry.yml", &config);
        let mut command = pinned(CORE, program("registry"));
        command
            .arg("serve")
            .arg(file)
            .env("OTEL_TRACES_EXPORTER", "none");
        Process::start_listening(&mut command, &address)
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let file = self.directory.join(name);
        std::fs::write(&file, text).unwrap();
        file
    }
}

/// The bcrypt hash of `secret` at cost 10, made by the program itself.
fn hash() -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wharfinger"))
        .args(["hash", "--cost", "10"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
