//! A backend of each kind, which knows one account. The account has the same labels in all of them.

use std::fs;

use ::common::{Clock, SystemClock, unix_seconds};
use identity::password::Bcrypt;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use peers::{
    FerretDb, FerretDbConfig, HttpStub, Postgres, Slapd, SlapdConfig, StubAnswer, TestCertificate,
    TestKeyKind, http,
};

use crate::common::Process;
use crate::oidc_stub::{CLIENT_SECRET, OidcStub};
use crate::server::{Account, Setup};

/// The labels of `ann`, as the directory makes them.
const LABELS: &str = r#"{"group": ["dev", "Registry-Push"]}"#;

/// A program that accepts every login, whatever it is asked.
const LINES: &str = r#"
import json, sys
for line in sys.stdin:
    answer = {"id": json.loads(line)["id"], "result": "accept", "labels": LABELS}
    print(json.dumps(answer), flush=True)
"#;

/// A backend and the servers behind it.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    /// Its section of the configuration.
    pub(crate) section: String,
    account: Credentials,
    _peer: Peer,
}

enum Credentials {
    Known(Account),
    /// A user signs in by the page and gets a password.
    BySignIn(OidcStub),
}

/// Ends with the backend.
#[expect(dead_code, reason = "they only have to run")]
enum Peer {
    None,
    Slapd(Slapd),
    Postgres(Postgres),
    FerretDb(FerretDb),
    Http(HttpStub),
}

