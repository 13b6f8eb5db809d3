//! Users and rules in MongoDB, with files as docker_auth's users have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use peers::{
    FerretDb, FerretDbConfig, Output, Server, TestCertificate, TestKeyKind, run_with_input,
    wait_until,
};
use tempfile::TempDir;

use crate::token_login::{anonymous, basic, log_in};
use crate::wire::{Connection, get};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// bcrypt of `badmin`.
const JOE: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";
/// bcrypt of another password.
const OTHER: &str = "$2y$05$WuwBasGDAgr.QCbGIjKJaep4dhxeai9gNZdmBnQXqpKly57oNutya";

/// MongoDB with a login, a key that signs tokens, and the password in a file.
struct Bench {
    mongo: FerretDb,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        fs::write(
            folder.path().join("password"),
            format!(" {}\n", FerretDb::PASSWORD),
        )
        .unwrap();
        let mongo = FerretDb::start(FerretDbConfig {
            tls: None,
            login: true,
        });
        Self { mongo, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The beginning of a configuration.
    fn head(&self, level: &str) -> String {
        format!(
            "server: {{addr: '@addr@', log: {{level: {level}}}}}\n\
             token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n",
            self.file("token.pem").display(),
            self.file("token.key").display()
        )
    }

    /// The servers, key by key.
    fn dial_info(&self) -> String {
        format!(
            "dial_info: {{addrs: ['{}'], database: auth, timeout: 60s, failfast: true, username: {}, \
             password: n0t-this-one, password_file: {}}}",
            self.mongo.host_port(),
            FerretDb::USER,
            self.file("password").display()
        )
    }

    /// Does something with a collection.
    fn with<T>(&self, name: &str, work: impl AsyncFnOnce(Collection<Document>) -> T) -> T {
        with_collection(&self.mongo, "auth", name, work)
    }

    fn insert(&self, collection: &str, document: Document) {
        insert(&self.mongo, "auth", collection, document);
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        run_with_input(command.args(arguments).current_dir(&self.folder), input)
    }
}

/// Does something with a collection of a database.
fn with_collection<T>(
    server: &FerretDb,
    database: &str,
    name: &str,
    work: impl AsyncFnOnce(Collection<Document>) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let client = Client::with_uri_str(server.uri(database)).await.unwrap();
        work(client.database(database).collection(name)).await
    })
}

/// Puts a document into a collection.
pub(crate) fn insert(server: &FerretDb, database: &str, collection: &str, document: Document) {
    with_collection(server, database, collection, async |collection| {
        collection.insert_one(document).await.unwrap();
    });
}

fn joe() -> Document {
    doc! {"username": "joe", "password": JOE, "labels": {"team": ["red"]}}
}

