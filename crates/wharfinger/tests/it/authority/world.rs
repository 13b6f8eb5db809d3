//! Every server in one process, with what `ann` owns, and three clients that ask for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Clock, SystemClock, unix_seconds};
use data_encoding::BASE64;
use peers::{Output, Server, TestCertificate, TestKeyKind, run, run_with_input};
use serde_json::Value;
use tempfile::TempDir;

use crate::oidc_stub::{CLIENT_SECRET, OidcStub};
use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// All passwords are `sesame`.
const CONFIG: &str = r#"
server: {addr: "@addr@", limits: {request_timeout: 2s}}
token: {issuer: Acme, expiration: 900, certificate: "@folder@/token.pem", key: "@folder@/token.key"}
users:
  ann: {password: "$2b$04$U6Ek8MxpXUzZitZIW13AqeCjpSV4WMvQzrn0qdVJ7NTSK2BXum2VW"}
  bob: {password: "$2b$04$U6Ek8MxpXUzZitZIW13AqeCjpSV4WMvQzrn0qdVJ7NTSK2BXum2VW"}
  root: {password: "$2b$04$U6Ek8MxpXUzZitZIW13AqeCjpSV4WMvQzrn0qdVJ7NTSK2BXum2VW"}
acl:
  - {match: {account: root, type: wharfinger}, actions: ["*"]}
  - {match: {account: "/.+/", name: "${account}/*"}, actions: [pull, push, delete]}
oidc_auth:
  issuer: @issuer@
  redirect_url: http://localhost/oidc_auth
  client_id: wharfinger
  client_secret: "@secret@"
refresh_tokens: {}
database: {url: "sqlite://@folder@/wharfinger.db"}
registry: {storage: {filesystem: {root: "@folder@/data"}}}
"#;

/// A method of a path of the API.
pub(super) struct Operation {
    pub(super) method: String,
    /// As the OpenAPI document has it: `/users/{name}`.
    pub(super) path: String,
}

/// What a client was answered.
pub(super) struct Asked {
    /// As the table has it.
    pub(super) text: String,
    pub(super) is_refused: bool,
}

/// The servers.
pub(super) struct World {
    server: Server,
    /// The ids of what `ann` has.
    token: String,
    session: String,
    _stub: OidcStub,
    folder: TempDir,
}

impl World {
    pub(super) fn start() -> Self {
        Self::with("")
    }

    /// With `more` at the end of the configuration.
    pub(super) fn with(more: &str) -> Self {
        let stub = OidcStub::start(unix_seconds(SystemClock.now()));
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = CONFIG
            .replace("@folder@", folder.path().to_str().unwrap())
            .replace("@issuer@", &stub.issuer())
            .replace("@secret@", CLIENT_SECRET)
            + more;
        let mut world = Self {
            server: Server::start(Path::new(PROGRAM), &config),
            token: String::new(),
            session: String::new(),
            _stub: stub,
            folder,
        };
        let add = ["carol", "--password-stdin"];
        world.command(&["user", "add"], &add, "sesame").succeeded();
        world
            .command(&["rule", "add"], &["--name", "x", "--deny"], "")
            .succeeded();
        let scope = ["--scope", "repository:ann/*:pull"];
        let robot = [&["ci", "--owner", "ann"][..], &scope].concat();
        world.command(&["robot", "add"], &robot, "").succeeded();
        let token = [&["--user", "ann", "--name", "laptop", "--json"][..], &scope].concat();
        let token = world.command(&["personal-token", "create"], &token, "");
        let token: Value = serde_json::from_str(token.succeeded()).unwrap();
        world.token = token["id"].as_str().unwrap().to_owned();
        world.get_token("ann", "service=registry&offline_token=true&client_id=c");
        let listed = world.command(&["sessions", "list"], &["--json"], "");
        let listed: Value = serde_json::from_str(listed.succeeded()).unwrap();
        world.session = listed[0]["id"].as_str().unwrap().to_owned();
        world
    }

