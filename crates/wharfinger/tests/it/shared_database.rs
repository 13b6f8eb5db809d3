//! Two token servers on one database in PostgreSQL: what one of them does, the other knows.

use std::path::{Path, PathBuf};
use std::process::Command;

use peers::{
    Output, Postgres, Server, TestCertificate, TestKeyKind, run, run_with_input, wait_until,
};
use tempfile::TempDir;

use crate::token_login::log_in;
use crate::wire::Connection;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Two servers that differ in nothing but their address.
struct Replicas {
    servers: [Server; 2],
    // The database ends after its servers.
    database: Postgres,
    _folder: TempDir,
}

impl Replicas {
    fn start() -> Self {
        let database = Postgres::start();
        let folder = tempfile::tempdir().unwrap();
        let config = config(&database, folder.path());
        let start = || Server::start(Path::new(PROGRAM), &config);
        let servers = [start(), start()];
        let replicas = Self {
            servers,
            database,
            _folder: folder,
        };
        for server in 0..2 {
            wait_until(|| replicas.status(server, "/readyz") == 200);
        }
        replicas
    }

    /// The file of the first one, which a command names.
    fn file(&self) -> PathBuf {
        self.servers[0].config()
    }

    fn run(&self, words: &[&str], more: &[&str], input: &str) -> Output {
        let mut command = Command::new(PROGRAM);
        run_with_input(command.args(words).arg(self.file()).args(more), input)
    }

    fn status(&self, server: usize, path: &str) -> u16 {
        let mut connection = Connection::open(&self.servers[server].host_port());
        connection.request("GET", path, &[], None).status
    }

    /// The status of a login, and what is granted of `scope`.
    fn log_in(&self, server: usize, account: &str, password: &str, scope: &str) -> (u16, String) {
        let query = format!("scope={scope}");
        let answer = log_in(&self.servers[server], account, password, &query);
        let granted = match answer.status {
            200 => answer.json()["scope"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            _ => String::new(),
        };
        (answer.status, granted)
    }

    fn session(&self, server: usize, account: &str, password: &str) -> String {
        let form = format!(
            "grant_type=password&service=reg&client_id=test&access_type=offline&username={account}\
             &password={password}"
        );
        let mut connection = Connection::open(&self.servers[server].host_port());
        let answer = connection.request("POST", "/auth", &[], Some(&form));
        answer.json()["refresh_token"].as_str().unwrap().to_owned()
    }

    fn refresh(&self, server: usize, token: &str) -> u16 {
        let form =
            format!("grant_type=refresh_token&service=reg&client_id=test&refresh_token={token}");
        let mut connection = Connection::open(&self.servers[server].host_port());
        connection.request("POST", "/auth", &[], Some(&form)).status
    }
}

fn config(database: &Postgres, folder: &Path) -> String {
    let pair = TestCertificate::new(TestKeyKind::P256, folder, "token");
    format!(
        "server: {{addr: '@addr@'}}\n\
         token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         database: {{url: 'postgres://postgres@/postgres?host={}&port={}', connections: 4}}\n\
         accounts: {{}}\nlogin: {{per_account: 10/h}}\n",
        pair.certificate.display(),
        pair.key.display(),
        database.socket_directory().display(),
        database.port(),
    )
}

#[test]
fn sessions_accounts_and_rules_are_those_of_all_servers() {
    let replicas = Replicas::start();
    let scope = "repository:app:pull";
    replicas
        .run(&["user", "add"], &["ann", "--password-stdin"], "sesame")
        .succeeded();
    for server in 0..2 {
        assert_eq!(
            replicas.log_in(server, "ann", "sesame", scope),
            (200, String::new())
        );
    }
    let rule = [
        "--account",
        "ann",
        "--type",
        "repository",
        "--name",
        "app",
        "--actions",
        "pull",
    ];
    replicas.run(&["rule", "add"], &rule, "").succeeded();
    for server in 0..2 {
        wait_until(|| replicas.log_in(server, "ann", "sesame", scope).1 == scope);
    }
    // A session of one is redeemed by the other, until it is revoked.
    let session = replicas.session(0, "ann", "sesame");
    assert_eq!(replicas.refresh(1, &session), 200);
    replicas
        .run(&["sessions", "revoke"], &["--user", "ann"], "")
        .succeeded();
    for server in 0..2 {
        assert_eq!(replicas.refresh(server, &session), 401);
    }
    // An account that is disabled is so everywhere within a second.
    replicas.run(&["user", "disable"], &["ann"], "").succeeded();
    for server in 0..2 {
        wait_until(|| replicas.log_in(server, "ann", "sesame", scope).0 == 401);
    }
}

#[test]
fn failed_logins_are_counted_by_all_servers_together() {
    let replicas = Replicas::start();
    let attempt = |number: usize| replicas.log_in(number % 2, "ann", "wrong", "").0;
    let statuses: Vec<_> = (0..12).map(attempt).collect();
    // As `login.per_account` says.
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10..], [429; 2]);
}