/// Two clients, a login at MongoDB, the server killed in the middle, a reload, and no secret in the
/// most talkative log.
#[test]
fn the_documents_of_docker_auth_with_the_server_killed_in_the_middle() {
    let mut bench = Bench::new();
    bench.insert("users", joe());
    bench.insert(
        "acl",
        doc! {"seq": 30, "match": {}, "actions": ["pull"], "comment": "the rest"},
    );
    let red = doc! {"labels": {"team": "red"}, "name": "red/*"};
    bench.insert("acl", doc! {"seq": 10.0, "match": red, "actions": ["*"]});
    let config = bench.head("trace")
        + &format!(
            "users: {{'': {{}}}}\nmongo_auth: {{{}, collection: users}}\n\
             acl_mongo: {{dial_info: {{uri: '{}', timeout: 60s, failfast: true}}, collection: acl, cache_ttl: 1h}}\n\
             login: {{remember: 0s}}\n",
            bench.dial_info(),
            bench.mongo.uri("auth")
        );
    let mut server = Server::start(Path::new(PROGRAM), &config);
    server.wait_for_log("rules were loaded");

    let both = "scope=repository:red/app:pull,push&scope=repository:blue:pull,push";
    let wrong = log_in(&server, "joe", "wr0ng", both);
    assert_eq!(wrong.status, 401, "{}", wrong.body);
    let right = log_in(&server, "joe", "badmin", both);
    assert_eq!(
        right.json()["scope"],
        "repository:red/app:pull,push repository:blue:pull"
    );
    server.wait_for_log("acl_mongo seq 10 acl_mongo seq 30");
    assert_eq!(log_in(&server, "unknown", "secret", both).status, 401);

    bench.mongo.kill();
    let away = log_in(&server, "joe", "badmin", both);
    assert_eq!((away.status, away.header("retry-after")), (503, Some("5")));
    let id = away.header("x-request-id").unwrap();
    let reveals = away.body.contains("127.0.0.1");
    assert!(away.body.contains(id) && !reveals, "{}", away.body);
    // The rules stay, also in a new configuration that has the same section.
    let pull = (200, "repository:a:pull".to_owned());
    assert_eq!(anonymous(&server, "repository:a:pull"), pull);
    server.rewrite(&config.replace("expiration: 900", "expiration: 800"));
    server.hang_up();
    wait_until(|| get(&server.host_port(), "/auth").json()["expires_in"] == 800);
    assert_eq!(anonymous(&server, "repository:a:pull"), pull);
    assert_eq!(get(&server.host_port(), "/readyz").status, 200);

    bench.mongo.start_again();
    while log_in(&server, "joe", "badmin", both).status == 503 {}
    assert_eq!(log_in(&server, "joe", "badmin", both).status, 200);
    let log = server.log();
    for secret in [
        FerretDb::PASSWORD,
        FerretDb::ENCODED_PASSWORD,
        "n0t-this-one",
        "badmin",
        "wr0ng",
        JOE,
        &basic("joe", "badmin")[6..],
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn a_server_starts_without_mongodb_and_rules_are_refreshed() {
    let mut bench = Bench::new();
    bench.insert("users", joe());
    bench.insert("acl", doc! {"seq": 5, "match": {}, "actions": ["pull"]});
    bench.mongo.kill();
    let config = bench.head("info")
        + &format!(
            "users: {{'': {{}}}}\nmongo_auth: {{{0}, collection: users}}\n\
             acl_mongo: {{{0}, collection: acl, cache_ttl: 1s}}\n",
            bench.dial_info()
        );
    let mut server = Server::start(Path::new(PROGRAM), &config);
    server.wait_for_log("rules cannot be loaded");
    let scope = "repository:a:pull,push";
    assert_eq!(anonymous(&server, scope).0, 503);
    assert_eq!(log_in(&server, "joe", "badmin", "").status, 503);
    assert_eq!(get(&server.host_port(), "/readyz").status, 503);

    bench.mongo.start_again();
    server.wait_for_log("rules were loaded");
    assert_eq!(anonymous(&server, scope), (200, "repository:a:pull".into()));
    while log_in(&server, "joe", "badmin", "").status != 200 {}
    assert_eq!(get(&server.host_port(), "/readyz").status, 200);

    bench.insert(
        "acl",
        doc! {"seq": 1, "match": {"name": "/(/"}, "actions": ["push"]},
    );
    server.wait_for_log("seq 1: match.name: ");
    assert_eq!(anonymous(&server, scope), (200, "repository:a:pull".into()));
    bench.with("acl", async |acl| {
        let mended = doc! {"$set": {"match": {}}};
        acl.update_one(doc! {"seq": 1}, mended).await.unwrap();
    });
    wait_until(|| anonymous(&server, scope) == (200, "repository:a:push".into()));
    bench.with("acl", async |acl| {
        acl.delete_many(doc! {}).await.unwrap();
    });
    server.wait_for_log("there are no rules");
    wait_until(|| anonymous(&server, scope) == (200, String::new()));
}

#[test]
fn a_refresh_token_ends_with_the_password_and_labels_are_those_of_today() {
    let bench = Bench::new();
    bench.insert("users", joe());
    let config = bench.head("info")
        + &format!(
            "mongo_auth: {{{}, collection: users}}\n\
             acl: [{{match: {{labels: {{team: red}}}}, actions: [pull]}}]\n\
             database: {{url: 'sqlite://{}'}}\n",
            bench.dial_info(),
            bench.file("sessions.db").display()
        );
    let server = Server::start(Path::new(PROGRAM), &config);
    let token = log_in(&server, "joe", "badmin", "offline_token=true").json();
    let token = token["refresh_token"].as_str().unwrap();
    let redeem = || {
        let body = format!(
            "grant_type=refresh_token&refresh_token={token}&service=reg&scope=repository:a:pull"
        );
        let mut connection = Connection::open(&server.host_port());
        let answer = connection.request("POST", "/auth", &[], Some(&body));
        let scope = match answer.status {
            200 => answer.json()["scope"].as_str().unwrap().to_owned(),
            _ => String::new(),
        };
        (answer.status, scope)
    };
    let set = |change: Document| {
        bench.with("users", async |users| {
            let change = doc! {"$set": change};
            users
                .update_one(doc! {"username": "joe"}, change)
                .await
                .unwrap();
        });
    };
    assert_eq!(redeem(), (200, "repository:a:pull".into()));
    set(doc! {"labels": {"team": "blue"}});
    assert_eq!(redeem(), (200, String::new()));
    set(doc! {"password": OTHER});
    assert_eq!(redeem().0, 401);
}

#[test]
fn check_and_explain_ask_mongodb() {
    let mut bench = Bench::new();
    bench.insert("users", joe());
    bench.insert(
        "acl",
        doc! {"seq": 10, "match": {"account": "ann"}, "actions": []},
    );
    let all = doc! {"seq": 20, "match": {"name": "a"}, "actions": ["pull"], "comment": "All."};
    bench.insert("acl", all);
    let config = bench.head("info").replace("@addr@", "127.0.0.1:0")
        + &format!(
            "mongo_auth: {{{0}, collection: users}}\nacl_mongo: {{{0}, collection: acl}}\n",
            bench.dial_info()
        );
    fs::write(bench.file("auth.yml"), config).unwrap();
    let checked = bench.run(&["check", "--connect", "auth.yml"], "");
    let asked = "\nmongo_auth: connected; the collection can be read\nacl_mongo: 2 rules";
    assert!(checked.succeeded().ends_with(asked), "{checked}");
    let explain = |password: &str| {
        let arguments = [
            "--account",
            "joe",
            "--password-stdin",
            "repository:a:pull,push",
        ];
        let arguments: Vec<_> = ["explain", "auth.yml"]
            .into_iter()
            .chain(arguments)
            .collect();
        bench.run(&arguments, password)
    };
    let text = explain("badmin\n");
    let text = text.succeeded();
    for line in [
        "joe is accepted by mongo_auth",
        "label team: red (from mongo_auth)",
        "decided by acl_mongo seq 20: All.",
        "not by acl_mongo seq 10: account: \"ann\"",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let wrong = explain("wrong\n");
    assert!(wrong.stdout.contains("mongo_auth: rejects"), "{wrong}");
    let rules = bench.run(&["explain", "auth.yml", "repository:a:pull"], "");
    assert!(
        rules.succeeded().contains("decided by acl_mongo seq 20"),
        "{rules}"
    );
    bench.mongo.kill();
    let away = bench.run(&["check", "--connect", "auth.yml"], "");
    assert_eq!(away.status.code(), Some(1));
    let address = bench.mongo.host_port();
    let expected = format!(
        "mongo_auth: error: the database cannot be reached: {address}: Connection refused (os error 111)\n"
    );
    assert!(away.stdout.contains(&expected), "{away}");
}
