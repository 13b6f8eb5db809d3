//! One server of ours, three registries behind it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use peers::{
    Auth, Client, RegistryConfig, RunningRegistry, Server, TestCertificate, TestKeyKind, Trust,
    http, registry2, registry3, run,
};
use tempfile::TempDir;

/// Who may do everything, and who may only look. Their hashes are in `world.yml`.
pub(crate) const ADMIN: (&str, &str) = ("admin", "badmin");
pub(crate) const READER: (&str, &str) = ("reader", "look-only");

/// What `docker` prints when a registry refused an action for want of scope.
pub(crate) const DENIED: &str = "denied: requested access to the resource is denied";

/// One server, and registry 2.8 with a bundle, registry 3 with a bundle and registry 3 with a JWKS
/// behind it.
pub(crate) struct World {
    server: Server,
    pub(crate) registries: [RunningRegistry; 3],
    _directory: TempDir,
}

/// What a server keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nothing: as a configuration of `docker_auth`'s has it.
    None,
    /// Refresh tokens, in a database.
    RefreshTokens,
}

impl World {
    /// The three registries each read another header member, and no header serves them all: that
    /// the keys are of kind `kind` decides which three are tried.
    pub(crate) fn start(kind: TestKeyKind, memory: Memory) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(kind, directory.path(), "token");
        let services = match kind {
            TestKeyKind::Rsa => r#""registry 3": {key_id: thumbprint}"#,
            TestKeyKind::P256 => {
                r#""registry 3": {header: [x5c]}, "registry 3 with JWKS": {key_id: thumbprint}"#
            }
        };
        let database = match memory {
            Memory::None => String::new(),
            Memory::RefreshTokens => format!(
                "database: {{url: \"sqlite://{}/db\"}}\n",
                directory.path().display()
            ),
        };
        let config = include_str!("world.yml").replace("@services@", services) + &database;
        let server = serve(&with_pair(&config, &pair));

        let jwks = directory.path().join("jwks.json");
        fs::write(&jwks, http::get(&server.url("/.well-known/jwks.json")).body).unwrap();
        let bundle = || Trust::Bundle(pair.certificate.clone());
        let registries = [
            registry2(&config_of(&server, "registry 2", bundle())),
            registry3(&config_of(&server, "registry 3", bundle())),
            registry3(&config_of(
                &server,
                "registry 3 with JWKS",
                Trust::Jwks(jwks),
            )),
        ];
        Self {
            server,
            registries,
            _directory: directory,
        }
    }

    /// `wharfinger sessions revoke`, beside the running server.
    pub(crate) fn revoke_sessions_of(&self, user: &str) {
        let mut revoke = Command::new(program());
        run(revoke
            .args(["sessions", "revoke", "--user", user])
            .arg(self.server.config()))
        .succeeded();
    }
}

impl Drop for World {
    /// What a client says of a refusal is rarely why, so a failure shows the server's log; and
    /// whatever a client did, no password went into it.
    fn drop(&mut self) {
        let log = self.server.log();
        if thread::panicking() {
            eprintln!("the server's log:\n{log}");
        } else {
            assert!(
                log.contains(ADMIN.0) && !log.contains(ADMIN.1) && !log.contains(READER.1),
                "{log}"
            );
        }
    }
}

/// Our server with `config`, in which `@addr@` stands for its address.
pub(crate) fn serve(config: &str) -> Server {
    Server::start(program(), config)
}

/// The program under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wharfinger"))
}

/// `config` with the paths of `pair` for `@certificate@` and `@key@`.
pub(crate) fn with_pair(config: &str, pair: &TestCertificate) -> String {
    config
        .replace("@certificate@", &pair.certificate.display().to_string())
        .replace("@key@", &pair.key.display().to_string())
}

/// Logs a client of the containers/image family, or docker, in.
pub(crate) fn login(
    client: &Client,
    options: &[&str],
    (user, password): (&str, &str),
    host: &str,
) -> peers::Output {
    let arguments = [
        &["login"],
        options,
        &["--username", user, "--password-stdin", host],
    ]
    .concat();
    client.run_with_input(&arguments, password)
}

/// Logs crane in.
pub(crate) fn crane_login(client: &Client, (user, password): (&str, &str), host: &str) {
    client
        .run_with_input(
            &[
                "auth",
                "login",
                host,
                "--username",
                user,
                "--password-stdin",
            ],
            password,
        )
        .succeeded();
}

fn config_of(server: &Server, service: &str, trust: Trust) -> RegistryConfig {
    let auth = Auth::Token {
        realm: server.realm("/auth"),
        service: service.to_owned(),
        issuer: "Acme auth server".to_owned(),
        trust,
    };
    RegistryConfig {
        auth,
        ..RegistryConfig::default()
    }
}