#[test]
fn without_its_database_a_server_answers_503_and_goes_on_when_it_is_back() {
    let mut replicas = Replicas::start();
    replicas
        .run(&["user", "add"], &["ann", "--password-stdin"], "sesame")
        .succeeded();
    let session = replicas.session(0, "ann", "sesame");
    replicas.database.stop_immediately();
    assert_eq!(replicas.refresh(0, &session), 503);
    assert_eq!(replicas.status(0, "/readyz"), 503);
    assert_eq!(replicas.status(0, "/healthz"), 200);
    assert_eq!(
        replicas.log_in(1, "bob", "sesame", "repository:app:pull").0,
        503
    );
    for words in [&["user", "list"][..], &["rule", "list"], &["replicas"]] {
        let failed = replicas.run(words, &[], "");
        // Once, and not as the cause of itself.
        let said = failed.stderr.matches("cannot be used").count();
        assert_eq!(said, 1, "{failed:?}");
    }
    // A server that starts now listens, and waits.
    let config = std::fs::read_to_string(replicas.file()).unwrap();
    let address = replicas.servers[0].host_port();
    let late = Server::start(Path::new(PROGRAM), &config.replace(&address, "@addr@"));
    let mut connection = Connection::open(&late.host_port());
    let answer = connection.request("GET", "/auth?service=reg", &[], None);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(connection.request("GET", "/healthz", &[], None).status, 200);
    replicas.database.start_again();
    wait_until(|| replicas.refresh(1, &session) == 200);
    wait_until(|| replicas.refresh(0, &session) == 200);
    wait_until(|| {
        let mut connection = Connection::open(&late.host_port());
        connection.request("GET", "/readyz", &[], None).status == 200
    });
}

/// The server tries again and again, and says it once.
#[test]
fn a_wrong_password_of_the_database_is_logged_once() {
    let database = Postgres::start();
    database.run("postgres", "CREATE ROLE writer LOGIN PASSWORD 'right'");
    let folder = tempfile::tempdir().unwrap();
    let config = config(&database, folder.path());
    let (before, rest) = config.split_once("postgres://").unwrap();
    let (_, after) = rest.split_once('\'').unwrap();
    let url = format!(
        "postgres://writer:wr0ng@127.0.0.1:{}/postgres",
        database.port()
    );
    // It listens when the database was away for a while.
    let server = Server::start(Path::new(PROGRAM), &format!("{before}{url}'{after}"));
    let log = server.log();
    let told = log
        .lines()
        .filter(|line| line.contains("password authentication failed"));
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 1, "{log}");
    for part in [
        "ERROR",
        "the database refuses the login; it is tried again",
        "postgres://writer@127.0.0.1:",
    ] {
        assert!(told[0].contains(part), "{part}: {log}");
    }
    assert!(!log.contains("wr0ng"), "{log}");
    let lines = log
        .lines()
        .filter(|line| line.contains("ERROR") || line.contains("WARN"));
    assert_eq!(lines.count(), 1, "{log}");
}

#[test]
fn commands_say_what_they_found_in_the_database() {
    let database = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wharfinger.yml");
    let text = config(&database, folder.path()).replace("@addr@", "127.0.0.1:0");
    std::fs::write(&file, text).unwrap();
    let command = |words: &[&str], more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        run(command.args(words).arg(&file).args(more))
    };
    let none = command(&["user", "list"], &[]);
    assert!(
        none.stderr.contains("has no tables of wharfinger"),
        "{none:?}"
    );
    let check = command(&["registry", "migrate"], &["--check"]);
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    assert!(check.stdout.starts_with("there are no tables"), "{check:?}");
    let made = command(&["registry", "migrate"], &[]);
    assert!(
        made.succeeded().starts_with("the tables were created"),
        "{made:?}"
    );
    let again = command(&["registry", "migrate"], &["--check"]);
    assert!(again.succeeded().ends_with("nothing to do"), "{again:?}");
    command(&["user", "list"], &[]).succeeded();
    let connected = command(&["check", "--connect"], &[]);
    let found = connected.succeeded();
    assert!(found.contains("database: PostgreSQL 1"), "{found}");
    assert!(
        found.contains("no synchronous standby confirms commits"),
        "{found}"
    );
}