impl Backend {
    /// Users of the configuration file first.
    pub(crate) fn all(setup: &Setup) -> Vec<Self> {
        let (slapd, postgres, ferretdb) = (slapd(setup), postgres(), ferretdb());
        let bob = Account::new("bob", "secret");
        postgres.run("bench", &add_user(&bob, 5));
        add_document(&ferretdb, &bob, 5);
        let stub = OidcStub::start(unix_seconds(SystemClock.now()));
        let labels: serde_json::Value = serde_json::from_str(LABELS).unwrap();
        stub.state().claims["group"] = labels["group"].clone();
        let answering =
            HttpStub::start(|_| StubAnswer::Status(200, format!(r#"{{"labels": {LABELS}}}"#)));
        let known = |name, section, account: &Account, peer| Self {
            name,
            section,
            account: Credentials::Known(account.clone()),
            _peer: peer,
        };
        let hash = hash(&bob, 5);
        let ann = Account::new("ann", Slapd::PASSWORDS.0);
        let users = format!("users: {{bob: {{password: {hash:?}, labels: {LABELS}}}}}\n");
        vec![
            known("users of the file", users, &bob, Peer::None),
            known("`ext_auth`, `mode: lines`", lines(setup), &bob, Peer::None),
            known(
                "`http_auth`",
                format!("http_auth: {{url: {:?}}}\n", answering.url("/")),
                &bob,
                Peer::Http(answering),
            ),
            known(
                "`ldap_auth`, OpenLDAP",
                ldap(setup, slapd.port(), "none"),
                &ann,
                Peer::Slapd(slapd),
            ),
            known(
                "`xorm_auth`, PostgreSQL",
                xorm_postgres(&postgres),
                &bob,
                Peer::Postgres(postgres),
            ),
            known(
                "`xorm_auth`, SQLite",
                xorm_sqlite(setup, &bob),
                &bob,
                Peer::None,
            ),
            known(
                "`mongo_auth`, FerretDB",
                mongo(&ferretdb),
                &bob,
                Peer::FerretDb(ferretdb),
            ),
            Self {
                name: "`oidc_auth`, a named password",
                section: oidc(setup, &stub),
                account: Credentials::BySignIn(stub),
                _peer: Peer::None,
            },
        ]
    }

    /// An account that `server`, whose backend this is, knows.
    pub(crate) fn account(&self, server: &Process) -> Account {
        match &self.account {
            Credentials::Known(account) => account.clone(),
            Credentials::BySignIn(stub) => Account {
                name: "ann".to_owned(),
                password: sign_in(&server.address, stub),
            },
        }
    }
}

pub(crate) fn slapd(setup: &Setup) -> Slapd {
    let pair = TestCertificate::new(TestKeyKind::P256, setup.folder(), "slapd");
    Slapd::start(&SlapdConfig {
        tls: Some((pair.certificate, pair.key)),
        ..SlapdConfig::default()
    })
}

/// `ldap_auth` for the directory on this port.
pub(crate) fn ldap(setup: &Setup, port: u16, tls: &str) -> String {
    let folder = setup.folder();
    let password = folder.join("reader");
    fs::write(&password, Slapd::READER_PASSWORD).unwrap();
    format!(
        "ldap_auth:\n  addr: 127.0.0.1:{port}\n  tls: {tls}\n  ca_certificate: {}\n  bind_dn: {}\n  \
         bind_password_file: {}\n  base: {}\n  filter: (uid=${{account}})\n  \
         labels: {{group: {{attribute: memberOf, parse_cn: true}}}}\n",
        folder.join("slapd.pem").display(),
        Slapd::READER,
        password.display(),
        Slapd::PEOPLE,
    )
}

/// A server with the database `bench`, an owner of it, and `docker_auth`'s table of users.
pub(crate) fn postgres() -> Postgres {
    let server = Postgres::start();
    server.run("postgres", "CREATE USER bench PASSWORD 'bench'");
    server.run("postgres", "CREATE DATABASE bench OWNER bench");
    server.run("bench", &create_table(TableOf::Postgres));
    server.run("bench", "ALTER TABLE xorm_user OWNER TO bench");
    server
}

pub(crate) fn xorm_postgres(server: &Postgres) -> String {
    format!(
        "xorm_auth:\n  database_type: postgres\n  conn_string: \"host=127.0.0.1 port={} user=bench \
         password=bench dbname=bench sslmode=disable\"\n",
        server.port()
    )
}

/// The database that a table is for.
#[derive(Clone, Copy)]
pub(crate) enum TableOf {
    Postgres,
    Sqlite,
}

fn create_table(of: TableOf) -> String {
    let (id, labels) = match of {
        TableOf::Postgres => ("BIGSERIAL PRIMARY KEY", "JSON"),
        TableOf::Sqlite => ("INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL", "TEXT"),
    };
    format!(
        "CREATE TABLE xorm_user (id {id}, username VARCHAR(128) NOT NULL, \
         password_hash VARCHAR(128) NOT NULL, labels {labels})"
    )
}

/// A statement that adds an account, with bcrypt of this cost.
pub(crate) fn add_user(account: &Account, cost: u32) -> String {
    format!(
        "INSERT INTO xorm_user (username, password_hash, labels) VALUES ('{}', '{}', '{LABELS}')",
        account.name,
        hash(account, cost)
    )
}

/// A server without users of its own.
pub(crate) fn ferretdb() -> FerretDb {
    FerretDb::start(FerretDbConfig::default())
}

pub(crate) fn mongo(server: &FerretDb) -> String {
    format!(
        "mongo_auth: {{dial_info: {{uri: {:?}}}, collection: users}}\n",
        server.uri("bench")
    )
}

/// Adds an account to the collection `users`, with bcrypt of this cost.
pub(crate) fn add_document(server: &FerretDb, account: &Account, cost: u32) {
    let user = doc! {
        "username": &account.name,
        "password": hash(account, cost),
        "labels": {"group": ["dev", "Registry-Push"]},
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let client = Client::with_uri_str(server.uri("bench")).await.unwrap();
        let users = client.database("bench").collection::<Document>("users");
        users.insert_one(user).await.unwrap();
    });
}

fn hash(account: &Account, cost: u32) -> String {
    Bcrypt::hash(account.password.as_bytes(), [7; 16], cost).unwrap()
}

fn xorm_sqlite(setup: &Setup, account: &Account) -> String {
    let file = setup.folder().join("users.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    let statements = [create_table(TableOf::Sqlite), add_user(account, 5)];
    database.execute_batch(&statements.join(";")).unwrap();
    format!(
        "xorm_auth: {{database_type: sqlite, conn_string: {:?}}}\n",
        file.display().to_string()
    )
}

fn lines(setup: &Setup) -> String {
    let file = setup.folder().join("logins.py");
    fs::write(&file, LINES.replace("LABELS", LABELS)).unwrap();
    format!(
        "ext_auth: {{command: {:?}, args: [{file:?}], mode: lines}}\n",
        peers::program("python3")
    )
}

fn oidc(setup: &Setup, stub: &OidcStub) -> String {
    format!(
        "oidc_auth:\n  issuer: {}\n  redirect_url: http://localhost/oidc_auth\n  client_id: wharfinger\n  \
         client_secret: {CLIENT_SECRET:?}\n  label_claims: [group]\n  registry_url: registry.example.com\n\
         database: {{url: \"sqlite://{}/sign-ins.db\"}}\n",
        stub.issuer(),
        setup.folder().display(),
    )
}

/// Signs `ann` in as a browser does, and gives the password that the page shows.
fn sign_in(server: &str, stub: &OidcStub) -> String {
    let page = format!("http://{server}/oidc_auth");
    let start = http::get(&format!("{page}?start=1"));
    let cookie = start.header("set-cookie").unwrap();
    let (cookie, _) = cookie.split_once(';').unwrap();
    let back = stub.agree(start.header("location").unwrap());
    let header = format!("Cookie: {cookie}");
    let shown = http::request(&["-H", &header, &format!("{page}?{back}")]);
    let (_, rest) = shown.body.split_once("<code class=\"password\">").unwrap();
    rest.split_once('<').unwrap().0.to_owned()
}
