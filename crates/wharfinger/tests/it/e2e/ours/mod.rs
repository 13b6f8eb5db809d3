//! Our registry, with our token server in the same process, and every client.

mod clients;
mod servers;

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use peers::{Client, Image, Server, TestCertificate, TestKeyKind, crane, run};
use tempfile::TempDir;

use crate::e2e::world::{ADMIN, READER, crane_login, login, program, serve, with_pair};
use crate::wire::{Answer, Connection};

/// One process with both servers.
pub(crate) struct Ours {
    server: Server,
    _folder: TempDir,
}

impl Ours {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    pub(crate) fn with_refresh_tokens() -> Self {
        Self::with("refresh_tokens: {}\n")
    }

    /// With accounts and rules in the database, and the API.
    pub(crate) fn with_accounts() -> Self {
        Self::with("accounts: {}\n")
    }

    /// With `more` at the end of the configuration.
    fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = with_pair(include_str!("../ours.yml"), &pair);
        let config = config.replace("@folder@", folder.path().to_str().unwrap());
        Self {
            server: serve(&format!("{config}{more}")),
            _folder: folder,
        }
    }

    pub(crate) fn host(&self) -> String {
        self.server.host_port()
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.server.config()
    }

    /// What `wharfinger sessions list` prints.
    pub(crate) fn sessions(&self) -> serde_json::Value {
        let mut list = Command::new(program());
        let list = list.args(["sessions", "list", "--json"]);
        let listed = run(list.arg(self.server.config()));
        serde_json::from_str(listed.succeeded()).unwrap()
    }

    pub(crate) fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
        Connection::open(&self.host()).request(method, url, headers, None)
    }

    /// The header with a token that `user` gets for these scopes.
    fn bearer(&self, basic: &str, scope: &str) -> String {
        let answer = self.ask(
            "GET",
            &format!("/auth?service=wharfinger&{scope}"),
            &[("Authorization", basic)],
        );
        format!("Bearer {}", answer.json()["token"].as_str().unwrap())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the server's log:\n{}", self.server.log());
        }
    }
}

const ADMIN_BASIC: &str = "Basic YWRtaW46YmFkbWlu";
const READER_BASIC: &str = "Basic cmVhZGVyOmxvb2stb25seQ==";
const PLAIN: &str = "--tls-verify=false";

#[test]
fn the_six_steps_by_hand() {
    let ours = Ours::start();
    let image = Image::saying("by hand");
    let admin = crane_for(&ours, ADMIN);
    admin
        .run(&[
            "push",
            &layout(&image),
            &format!("{}/odewahn/myalpine:latest", ours.host()),
        ])
        .succeeded();
    // 1 and 2: without a token, what to bring.
    let refused = ours.ask("GET", "/v2/odewahn/myalpine/manifests/latest", &[]);
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(
        refused.header("docker-distribution-api-version"),
        Some("registry/2.0")
    );
    let challenge = refused.header("www-authenticate").unwrap();
    let expected =
        r#"Bearer realm="REALM",service="wharfinger",scope="repository:odewahn/myalpine:pull""#;
    // The request named its host `test`, and so does the realm.
    assert_eq!(challenge, expected.replace("REALM", "http://test/auth"));
    let error = &refused.json()["errors"][0];
    assert_eq!(
        (&error["code"], &error["message"]),
        (&"UNAUTHORIZED".into(), &"authentication required".into())
    );
    assert_eq!(error["detail"][0]["Action"], "pull");
    assert_eq!(
        (&error["detail"][0]["Name"], &error["detail"][0]["Type"]),
        (&"odewahn/myalpine".into(), &"repository".into())
    );
    // 3 and 4: the token. 5 and 6: the manifest.
    let bearer = ours.bearer(READER_BASIC, "scope=repository:odewahn/myalpine:pull");
    let manifest = ours.ask(
        "GET",
        "/v2/odewahn/myalpine/manifests/latest",
        &[("Authorization", &bearer)],
    );
    assert_eq!(
        (manifest.status, manifest.header("docker-content-digest")),
        (200, Some(image.digest()))
    );
    assert_eq!(
        manifest.header("content-type"),
        Some(oci::media_type::OCI_MANIFEST)
    );
    assert_eq!(
        manifest.header("docker-distribution-api-version"),
        Some("registry/2.0")
    );
    let etag = format!("\"{}\"", image.digest());
    assert_eq!(manifest.header("etag"), Some(etag.as_str()));
}

#[test]
fn each_user_has_a_catalog_of_their_own() {
    let ours = Ours::start();
    let (admin, image) = (crane_for(&ours, ADMIN), Image::saying("catalog"));
    for name in ["public/hello", "secret/plan", "team/app"] {
        admin
            .run(&[
                "push",
                &layout(&image),
                &format!("{}/{name}:1", ours.host()),
            ])
            .succeeded();
    }
    let list = |bearer: &str| {
        let answer = ours.ask("GET", "/v2/_catalog", &[("Authorization", bearer)]);
        (answer.status, answer.body)
    };
    let catalog = "account=user&client_id=docker&offline_token=true&scope=registry:catalog:*";
    let all = r#"{"repositories":["public/hello","secret/plan","team/app"]}"#;
    assert_eq!(
        list(&ours.bearer(ADMIN_BASIC, &catalog.replace("user", "admin"))),
        (200, all.to_owned())
    );
    let some = r#"{"repositories":["public/hello","team/app"]}"#;
    assert_eq!(
        list(&ours.bearer(READER_BASIC, &catalog.replace("user", "reader"))),
        (200, some.to_owned())
    );
    let anonymous = ours.ask(
        "GET",
        "/auth?service=wharfinger&scope=registry:catalog:*",
        &[],
    );
    let anonymous = format!("Bearer {}", anonymous.json()["token"].as_str().unwrap());
    assert_eq!(
        list(&anonymous),
        (200, r#"{"repositories":["public/hello"]}"#.to_owned())
    );
    assert_eq!(ours.ask("GET", "/v2/_catalog", &[]).status, 401);
    assert_eq!(
        crane_for(&ours, READER)
            .run(&["catalog", &ours.host()])
            .succeeded(),
        "public/hello\nteam/app"
    );
}

fn crane_for(ours: &Ours, (user, password): (&str, &str)) -> Client {
    let crane = crane();
    crane_login(&crane, (user, password), &ours.host());
    crane
}

fn logged_in(client: Client, user: (&str, &str), host: &str) -> Client {
    login(&client, &[PLAIN], user, host).succeeded();
    client
}

fn layout(image: &Image) -> String {
    image.layout().display().to_string()
}
