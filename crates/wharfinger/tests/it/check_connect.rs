//! What `check --connect` says of a server that cannot be used: the address, the reason in one line, and
//! nothing twice. It changes nothing.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use peers::{
    HttpStub, Output, Pebble, PebbleConfig, Postgres, ReservedAddress, StubAnswer, TestCertificate,
    TestKeyKind, run,
};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Logins and rules that need no server.
const ALONE: &str = "users: {'': {}}\nacl: [{match: {}, actions: [pull]}]\n";

/// A directory with a signing key.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let _pair = TestCertificate::new(TestKeyKind::P256, directory.path(), "token");
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// `check --connect` of these sections, `server` being keys of the section of this name.
    fn check(&self, server: &str, sections: &str) -> Output {
        let directory = self.path().display();
        let file = self.path().join("c.yml");
        let config = format!(
            "server: {{addr: '127.0.0.1:0', {server}}}\n\
             token: {{issuer: i, expiration: 900, certificate: {directory}/token.pem, key: {directory}/token.key}}\n\
             {sections}"
        );
        fs::write(&file, config).unwrap();
        run(Command::new(PROGRAM)
            .args(["check", "--connect"])
            .arg(&file))
    }

    /// Requires that `section` is the only one with an error, and that this is its line.
    #[track_caller]
    fn fails(&self, sections: &str, section: &str, expected: &str) {
        let output = self.check("", sections);
        assert_eq!(output.status.code(), Some(1), "{output}");
        let errors = output.stdout.lines();
        let errors: Vec<_> = errors.filter(|line| line.contains(": error: ")).collect();
        assert_eq!(
            errors,
            [format!("{section}: error: {expected}")],
            "{output}"
        );
    }
}

#[test]
fn a_server_that_is_away_is_named_with_its_reason_once() {
    let bench = Bench::new();
    let nowhere = ReservedAddress::new();
    let refused = "Connection refused (os error 111)";
    let users = "users: {'': {}}\n";
    let acl = "acl: [{match: {}, actions: [pull]}]\n";
    bench.fails(
        &format!(
            "ldap_auth: {{addr: 'ldap://{nowhere}', base: 'dc=example', filter: '(uid=${{account}})'}}\n{acl}"
        ),
        "ldap_auth",
        &format!("no server can be reached: ldap://{nowhere}: {refused}"),
    );
    bench.fails(
        &format!("xorm_auth: {{database_type: mysql, conn_string: 'reader:secret@tcp({nowhere})/auth'}}\n{acl}"),
        "xorm_auth",
        &format!("cannot connect to the database at {nowhere}: {refused}"),
    );
    bench.fails(
        &format!(
            "mongo_auth: {{dial_info: {{addrs: ['{nowhere}'], database: auth, timeout: 60s, failfast: true}}, collection: users}}\n{acl}"
        ),
        "mongo_auth",
        &format!("the database cannot be reached: {nowhere}: {refused}"),
    );
    bench.fails(
        &format!("{users}acl_xorm: {{database_type: mysql, conn_string: 'reader:secret@tcp({nowhere})/auth'}}\n"),
        "acl_xorm",
        &format!("the rules cannot be read now: cannot connect to the database at {nowhere}: {refused}"),
    );
}

#[test]
fn a_login_that_postgresql_refuses_is_told_from_a_server_that_is_away() {
    let bench = Bench::new();
    let server = Postgres::start();
    server.run("postgres", "CREATE ROLE writer LOGIN PASSWORD 'right'");
    let port = server.port();
    let sections = |login: &str| {
        format!(
            "database: {{url: 'postgres://{login}@127.0.0.1:{port}/postgres'}}\naccounts: {{}}\n{ALONE}"
        )
    };
    bench.fails(
        &sections("writer:wr0ng"),
        "database",
        &format!(
            "the database refuses the login of the user \"writer\": 127.0.0.1:{port}: password authentication failed \
             for user \"writer\" (SQLSTATE 28P01)"
        ),
    );
    bench.fails(
        &sections("writer"),
        "database",
        &format!(
            "the database refuses the login of the user \"writer\": 127.0.0.1:{port}: the server wants a password, and \
             the configuration has none"
        ),
    );
}

#[test]
fn a_server_that_is_not_postgresql_is_named() {
    let bench = Bench::new();
    // It accepts connections, and waits for another protocol.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    bench.fails(
        &format!("database: {{url: 'postgres://writer:secret@{address}/w'}}\naccounts: {{}}\n{ALONE}"),
        "database",
        &format!(
            "the database cannot answer now: postgres://writer@{address}/w did not answer within 2 seconds: check that \
             PostgreSQL listens there, and not another program"
        ),
    );
}

#[test]
fn an_endpoint_that_is_not_s3_is_named_with_its_answer() {
    let bench = Bench::new();
    let page = format!("<!DOCTYPE html><title>Welcome</title>{}", "x".repeat(2000));
    for (answer, said) in [
        (
            StubAnswer::Status(404, page.clone()),
            "answered 404 Not Found",
        ),
        (
            StubAnswer::Status(405, String::new()),
            "answered 405 Method Not Allowed",
        ),
        (
            StubAnswer::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
            "gave no answer in HTTP: invalid HTTP version parsed",
        ),
        (StubAnswer::Status(200, page), "answered without an ETag"),
    ] {
        let is_without_address = said.ends_with("ETag");
        let stub = HttpStub::start(move |_| answer.clone());
        let address = stub.address();
        let who = match is_without_address {
            true => "the store".to_owned(),
            false => format!("http://{address}"),
        };
        let sections = format!(
            "database: {{url: 'sqlite://{}/w.db'}}\n\
             registry: {{auth: {{none: true}}, storage: {{s3: {{bucket: images, region: us-east-1, regionendpoint: 'http://{address}', \
             accesskey: k, secretkey: s, secure: false}}}}}}\n{ALONE}",
            bench.path().display()
        );
        bench.fails(
            &sections,
            "registry.storage.s3",
            &format!(
                "s3://images: cannot write an object: {who} {said} (look at what listens there: it does not answer as S3 does; \
                 correct `regionendpoint`)"
            ),
        );
        assert!(!bench.path().join("w.db").exists());
    }
}