    /// Every operation of the API, from the document that the server has.
    pub(super) fn operations(&self) -> Vec<Operation> {
        let document = self.send("GET", "/api/v1/openapi.json", None, None).json();
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                let method = method.to_ascii_uppercase();
                if ["GET", "PUT", "POST", "DELETE", "PATCH"].contains(&method.as_str()) {
                    let path = path.strip_prefix("/api/v1").unwrap_or(path).to_owned();
                    operations.push(Operation { method, path });
                }
            }
        }
        assert!(operations.len() > 5, "{document}");
        operations.sort_by_key(|operation| (operation.path.clone(), operation.method.clone()));
        operations
    }

    /// Asks for an operation on what `ann` has: without a token; with a token of `bob` for the API that
    /// grants nothing there; and with one that grants what every account may.
    pub(super) fn ask_api(&self, operation: &Operation) -> [Asked; 3] {
        let mut path = format!("/api/v1{}", operation.path);
        let user = match operation.path.starts_with("/robots") {
            true => "ci",
            false => "carol",
        };
        let id = match operation.path.starts_with("/sessions") {
            true => &self.session,
            false => &self.token,
        };
        for (parameter, value) in [("{name}", user), ("{id}", id), ("{number}", "1")] {
            path = path.replace(parameter, value);
        }
        assert!(!path.contains('{'), "name an object of ann's for {path}");
        if (operation.method.as_str(), operation.path.as_str()) == ("DELETE", "/sessions") {
            path += "?account=ann";
        }
        let is_change = operation.method != "GET";
        let media_type = match operation.method.as_str() {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let body = is_change.then_some((media_type, "{}"));
        let nothing = self.get_token(
            "bob",
            "service=wharfinger-api&scope=repository:bob/app:pull",
        );
        let own = self.get_token(
            "bob",
            "service=wharfinger-api&scope=wharfinger:own:read,revoke",
        );
        [None, Some(nothing), Some(own)].map(|token| {
            let authorization = token.map(|token| format!("Bearer {token}"));
            asked(&self.send(&operation.method, &path, authorization.as_deref(), body))
        })
    }

    /// Asks a server for what is `ann`'s.
    pub(super) fn ask(
        &self,
        server: &str,
        method: &str,
        path: &str,
        form: Option<&str>,
    ) -> [Asked; 3] {
        let bearer = |account, scope: &str| {
            let query = format!("service=wharfinger&scope={scope}");
            Some(format!("Bearer {}", self.get_token(account, &query)))
        };
        let authorizations = match server {
            "registry" => [
                None,
                bearer("ann", "repository:ann/other:pull"),
                bearer("bob", "repository:bob/app:pull,push,delete"),
            ],
            _ => [
                None,
                Some(basic("ann", "wrong")),
                Some(basic("bob", "sesame")),
            ],
        };
        let body = form.map(|form| ("application/x-www-form-urlencoded", form));
        authorizations
            .map(|authorization| asked(&self.send(method, path, authorization.as_deref(), body)))
    }

    /// A token of `root` that opens the whole API.
    pub(super) fn root_token(&self) -> String {
        let names = [
            "users",
            "robots",
            "tokens",
            "rules",
            "immutable-tags",
            "sessions",
            "notifications",
        ];
        let scopes = names.map(|name| format!("&scope=wharfinger:{name}:read,write"));
        let others = ["audit", "quotas", "trust", "explain"];
        let others = others.map(|name| format!("&scope=wharfinger:{name}:read"));
        let query = format!(
            "service=wharfinger-api{}{}",
            scopes.concat(),
            others.concat()
        );
        self.get_token("root", &query)
    }

    /// The file with the key that signs its tokens.
    pub(super) fn key_file(&self) -> PathBuf {
        self.folder.path().join("token.key")
    }

    pub(super) fn host_port(&self) -> String {
        self.server.host_port()
    }

    pub(super) fn log(&self) -> String {
        self.server.log()
    }

    pub(super) fn get_token(&self, account: &str, query: &str) -> String {
        let authorization = basic(account, "sesame");
        let answer = self.send("GET", &format!("/auth?{query}"), Some(&authorization), None);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        body: Option<(&str, &str)>,
    ) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n");
        if let Some(authorization) = authorization {
            request += &format!("Authorization: {authorization}\r\n");
        }
        if let Some((media_type, body)) = body {
            let length = body.len();
            request += &format!("Content-Type: {media_type}\r\nContent-Length: {length}\r\n");
        }
        request += "\r\n";
        request += body.map_or("", |(_, body)| body);
        let mut connection = Connection::open(&self.server.host_port());
        connection.send(request.as_bytes()).unwrap();
        connection.answer(method == "HEAD").unwrap()
    }

    pub(super) fn command(&self, words: &[&str], more: &[&str], input: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args(words).arg(self.server.config()).args(more);
        match input {
            "" => run(&mut command),
            input => run_with_input(&mut command, input),
        }
    }
}

fn basic(account: &str, password: &str) -> String {
    let login = format!("{account}:{password}");
    format!("Basic {}", BASE64.encode(login.as_bytes()))
}

/// The status, and what a challenge asks for: `401 Bearer invalid_token wharfinger:users:read`. Of a
/// token, what it grants; of a list, how much is in it.
fn asked(answer: &Answer) -> Asked {
    let mut text = answer.status.to_string();
    let mut is_refused = matches!(answer.status, 401 | 403 | 404);
    if let Some(challenge) = answer.header("www-authenticate") {
        let scheme = challenge.split(' ').next().unwrap();
        text += &format!(" {scheme}");
        for name in ["error", "scope"] {
            let value = challenge.split_once(&format!("{name}=\""));
            if let Some((_, value)) = value {
                text += &format!(" {}", value.split('"').next().unwrap());
            }
        }
    }
    let json: Option<Value> = serde_json::from_str(&answer.body).ok();
    if answer.status == 200
        && let Some(json) = &json
    {
        if json["token"].is_string() {
            let granted = json["scope"].as_str().unwrap_or_default();
            is_refused = granted.is_empty();
            text += &format!(" grants {granted:?}");
        }
        if let Some(items) = json["items"].as_array() {
            text += &format!(" {} items", items.len());
        }
    }
    Asked { text, is_refused }
}
