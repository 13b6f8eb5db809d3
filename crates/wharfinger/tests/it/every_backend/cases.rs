//! A case for each backend. All know the account `ann`, and let her do everything below `red`.

use std::any::Any;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use identity::password::Bcrypt;
use mongodb::bson::doc;
use peers::{
    FerretDb, FerretDbConfig, HttpStub, MariaDb, Postgres, Redis, RedisConfig, Slapd, SlapdConfig,
    StubAnswer,
};

pub(super) use super::providers::{github_auth, gitlab_auth, oidc_auth};
use crate::external_backends::example;
use crate::mongo::insert;
use crate::oidc_stub::CLIENT_SECRET;

pub(super) const ACCOUNT: &str = "ann";
/// The password of `ann`, except if she signs in by a page.
pub(super) const PASSWORD: &str = Slapd::PASSWORDS.0;
/// The password of a database's own user.
const DATABASE_PASSWORD: &str = "c0nn3ct10n";

/// A backend with the rules that belong to it.
pub(super) struct BackendCase {
    /// Its sections of a configuration.
    pub(super) sections: String,
    pub(super) user: TestUser,
    /// What no log may contain.
    pub(super) secrets: Vec<String>,
    /// The port of the server that it asks.
    pub(super) port: Option<u16>,
    _peers: Box<dyn Any + Send>,
}

/// How the user gets a password.
pub(super) enum TestUser {
    HasPassword,
    SignsIn {
        /// The path of the page.
        page: &'static str,
        /// What the user does at the provider: from its address to the query of the way back.
        agree: Box<dyn Fn(&str) -> String + Send + Sync>,
    },
}

impl BackendCase {
    pub(super) fn new(sections: String, secrets: &[&str], peers: impl Any + Send) -> Self {
        Self {
            sections,
            user: TestUser::HasPassword,
            secrets: secrets.iter().map(|secret| (*secret).to_owned()).collect(),
            port: None,
            _peers: Box::new(peers),
        }
    }

    fn at(mut self, port: u16) -> Self {
        assert!(self.sections.contains(&port.to_string()));
        self.port = Some(port);
        self
    }
}

/// How long a server or program is waited for: the machine may be busy.
const PATIENT: &str = "timeout: 60s";

/// What users with the label may do.
const ACL: &str = "acl: [{match: {labels: {team: red}, name: 'red/*'}, actions: ['*']}]\n";

fn hash() -> String {
    Bcrypt::hash(PASSWORD.as_bytes(), [7; 16], 4).unwrap()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file.display().to_string()
}

pub(super) fn users() -> BackendCase {
    let hash = hash();
    let users = format!("users: {{ann: {{password: '{hash}', labels: {{team: [red]}}}}}}\n{ACL}");
    BackendCase::new(users, &[&hash], ())
}

pub(super) fn users_htpasswd_and_casbin() -> BackendCase {
    let (folder, hash) = (tempfile::tempdir().unwrap(), hash());
    let file = |name, text: &str| write(folder.path(), name, text);
    let sections = format!(
        "users_htpasswd: {}\ncasbin_authz: {{model_path: {}, policy_path: {}}}\n",
        file("htpasswd", &format!("ann:{hash}\n")),
        file(
            "model.conf",
            "[request_definition]\nr = account, type, name, service, ip, action, labels\n\
             [policy_definition]\np = account, name\n[policy_effect]\n\
             e = some(where (p.eft == allow))\n[matchers]\n\
             m = r.account == p.account && keyMatch(r.name, p.name)\n",
        ),
        file("policy.csv", "p, ann, red/*\n"),
    );
    BackendCase::new(sections, &[&hash], folder)
}

pub(super) fn ext_auth_and_ext_authz() -> BackendCase {
    let folder = tempfile::tempdir().unwrap();
    let login = "#!/bin/sh\nread -r account password\n\
                 [ \"$account\" = ann ] || exit 2\n\
                 [ \"$password\" = sesame ] || exit 1\n";
    let sections = format!(
        "ext_auth: {{command: {}, {PATIENT}}}\next_authz: {{command: {}, {PATIENT}}}\n",
        write(folder.path(), "login", login),
        write(
            folder.path(),
            "decide",
            "#!/bin/sh\ngrep -Eq '\"Name\": ?\"red/'\n"
        ),
    );
    BackendCase::new(sections, &[], folder)
}

