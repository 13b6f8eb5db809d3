//! A server with one backend, and registry 2.8 that trusts its tokens.

use std::path::Path;

use data_encoding::BASE64;
use peers::{
    Auth, RegistryConfig, RunningRegistry, Server, TestCertificate, TestKeyKind, Trust, registry2,
};
use tempfile::TempDir;

use super::cases::{BackendCase, PASSWORD, TestUser};
use crate::sign_in::{shown_password, sign_in_by_page};
use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Each login asks the backend, and as many may fail as a test wants. The log has all that there is.
const CONFIG: &str = r#"
server: {addr: "@addr@", log: {level: trace}}
token: {issuer: "Acme auth server", expiration: 900, certificate: @folder@/token.pem, key: @folder@/token.key}
login: {remember: 0, per_account: off, per_address: off}
refresh_tokens: {}
database: {url: "sqlite://@folder@/wharfinger.db"}
registry: {storage: {filesystem: {root: "@folder@/data"}}}
"#;

/// The token server and the registry in one process.
pub(super) struct RunningBackend {
    pub(super) server: Server,
    pub(super) password: String,
    token: TestCertificate,
    _folder: TempDir,
}

impl RunningBackend {
    pub(super) fn start(case: &BackendCase) -> Self {
        let mut running = Self::with(&case.sections, PASSWORD);
        if let TestUser::SignsIn { page, agree } = &case.user {
            let page = sign_in_by_page(&running.server, page, agree);
            running.password = shown_password(&page);
        }
        running
    }

    /// A server with these sections.
    pub(super) fn with(sections: &str, password: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = CONFIG.replace("@folder@", folder.path().to_str().unwrap()) + sections;
        Self {
            server: Server::start(Path::new(PROGRAM), &config),
            password: password.to_owned(),
            token,
            _folder: folder,
        }
    }

    /// Registry 2.8, which sends its clients to the token server.
    pub(super) fn registry_2(&self) -> RunningRegistry {
        let auth = Auth::Token {
            realm: self.server.realm("/auth"),
            service: "registry 2".to_owned(),
            issuer: "Acme auth server".to_owned(),
            trust: Trust::Bundle(self.token.certificate.clone()),
        };
        registry2(&RegistryConfig {
            auth,
            ..RegistryConfig::default()
        })
    }

    pub(super) fn log_in(&self, account: &str, password: &str) -> Answer {
        log_in(&self.server.host_port(), account, password)
    }

    pub(super) fn refresh(&self, token: &str) -> Answer {
        let body = format!(
            "grant_type=refresh_token&service=s&scope=repository:red/a:pull&refresh_token={token}"
        );
        Connection::open(&self.server.host_port()).request("POST", "/auth", &[], Some(&body))
    }
}

/// The value of a header with a login.
pub(super) fn basic(account: &str, password: &str) -> String {
    BASE64.encode(format!("{account}:{password}").as_bytes())
}

pub(super) fn log_in(server: &str, account: &str, password: &str) -> Answer {
    let header = format!("Basic {}", basic(account, password));
    let url = "/auth?service=s&offline_token=true&scope=repository:red/a:pull,push\
               &scope=repository:blue/a:pull";
    Connection::open(server).request("GET", url, &[("Authorization", &header)], None)
}