#[test]
fn an_acme_server_is_asked_for_its_directory_and_nothing_else() {
    let bench = Bench::new();
    let pebble = Pebble::start(&PebbleConfig::default());
    let section = |directory: &str| {
        format!(
            "letsencrypt: {{email: w@example.com, host: registry.example.com, cache_dir: {}, directory: '{directory}', ca_certificate: {}}}",
            bench.path().join("acme").display(),
            pebble.certificate().display()
        )
    };
    let directory = pebble.directory();
    let found = bench.check(&section(&directory), ALONE);
    let expected = format!("server.letsencrypt: {directory} is the directory of an ACME server\n");
    assert!(found.succeeded().contains(&expected), "{found}");
    assert_eq!((pebble.accounts(), pebble.orders()), (0, 0));
    assert!(!bench.path().join("acme").exists());

    let elsewhere = directory.replace("/dir", "/roots");
    let other = bench.check(&section(&elsewhere), ALONE);
    assert_eq!(other.status.code(), Some(1), "{other}");
    let expected = format!(
        "server.letsencrypt: error: {elsewhere} is not the directory of an ACME server (RFC 8555): it answered 404 Not Found; correct \
         `directory`"
    );
    assert!(other.stdout.contains(&expected), "{other}");

    let binding = Pebble::start(&PebbleConfig {
        external_account: Some(("kid", "bWFjLWtleS1vZi10aGUtb3BlcmF0b3ItMzItYnl0ZXMh")),
        ..PebbleConfig::default()
    });
    let bound = section(&binding.directory()).replace(
        pebble.certificate().to_str().unwrap(),
        binding.certificate().to_str().unwrap(),
    );
    let bound = bench.check(&bound, ALONE);
    assert_eq!(bound.status.code(), Some(1), "{bound}");
    assert!(
        bound
            .stdout
            .contains("/dir takes only accounts that are bound to one of its operator"),
        "{bound}"
    );

    let nowhere = ReservedAddress::new();
    let away = bench.check(&section(&format!("https://{nowhere}/dir")), ALONE);
    assert_eq!(away.status.code(), Some(1), "{away}");
    let expected = format!("server.letsencrypt: error: https://{nowhere}/dir cannot be read: ");
    assert!(away.stdout.contains(&expected), "{away}");
    assert!(away.stdout.contains("Connection refused"), "{away}");
}

#[test]
fn what_a_server_would_make_in_a_database_is_said_and_not_made() {
    let bench = Bench::new();
    let server = Postgres::start();
    server.run(
        "postgres",
        "CREATE ROLE reader LOGIN PASSWORD 'right'; GRANT ALL ON SCHEMA public TO reader",
    );
    let database = format!(
        "database_type: postgres, conn_string: 'host=127.0.0.1 port={} user=reader password=right dbname=postgres sslmode=disable'",
        server.port()
    );
    let sections = format!("xorm_auth: {{{database}}}\nacl_xorm: {{{database}}}\n");
    let found = bench.check("", &sections);
    let found = found.succeeded();
    for (section, table) in [("xorm_auth", "xorm_user"), ("acl_xorm", "xorm_acl_entry")] {
        let expected = format!(
            "{section}: the table {table} does not exist yet: the server adds it with `CREATE TABLE IF NOT EXISTS {table} ("
        );
        assert!(found.contains(&expected), "{found}");
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'xorm%'";
    assert_eq!(server.run("postgres", tables).trim(), "0");

    // A file is not made either.
    let file = bench.path().join("auth.db");
    let sections = format!(
        "users: {{'': {{}}}}\nacl_xorm: {{database_type: sqlite, conn_string: 'file:{}?mode=rwc'}}\n",
        file.display()
    );
    let found = bench.check("", &sections);
    let expected = format!(
        "acl_xorm: the file {} does not exist yet: the server makes it",
        file.display()
    );
    assert!(found.succeeded().contains(&expected), "{found}");
    assert!(!file.exists());
}

/// As the start says it, and the start is not needed for that.
#[test]
fn content_without_its_database_is_named() {
    let bench = Bench::new();
    let (root, database) = (bench.path().join("data"), bench.path().join("w.db"));
    let blobs = root.join("blobs/sha256/ab");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join("abcdef.1"), "").unwrap();
    let sections = format!(
        "database: {{url: 'sqlite://{}'}}\nregistry: {{auth: {{none: true}}, storage: {{filesystem: {{root: {}}}}}}}\n{ALONE}",
        database.display(),
        root.display()
    );
    let found = bench.check("", &sections);
    assert_eq!(found.status.code(), Some(1), "{found}");
    assert!(
        found
            .stdout
            .contains("holds blobs, but the database has none"),
        "{found}"
    );
    assert!(!database.exists());

    // A start that is refused leaves no empty database in the place of the lost one.
    let file = bench.path().join("c.yml");
    let started = run(Command::new(PROGRAM).arg("serve").arg(&file));
    assert_eq!(started.status.code(), Some(3), "{started}");
    assert!(
        started
            .stderr
            .contains("holds blobs, but the database has none"),
        "{started}"
    );
    for end in ["", "-wal", "-shm"] {
        let name = format!("w.db{end}");
        assert!(!bench.path().join(&name).exists(), "{name}");
    }
}
