//! Users and rules in an SQL database, with files as docker_auth's users have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use peers::{Postgres, Server, TestCertificate, TestKeyKind, run, wait_until};
use tempfile::TempDir;

use crate::token_login::{anonymous, basic, log_in};
use crate::wire::{Connection, get};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// bcrypt of `badmin`.
const JOE: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";
/// bcrypt of another password.
const OTHER: &str = "$2y$05$WuwBasGDAgr.QCbGIjKJaep4dhxeai9gNZdmBnQXqpKly57oNutya";

/// A SQLite file with the tables of docker_auth, and the key that signs tokens.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
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

    /// Runs statements in the SQLite file.
    fn run(&self, statements: &str) {
        let connection = rusqlite::Connection::open(self.file("auth.db")).unwrap();
        connection.execute_batch(statements).unwrap();
    }

    fn with_tables() -> Self {
        let folder = Self::new();
        folder.run(
            "CREATE TABLE xorm_user (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, username TEXT NOT NULL, \
             password_hash TEXT NOT NULL, labels TEXT); \
             CREATE TABLE xorm_acl_entry (acl_entry TEXT, seq INTEGER);",
        );
        folder
    }
}

#[test]
fn the_tables_of_docker_auth_in_postgres_with_the_server_killed_in_the_middle() {
    let mut postgres = Postgres::start();
    postgres.run(
        "postgres",
        &format!(
            "CREATE TABLE xorm_user (id BIGSERIAL PRIMARY KEY NOT NULL, username VARCHAR(128) NOT NULL, \
             password_hash VARCHAR(128) NOT NULL, labels JSON); \
             CREATE TABLE xorm_acl_entry (acl_entry JSON, seq BIGINT); \
             INSERT INTO xorm_user (username, password_hash, labels) VALUES ('joe', '{JOE}', '{{\"team\": [\"red\"]}}'); \
             INSERT INTO xorm_acl_entry VALUES \
             ('{{\"Match\": {{}}, \"Actions\": [\"pull\"], \"Comment\": \"the rest\"}}', 30), \
             ('{{\"Match\": {{\"Labels\": {{\"team\": \"red\"}}, \"Name\": \"red/*\"}}, \"Actions\": [\"*\"]}}', 10); \
             CREATE ROLE reader LOGIN PASSWORD 'c0nn3ct10n'; \
             GRANT SELECT ON xorm_user, xorm_acl_entry TO reader"
        ),
    );
    let folder = Folder::new();
    let database = format!(
        "database_type: postgres, conn_string: 'host=127.0.0.1 port={} user=reader password=c0nn3ct10n dbname=postgres'",
        postgres.port()
    );
    let config = folder.head("trace")
        + &format!(
            "users: {{'': {{}}}}\nxorm_auth: {{{database}}}\nacl_xorm: {{{database}, cache_ttl: 1h}}\nlogin: {{remember: 0s}}\n"
        );
    let mut server = Server::start(Path::new(PROGRAM), &config);
    server.wait_for_log("rules were loaded");

    let both = "scope=repository:red/app:pull,push&scope=repository:blue:pull,push";
    let joe = log_in(&server, "joe", "wr0ng", both);
    assert_eq!(joe.status, 401, "{}", joe.body);
    let joe = log_in(&server, "joe", "badmin", both);
    assert_eq!(
        joe.json()["scope"],
        "repository:red/app:pull,push repository:blue:pull"
    );
    server.wait_for_log("acl_xorm seq 10 acl_xorm seq 30");
    assert!(server.log().contains("xorm_auth"), "{}", server.log());
    assert_eq!(log_in(&server, "unknown", "secret", both).status, 401);

    postgres.kill();
    let away = log_in(&server, "joe", "badmin", both);
    assert_eq!((away.status, away.header("retry-after")), (503, Some("5")));
    let id = away.header("x-request-id").unwrap();
    assert!(
        away.body.contains(id) && !away.body.contains("postgres"),
        "{}",
        away.body
    );
    // The rules stay, also in a new configuration that has the same database.
    assert_eq!(
        anonymous(&server, "repository:a:pull"),
        (200, "repository:a:pull".into())
    );
    server.rewrite(&config.replace("expiration: 900", "expiration: 800"));
    server.hang_up();
    wait_until(|| get(&server.host_port(), "/auth").json()["expires_in"] == 800);
    assert_eq!(
        anonymous(&server, "repository:a:pull"),
        (200, "repository:a:pull".into())
    );
    assert_eq!(get(&server.host_port(), "/readyz").status, 200);

    postgres.start_again();
    assert_eq!(log_in(&server, "joe", "badmin", both).status, 200);
    let log = server.log();
    for secret in [
        "c0nn3ct10n",
        "badmin",
        "wr0ng",
        JOE,
        &basic("joe", "badmin")[6..],
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn rules_are_refreshed_and_a_wrong_one_changes_nothing() {
    let folder = Folder::with_tables();
    let config = folder.head("info")
        + &format!(
            "users: {{'': {{}}}}\nacl_sql: {{database_type: sqlite, conn_string: {}, cache_ttl: 1s}}\n",
            folder.file("auth.db").display()
        );
    folder.run(r#"INSERT INTO xorm_acl_entry VALUES ('{"Match": {}, "Actions": ["pull"]}', 5)"#);
    let mut server = Server::start(Path::new(PROGRAM), &config);
    server.wait_for_log("rules were loaded");
    let scope = "repository:a:pull,push";
    assert_eq!(anonymous(&server, scope), (200, "repository:a:pull".into()));
    folder.run(r#"INSERT INTO xorm_acl_entry VALUES ('{"Match": {"Name": "/(/"}, "Actions": ["push"]}', 1)"#);
    server.wait_for_log("seq 1: match.name: ");
    assert!(server.log().contains("age_seconds"), "{}", server.log());
    assert_eq!(anonymous(&server, scope), (200, "repository:a:pull".into()));
    folder.run(r#"UPDATE xorm_acl_entry SET acl_entry = '{"Match": {}, "Actions": ["push"]}' WHERE seq = 1"#);
    wait_until(|| anonymous(&server, scope) == (200, "repository:a:push".into()));
    folder.run("DELETE FROM xorm_acl_entry");
    server.wait_for_log("there are no rules");
    wait_until(|| anonymous(&server, scope) == (200, String::new()));
}

#[test]
fn a_server_starts_without_its_database_and_answers_503_until_it_is_there() {
    let folder = Folder::new();
    let file = folder.file("auth.db");
    let config = folder.head("info")
        + &format!(
            "users: {{'': {{}}}}\nsql_auth: {{database_type: sqlite, conn_string: {0}}}\n\
             acl_sql: {{database_type: sqlite, conn_string: {0}, cache_ttl: 1s}}\n",
            file.display()
        );
    let mut server = Server::start(Path::new(PROGRAM), &config);
    server.wait_for_log("rules cannot be loaded");
    let scope = "repository:a:pull";
    assert_eq!(anonymous(&server, scope).0, 503);
    assert_eq!(log_in(&server, "joe", "badmin", "").status, 503);
    assert_eq!(
        get(&server.host_port(), "/auth?service=reg").status,
        200,
        "nothing was asked"
    );
    let ready = get(&server.host_port(), "/readyz");
    assert!(
        ready.status == 503 && ready.body.contains("rules cannot be loaded"),
        "{}",
        ready.body
    );
    // An empty file: the tables are made.
    fs::write(&file, "").unwrap();
    server.wait_for_log("there are no rules");
    assert_eq!(anonymous(&server, scope), (200, String::new()));
    assert_eq!(log_in(&server, "joe", "badmin", "").status, 401);
    assert_eq!(get(&server.host_port(), "/readyz").status, 200);
    folder.run(&format!(
        "INSERT INTO xorm_user (username, password_hash) VALUES ('joe', '{JOE}')"
    ));
    assert_eq!(log_in(&server, "joe", "badmin", "").status, 200);
}

#[test]
fn a_refresh_token_ends_with_the_password_and_labels_are_those_of_today() {
    let folder = Folder::with_tables();
    let config = folder.head("info")
        + &format!(
            "sql_auth:\n  database_type: sqlite\n  conn_string: {}\n\
             acl: [{{match: {{labels: {{team: red}}}}, actions: [pull]}}]\n\
             database: {{url: 'sqlite://{}'}}\n",
            folder.file("auth.db").display(),
            folder.file("sessions.db").display()
        );
    folder.run(&format!(
        "INSERT INTO xorm_user (username, password_hash, labels) VALUES ('joe', '{JOE}', '{{\"team\": [\"red\"]}}')"
    ));
    let server = Server::start(Path::new(PROGRAM), &config);
    let token =
        log_in(&server, "joe", "badmin", "offline_token=true").json()["refresh_token"].clone();
    let token = token.as_str().unwrap();
    let redeem = || {
        let body = format!(
            "grant_type=refresh_token&refresh_token={token}&service=reg&scope=repository:a:pull"
        );
        let answer =
            Connection::open(&server.host_port()).request("POST", "/auth", &[], Some(&body));
        let scope = match answer.status {
            200 => answer.json()["scope"].as_str().unwrap().to_owned(),
            _ => String::new(),
        };
        (answer.status, scope)
    };
    assert_eq!(redeem(), (200, "repository:a:pull".into()));
    folder.run("UPDATE xorm_user SET labels = NULL");
    assert_eq!(redeem(), (200, String::new()));
    folder.run(&format!("UPDATE xorm_user SET password_hash = '{OTHER}'"));
    assert_eq!(redeem().0, 401);
}

#[test]
fn labels_that_cannot_be_read_are_an_error_and_its_cause_is_for_the_log() {
    let folder = Folder::with_tables();
    folder.run(&format!(
        "INSERT INTO xorm_user (username, password_hash, labels) VALUES ('joe', '{JOE}', 'red')"
    ));
    let config = folder.head("info")
        + &format!(
            "sql_auth: {{database_type: sqlite, conn_string: {}}}\nacl: [{{match: {{}}, actions: [pull]}}]\n",
            folder.file("auth.db").display()
        );
    let mut server = Server::start(Path::new(PROGRAM), &config);
    assert_eq!(log_in(&server, "joe", "wrong", "").status, 401);
    let answer = log_in(&server, "joe", "badmin", "");
    assert!(
        answer.status == 500 && !answer.body.contains("labels"),
        "{}",
        answer.body
    );
    server.wait_for_log("the labels of the user");
}

#[test]
fn explain_loads_the_rules_of_the_database() {
    let folder = Folder::with_tables();
    folder.run(
        r#"INSERT INTO xorm_acl_entry VALUES ('{"Match": {"Account": "ann"}, "Actions": []}', 10),
           ('{"Match": {"Name": "a"}, "Actions": ["pull"], "Comment": "All."}', 20)"#,
    );
    let config = folder.head("info")
        + &format!(
            "users: {{'': {{}}}}\nacl_xorm: {{database_type: sqlite3, conn_string: {}}}\n",
            folder.file("auth.db").display()
        );
    fs::write(
        folder.file("auth.yml"),
        config.replace("@addr@", "127.0.0.1:0"),
    )
    .unwrap();
    let explain = || {
        let mut command = Command::new(PROGRAM);
        let arguments = ["explain", "auth.yml", "repository:a:pull,push"];
        run(command.args(arguments).current_dir(folder.0.path()))
    };
    let text = explain();
    let text = text.succeeded();
    assert!(text.contains("decided by acl_xorm seq 20: All."), "{text}");
    assert!(
        text.contains("not by acl_xorm seq 10: account: \"ann\""),
        "{text}"
    );
    folder.run("UPDATE xorm_acl_entry SET acl_entry = '' WHERE seq = 20");
    let refused = explain().refused();
    assert!(
        refused.contains("the rules cannot be loaded") && refused.contains("seq 20"),
        "{refused}"
    );
}
