//! The audit table of the program: what is recorded of clients, what a crash and a full disk leave, and
//! what the commands and the API make of it.

mod answers;
mod commands;
mod crashes;
mod kinds;

use std::path::{Path, PathBuf};
use std::process::Command;

use peers::{Output, Server, TestCertificate, TestKeyKind, run_with_input};
use serde_json::Value;
use tempfile::TempDir;

use crate::personal_tokens::basic;
use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// bcrypt of `badmin`.
const ADMIN: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const FLUSH: &str = "flush: 100ms";

/// A token server and a registry that record events.
struct Audited {
    server: Server,
    /// Where the registry's content is, and usually the database.
    folder: TempDir,
}

impl Audited {
    /// With these settings of `audit`.
    fn new(audit: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().to_owned();
        Self::with_database(folder, &database, audit)
    }

    fn with_database(folder: TempDir, database: &Path, audit: &str) -> Self {
        let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = format!(
            "server: {{addr: '@addr@'}}\n\
             token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
             users: {{admin: {{password: '{ADMIN}'}}, eve: {{password: '{ADMIN}'}}, '': {{}}}}\n\
             acl:\n\
             - match: {{account: admin, type: wharfinger}}\n  actions: ['*']\n\
             - match: {{account: admin}}\n  actions: ['*']\n\
             - match: {{account: '/.*/', name: 'public/*'}}\n  actions: [pull]\n\
             database: {{url: 'sqlite://{}'}}\n\
             registry: {{storage: {{filesystem: {{root: '{}'}}}}}}\n\
             audit: {{{audit}}}\n",
            pair.certificate.display(),
            pair.key.display(),
            database.join("wharfinger.db").display(),
            folder.path().join("content").display(),
        );
        let server = Server::start(Path::new(PROGRAM), &config);
        Self { server, folder }
    }

    /// Starts again with the same configuration.
    fn restart(self) -> Self {
        let text = std::fs::read_to_string(self.server.config()).unwrap();
        let text = text.replace(&self.server.host_port(), "@addr@");
        let server = Server::start(Path::new(PROGRAM), &text);
        Self {
            server,
            folder: self.folder,
        }
    }

    fn file(&self) -> PathBuf {
        self.server.config()
    }

    /// `wharfinger WORDS`, with the configuration for `FILE`.
    fn run(&self, words: &[&str]) -> Output {
        self.run_with_input(words, "")
    }

    fn run_with_input(&self, words: &[&str], input: &str) -> Output {
        let file = self.file();
        let words = words.iter().map(|word| match *word {
            "FILE" => file.to_str().unwrap(),
            word => word,
        });
        let mut command = Command::new(PROGRAM);
        let home = self.folder.path();
        command
            .args(words)
            .env("HOME", home)
            .env("DOCKER_CONFIG", home);
        run_with_input(&mut command, input)
    }

    /// The events that are recorded, in their order, of this kind.
    fn events(&self, kind: &str) -> Vec<Value> {
        let exported = self.run(&["audit", "export", "FILE"]);
        let lines = exported.succeeded().lines();
        let events = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["event"] == kind).collect()
    }

    /// As [`events`](Self::events), once there are so many.
    fn wait_for(&self, kind: &str, count: usize) -> Vec<Value> {
        loop {
            let events = self.events(kind);
            if events.len() >= count {
                return events;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn login(&self, authorization: &str, query: &str) -> Answer {
        let url = format!("/auth?service=wharfinger&{query}");
        let mut connection = Connection::open(&self.server.host_port());
        let headers = [
            ("Authorization", authorization),
            ("User-Agent", "by-hand/1"),
        ];
        connection.request("GET", &url, &headers, None)
    }

    fn bearer(&self, authorization: &str, scope: &str) -> String {
        let answer = self.login(authorization, &format!("scope={scope}"));
        format!("Bearer {}", answer.json()["token"].as_str().unwrap())
    }

    fn admin(&self, scope: &str) -> String {
        self.bearer(&basic("admin", "badmin"), scope)
    }

    fn send(&self, (method, path): (&str, &str), bearer: &str, body: &str) -> Answer {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: {bearer}\r\nContent-Type: {INDEX}\r\n\
             User-Agent: by-hand/1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut connection = Connection::open(&self.server.host_port());
        connection.send(request.as_bytes()).unwrap();
        connection.answer(method == "HEAD").unwrap()
    }

    /// Pushes an index that is not there yet, and returns its digest.
    fn push(&self, repository: &str, tag: &str, number: usize) -> String {
        let bearer = self.admin(&format!("repository:{repository}:pull,push"));
        let body = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[],\"annotations\":{{\"n\":\"{number}\"}}}}"
        );
        let path = format!("/v2/{repository}/manifests/{tag}");
        let pushed = self.send(("PUT", &path), &bearer, &body);
        assert_eq!(pushed.status, 201, "{}", pushed.body);
        pushed.header("docker-content-digest").unwrap().to_owned()
    }

    fn pull(&self, bearer: &str, repository: &str, reference: &str) -> u16 {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.send(("GET", &path), bearer, "").status
    }
}