pub(super) fn ext_auth_and_ext_authz_by_lines() -> BackendCase {
    let folder = tempfile::tempdir().unwrap();
    let decide = "import json, sys\n\
                  for line in sys.stdin:\n    \
                  asked = json.loads(line)\n    \
                  granted = asked['Actions'] if asked['Name'].startswith('red/') else []\n    \
                  print(json.dumps({'id': asked['id'], 'actions': granted}), flush=True)\n";
    let sections = format!(
        "ext_auth: {{command: python3, args: [{}], mode: lines, recheck: true, {PATIENT}}}\n\
         ext_authz: {{command: python3, args: [{}], mode: lines, {PATIENT}}}\n",
        write(folder.path(), "logins.py", &example("logins.py")),
        write(folder.path(), "decide.py", decide),
    );
    BackendCase::new(sections, &[], folder)
}

pub(super) fn http_auth_and_http_authz() -> BackendCase {
    let server = HttpStub::start(|request| {
        let asked: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        let is_known = request.header("authorization") == Some("Bearer b34r3r");
        let (status, body) = match request.path.as_str() {
            "/login?key=qu3ry" if is_known && text("account") == ACCOUNT => {
                let is_right = text("password") == PASSWORD || asked["recheck"] == true;
                (if is_right { 200 } else { 401 }, "{}".to_owned())
            }
            "/decide?key=qu3ry" if is_known && text("Name").starts_with("red/") => (
                200,
                serde_json::json!({"actions": asked["Actions"]}).to_string(),
            ),
            _ => (404, String::new()),
        };
        StubAnswer::Status(status, body)
    });
    let more = format!("token: b34r3r, headers: {{X-Key: h34d3r}}, {PATIENT}");
    let sections = format!(
        "http_auth: {{url: '{}', recheck: true, {more}}}\nhttp_authz: {{url: '{}', {more}}}\n",
        server.url("/login?key=qu3ry"),
        server.url("/decide?key=qu3ry"),
    );
    let port = server.address().port();
    BackendCase::new(sections, &["b34r3r", "h34d3r", "qu3ry"], server).at(port)
}

pub(super) fn ldap_auth() -> BackendCase {
    let slapd = shared(&SLAPD, || {
        let slapd = Slapd::start(&SlapdConfig::default());
        // A crowd with wrong passwords must not lock the account of the others.
        slapd.replace(Slapd::POLICY, "pwdMaxFailure", "0");
        slapd
    });
    let folder = tempfile::tempdir().unwrap();
    let (address, port) = (slapd.host_port(), slapd.port());
    let sections = format!(
        "ldap_auth:\n  addr: {address}\n  bind_dn: {}\n  bind_password_file: {}\n  base: {}\n  \
         filter: (uid=${{account}})\n  account_attribute: uid\n  {PATIENT}\n  \
         labels: {{team: {{attribute: title}}}}\n{ACL}",
        Slapd::READER,
        write(folder.path(), "reader", Slapd::READER_PASSWORD),
        Slapd::PEOPLE,
    );
    BackendCase::new(sections, &[Slapd::READER_PASSWORD], (slapd, folder)).at(port)
}

/// The tables of docker_auth, with the user and the rule.
fn tables(id: &str, json: &str) -> String {
    let hash = hash();
    format!(
        "CREATE TABLE xorm_user (id {id} NOT NULL, username VARCHAR(128) NOT NULL, \
         password_hash VARCHAR(128) NOT NULL, labels {json}); \
         CREATE TABLE xorm_acl_entry (acl_entry {json}, seq BIGINT); \
         INSERT INTO xorm_user (username, password_hash, labels) \
         VALUES ('ann', '{hash}', '{{\"team\": [\"red\"]}}'); \
         INSERT INTO xorm_acl_entry VALUES \
         ('{{\"Match\": {{\"Labels\": {{\"team\": \"red\"}}, \"Name\": \"red/*\"}}, \"Actions\": [\"*\"]}}', 1);"
    )
}

fn users_and_rules_in(kind: &str, conn_string: &str) -> String {
    let database = format!("database_type: {kind}, conn_string: \"{conn_string}\", {PATIENT}");
    format!("xorm_auth: {{{database}}}\nacl_xorm: {{{database}, cache_ttl: 1s}}\n")
}

pub(super) fn postgres() -> BackendCase {
    let server = shared(&POSTGRES, || {
        let server = Postgres::start();
        let role = format!("CREATE ROLE reader LOGIN PASSWORD '{DATABASE_PASSWORD}'");
        server.run("postgres", &role);
        server
    });
    let name = new_name();
    server.run("postgres", &format!("CREATE DATABASE {name}"));
    server.run(&name, &tables("BIGSERIAL PRIMARY KEY", "JSON"));
    server.run(&name, "GRANT SELECT ON xorm_user, xorm_acl_entry TO reader");
    let port = server.port();
    let conn_string = format!(
        "host=127.0.0.1 port={port} user=reader password={DATABASE_PASSWORD} dbname={name}"
    );
    let sections = users_and_rules_in("postgres", &conn_string);
    BackendCase::new(sections, &[DATABASE_PASSWORD, &hash()], server).at(port)
}

