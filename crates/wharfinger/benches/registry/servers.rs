//! The servers, each with one core and a directory of its own.

use std::path::{Path, PathBuf};

use peers::{TestCertificate, TestKeyKind, program};
use tempfile::TempDir;

use crate::before;
use crate::common::features::Feature;
use crate::common::http::Connection;
use crate::common::{Process, free_address, pinned};

/// The core of every server.
const CORE: &str = "0";

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ours, with its own token server: every request bears a token.
    Ours,
    /// The build of ours that `BEFORE` names, with tokens.
    Before,
    /// Ours without tokens.
    OursOpen,
    /// Ours without tokens, over TLS.
    OursTls,
    /// Ours with tokens, without an access log.
    OursUnlogged,
    /// Ours with tokens, and with 10,000 quotas: of two prefixes of the repositories, and of others.
    OursWithQuotas,
    /// Ours with tokens, and with this feature.
    OursWith(&'static Feature),
    /// Distribution's, open.
    Registry3,
    /// Distribution's, open.
    Registry2,
}

/// A running registry.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) process: Process,
}

impl Server {
    /// Starts it on what lies in `directory`.
    pub(crate) fn start(kind: Kind, directory: &Path) -> Self {
        let address = free_address();
        let config = match kind {
            Kind::Ours | Kind::Before => ours(directory, &address, "", true),
            Kind::OursOpen => ours(directory, &address, "", false),
            Kind::OursTls => ours(directory, &address, &tls_keys(directory), false),
            Kind::OursUnlogged => ours(directory, &address, "log: {access: off}, ", true),
            Kind::OursWithQuotas => with_quotas(&ours(directory, &address, "", true)),
            Kind::OursWith(feature) => {
                ours(directory, &address, feature.server, true) + &feature.sections()
            }
            Kind::Registry3 | Kind::Registry2 => distribution(directory, &address),
        };
        let file = directory.join("config.yml");
        std::fs::write(&file, config).unwrap();
        let (program, ready) = match kind {
            Kind::Ours
            | Kind::OursOpen
            | Kind::OursTls
            | Kind::OursUnlogged
            | Kind::OursWithQuotas
            | Kind::OursWith(_) => (env!("CARGO_BIN_EXE_wharfinger").into(), "/healthz"),
            Kind::Before => (
                PathBuf::from(std::env::var_os(before::VARIABLE).unwrap()),
                "/healthz",
            ),
            Kind::Registry3 => (program("registry"), "/v2/"),
            Kind::Registry2 => (program("docker-registry"), "/v2/"),
        };
        let mut command = pinned(CORE, program);
        command
            .arg("serve")
            .arg(&file)
            .env("OTEL_TRACES_EXPORTER", "none");
        let process = match kind {
            Kind::OursTls => Process::start_listening(&mut command, &address),
            _ => Process::start(&mut command, &address, ready),
        };
        Self { kind, process }
    }

    /// The header that allows `actions` with `name`; empty for a server without authentication.
    pub(crate) fn bearer(&self, resource: &str, name: &str, actions: &str) -> String {
        if !matches!(
            self.kind,
            Kind::Ours
                | Kind::Before
                | Kind::OursUnlogged
                | Kind::OursWithQuotas
                | Kind::OursWith(_)
        ) {
            return String::new();
        }
        let url = format!(
            "http://{}/auth?service=wharfinger&scope={resource}:{name}:{actions}",
            self.process.address
        );
        let answer = peers::http::get(&url);
        format!(
            "Authorization: Bearer {}\r\n",
            answer.json_string("token").unwrap()
        )
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.process.address)
    }
}

/// The keys of `server` for TLS, with the certificate that [`nginx`] has, too.
fn tls_keys(directory: &Path) -> String {
    let pair = TestCertificate::new(TestKeyKind::P256, directory, "tls");
    format!("certificate: {:?}, key: {:?}, ", pair.certificate, pair.key)
}

/// Starts nginx on the files in `directory`, as fast as it is; over TLS if `certificate` names the
/// directory of [`Kind::OursTls`].
pub(crate) fn nginx(directory: &Path, certificate: Option<&Path>) -> Process {
    let address = free_address();
    let place = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {place}/{kind};\n"))
        .concat();
    let (ssl, keys) = match certificate {
        None => ("", String::new()),
        Some(path) => {
            let path = path.display();
            let keys =
                format!("ssl_certificate {path}/tls.pem; ssl_certificate_key {path}/tls.key;");
            (" ssl", keys)
        }
    };
    let config = format!(
        "user root;\ndaemon off;\nmaster_process off;\npid {place}/pid;\nevents {{ worker_connections 128; }}\n\
         http {{\n{temporary}access_log off;\nsendfile on;\ntcp_nopush on;\nkeepalive_requests 100000000;\n\
         server {{ listen {address}{ssl}; {keys} root {place}; }}\n}}\n"
    );
    let file = directory.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = pinned(CORE, program("nginx"));
    command
        .args(["-e", "stderr", "-p"])
        .arg(directory)
        .arg("-c")
        .arg(&file);
    match certificate {
        None => Process::start(&mut command, &address, "/"),
        Some(_) => Process::start_listening(&mut command, &address),
    }
}

/// `keys` are further keys of `server`.
fn ours(directory: &Path, address: &str, keys: &str, tokens: bool) -> String {
    let storage = format!(
        "storage: {{filesystem: {{root: \"{}\"}}}}",
        ours_root(directory).display()
    );
    if !tokens {
        return format!(
            "server: {{{keys}addr: \"{address}\"}}\nregistry: {{{storage}, auth: {{none: true}}}}\n"
        );
    }
    let pair = TestCertificate::new(TestKeyKind::P256, directory, "token");
    format!(
        "server: {{{keys}addr: \"{address}\"}}\n\
         token: {{issuer: bench, expiration: 3600, certificate: {:?}, key: {:?}}}\n\
         users: {{\"\": {{}}}}\n\
         acl: [{{match: {{account: \"\"}}, actions: [\"*\"]}}]\n\
         registry: {{{storage}}}\n",
        pair.certificate, pair.key
    )
}

/// `config` with 10,000 quotas, three of which count for `bench/push`.
fn with_quotas(config: &str) -> String {
    let own = ["*", "bench", "bench/push"].map(str::to_owned);
    let others = (own.len()..10_000).map(|number| format!("team{number}/app"));
    let quotas = own.into_iter().chain(others);
    let quotas =
        quotas.map(|prefix| format!("{{prefix: \"{prefix}\", bytes: 1TiB, tags: 1000000}}"));
    let quotas = quotas.collect::<Vec<_>>().join(", ");
    config.replace("registry: {", &format!("registry: {{quotas: [{quotas}], "))
}

/// Where ours keeps what it stores.
pub(crate) fn ours_root(directory: &Path) -> PathBuf {
    directory.join("content")
}

/// As its own example has it, but without a log of accesses, as ours has none.
fn distribution(directory: &Path, address: &str) -> String {
    format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {:?}}}, delete: {{enabled: true}}, cache: {{blobdescriptor: inmemory}}}}\n\
         http: {{addr: {address:?}, secret: bench}}\n",
        distribution_root(directory)
    )
}

/// Where Distribution keeps its repositories.
pub(crate) fn distribution_root(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// A directory that goes when it is dropped, on the disk that is built on: `/tmp` may be memory.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}
