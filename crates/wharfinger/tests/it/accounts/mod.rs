//! Accounts and rules in the database: changed by commands while the server runs, with clients that
//! notice it.

mod commands;
mod concurrent;
mod life;
mod policy_diff;

use std::path::{Path, PathBuf};
use std::process::Command;

use peers::{Output, Server, TestCertificate, TestKeyKind, run_with_input};
use tempfile::TempDir;

use crate::token_login::log_in;
use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

const SCOPE: &str = "repository:bob/app:pull,push";

/// bcrypt of `badmin`.
const ADMIN: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";

/// A token server with a database, and the commands beside it.
struct Installation {
    server: Server,
    file: PathBuf,
    _folder: TempDir,
}

impl Installation {
    /// Logins are remembered for an hour, so that only a change of an account ends one.
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = format!(
            "server: {{addr: '@addr@', log: {{format: json}}}}\n\
             token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
             users: {{admin: {{password: '{ADMIN}'}}}}\n\
             acl: [{{match: {{account: admin}}, actions: ['*']}}]\n\
             database: {{url: 'sqlite://{}'}}\nlogin: {{remember: 1h}}\n{more}",
            pair.certificate.display(),
            pair.key.display(),
            folder.path().join("wharfinger.db").display(),
        );
        let server = Server::start(Path::new(PROGRAM), &config);
        Self {
            file: server.config(),
            server,
            _folder: folder,
        }
    }

    /// Runs `wharfinger WORDS… FILE MORE…` with `input`.
    fn run(&self, words: &[&str], more: &[&str], input: &str) -> Output {
        let mut command = command(words, &self.file);
        run_with_input(command.args(more), input)
    }

    /// Runs a command whose JSON is printed.
    fn json(&self, words: &[&str], more: &[&str], input: &str) -> serde_json::Value {
        let more = [more, &["--json"]].concat();
        serde_json::from_str(self.run(words, &more, input).succeeded()).unwrap()
    }

    fn add(&self, name: &str, password: &str) {
        self.run(&["user", "add"], &[name, "--password-stdin"], password)
            .succeeded();
    }

    fn token(&self, account: &str, password: &str, scope: &str) -> Answer {
        let query = format!("scope={scope}");
        log_in(&self.server, account, password, &query)
    }

    /// What `account` is granted of `scope`.
    fn granted(&self, account: &str, password: &str, scope: &str) -> String {
        let answer = self.token(account, password, scope);
        answer.json()["scope"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Asks for a token with a refresh token.
    fn refresh(&self, token: &str) -> u16 {
        let form =
            format!("grant_type=refresh_token&service=reg&client_id=test&refresh_token={token}");
        let mut connection = Connection::open(&self.server.host_port());
        connection.request("POST", "/auth", &[], Some(&form)).status
    }

    /// A refresh token, as `docker login` asks for one.
    fn session(&self, account: &str, password: &str) -> String {
        let form = format!(
            "grant_type=password&service=reg&client_id=test&access_type=offline&username={account}&\
             password={password}"
        );
        let mut connection = Connection::open(&self.server.host_port());
        let answer = connection.request("POST", "/auth", &[], Some(&form));
        answer.json()["refresh_token"].as_str().unwrap().to_owned()
    }
}

fn command(words: &[&str], file: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words).arg(file);
    command
}