pub(super) fn mariadb() -> BackendCase {
    let server = shared(&MARIADB, || {
        let server = MariaDb::start();
        server.run(&format!(
            "CREATE USER reader@'%' IDENTIFIED BY '{DATABASE_PASSWORD}'"
        ));
        server
    });
    let (name, port) = (new_name(), server.port());
    let tables = tables("BIGINT(20) PRIMARY KEY AUTO_INCREMENT", "TEXT");
    server.run(&format!("CREATE DATABASE {name}; USE {name}; {tables}"));
    server.run(&format!("GRANT SELECT ON {name}.* TO reader@'%'"));
    let conn_string =
        format!("reader:{DATABASE_PASSWORD}@tcp(127.0.0.1:{port})/{name}?charset=utf8");
    let sections = users_and_rules_in("mysql", &conn_string);
    BackendCase::new(sections, &[DATABASE_PASSWORD, &hash()], server).at(port)
}

pub(super) fn sqlite() -> BackendCase {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    let tables = tables("INTEGER PRIMARY KEY AUTOINCREMENT", "TEXT");
    connection.execute_batch(&tables).unwrap();
    let sections = users_and_rules_in("sqlite3", &file.display().to_string());
    BackendCase::new(sections, &[&hash()], folder)
}

pub(super) fn mongodb() -> BackendCase {
    let server = shared(&FERRETDB, || {
        FerretDb::start(FerretDbConfig {
            tls: None,
            login: true,
        })
    });
    let (name, hash) = (new_name(), hash());
    let user = doc! {"username": ACCOUNT, "password": &hash, "labels": {"team": ["red"]}};
    insert(&server, &name, "users", user);
    let conditions = doc! {"labels": {"team": "red"}, "name": "red/*"};
    let rule = doc! {"seq": 1, "match": conditions, "actions": ["*"]};
    insert(&server, &name, "acl", rule);
    let servers = format!(
        "dial_info: {{uri: '{}', failfast: true}}",
        server.uri(&name)
    );
    let sections = format!(
        "mongo_auth: {{{servers}, collection: users}}\n\
         acl_mongo: {{{servers}, collection: acl, cache_ttl: 1s}}\n"
    );
    let secrets = [FerretDb::PASSWORD, FerretDb::ENCODED_PASSWORD, &hash];
    let port = server.port();
    BackendCase::new(sections, &secrets, server).at(port)
}

/// A user who signed in at docker_auth, which keeps its records in the same Redis.
pub(super) fn github_auth_in_redis() -> BackendCase {
    const REDIS_PASSWORD: &str = "r3d1s-9b";
    let redis = Redis::start(&RedisConfig {
        password: Some(REDIS_PASSWORD.to_owned()),
        ..RedisConfig::default()
    });
    let hash = hash();
    let record = format!(
        "{{\"token_type\":\"bearer\",\"access_token\":\"at-of-ann\",\
         \"valid_until\":\"2099-01-01T00:00:00Z\",\"docker_password\":\"{hash}\",\
         \"labels\":{{\"team\":[\"red\"]}}}}"
    );
    redis.command(&["SET", "t:ann", &record]);
    let port = redis.port();
    let sections = format!(
        "github_auth:\n  client_id: wharfinger\n  client_secret: \"{CLIENT_SECRET}\"\n  \
         redis_token_db: {{redis_options: {{addr: '127.0.0.1:{port}', password: {REDIS_PASSWORD}}}}}\n{ACL}"
    );
    let secrets = [CLIENT_SECRET, REDIS_PASSWORD, "at-of-ann", &hash];
    BackendCase::new(sections, &secrets, redis).at(port)
}

static SLAPD: Mutex<Weak<Slapd>> = Mutex::new(Weak::new());
static FERRETDB: Mutex<Weak<FerretDb>> = Mutex::new(Weak::new());
static POSTGRES: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
static MARIADB: Mutex<Weak<MariaDb>> = Mutex::new(Weak::new());

/// The server that all tests share while they run. No test changes what another one sees.
pub(super) fn shared<S>(slot: &Mutex<Weak<S>>, start: impl FnOnce() -> S) -> Arc<S> {
    let mut slot = slot.lock().unwrap();
    slot.upgrade().unwrap_or_else(|| {
        let server = Arc::new(start());
        *slot = Arc::downgrade(&server);
        server
    })
}

/// The name of a database that no other test has.
fn new_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("auth_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
