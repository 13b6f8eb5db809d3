//! Servers that share a database in PostgreSQL: the list of them, and how they are while it is away.

use std::path::Path;
use std::process::Command;

use peers::{Postgres, Server, TestCertificate, TestKeyKind, http, run, wait_until};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

struct Servers {
    database: Postgres,
    folder: TempDir,
}

impl Servers {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let database = Postgres::start();
        database.run("postgres", "CREATE DATABASE wharfinger");
        Self { database, folder }
    }

    fn config(&self, expiration: u32) -> String {
        let folder = self.folder.path().display();
        let (socket, port) = (
            self.database.socket_directory().display(),
            self.database.port(),
        );
        format!(
            "server: {{addr: '@addr@'}}\n\
             token: {{issuer: i, expiration: {expiration}, certificate: {folder}/token.pem, key: {folder}/token.key}}\n\
             users: {{'': {{}}}}\nacl: [{{match: {{}}, actions: [pull]}}]\n\
             database: {{url: 'postgres://postgres@/wharfinger?host={socket}&port={port}'}}\n"
        )
    }

    fn start(&self) -> Server {
        let server = Server::start(Path::new(PROGRAM), &self.config(900));
        wait_until_ready(&server, true);
        server
    }

    fn list(&self, arguments: &[&str]) -> String {
        let file = self.folder.path().join("list.yml");
        std::fs::write(&file, self.config(900).replace("@addr@", "127.0.0.1:1")).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("replicas").arg(file).args(arguments);
        run(&mut command).succeeded().to_owned()
    }

    /// The servers in the list: their configuration, and whether they are there.
    fn listed(&self) -> Vec<(String, bool)> {
        let list: serde_json::Value = serde_json::from_str(&self.list(&["--json"])).unwrap();
        let servers = list.as_array().unwrap().iter();
        let listed = servers.map(|server| {
            assert_eq!(server["version"], env!("CARGO_PKG_VERSION"));
            let config = server["config"].as_str().unwrap().to_owned();
            (config, server["present"].as_bool().unwrap())
        });
        listed.collect()
    }

    /// Waits until the list is as `wanted`.
    fn wait_for(&self, wanted: impl Fn(&[(String, bool)]) -> bool) {
        wait_until(|| wanted(&self.listed()));
    }
}

fn wait_until_ready(server: &Server, is_ready: bool) {
    let status = if is_ready { 200 } else { 503 };
    wait_until(|| http::get(&server.url("/readyz")).status == status);
}

#[test]
fn servers_that_share_a_database_are_listed_and_differences_are_logged() {
    let servers = Servers::new();
    let (one, mut other) = (servers.start(), servers.start());
    // Where they listen is not compared.
    servers.wait_for(|listed| listed.len() == 2);
    let listed = servers.listed();
    assert_eq!(listed[0], listed[1]);
    assert!(listed[0].1);
    let text = servers.list(&[]);
    let head = text.lines().next().unwrap();
    let columns: Vec<_> = head.split_whitespace().collect();
    assert_eq!(
        columns,
        ["NAME", "VERSION", "SCHEMA", "CONFIG", "STARTED", "SEEN"]
    );
    other.rewrite(&servers.config(800));
    other.wait_for_log("configuration reloaded");
    servers.wait_for(|listed| listed[0].0 != listed[1].0);
    // As if a minute had passed.
    let earlier = "UPDATE replicas SET changed_at = now() - interval '2 minutes'";
    servers.database.run("wharfinger", earlier);
    other.wait_for_log("another configuration for more than a minute");
    // One that was killed is away; one that ended in order is gone.
    other.kill();
    let silent = "UPDATE replicas SET seen_at = now() - interval '1 minute'";
    servers.database.run("wharfinger", silent);
    servers.wait_for(|listed| listed.iter().filter(|server| server.1).count() == 1);
    assert_eq!(servers.listed().len(), 2);
    assert!(servers.list(&[]).contains("(away)"));
    let mut one = one;
    assert!(one.terminate().success(), "{}", one.log());
    assert_eq!(servers.listed().len(), 1);
}

#[test]
fn a_server_is_not_ready_while_its_database_is_away() {
    let mut servers = Servers::new();
    let server = servers.start();
    let ready = http::get(&server.url("/readyz")).body;
    assert!(
        ready.contains("{\"name\":\"database\",\"ok\":true}"),
        "{ready}"
    );
    for stop in [Postgres::stop, Postgres::kill] {
        stop(&mut servers.database);
        wait_until_ready(&server, false);
        let answer = http::get(&server.url("/readyz"));
        assert!(
            answer.body.contains("the database cannot be used"),
            "{}",
            answer.body
        );
        assert_eq!(http::get(&server.url("/livez")).status, 200);
        servers.database.start_again();
        wait_until_ready(&server, true);
    }
    // A server that starts without its database says so, and is there when it comes.
    servers.database.kill();
    let early = Server::start(Path::new(PROGRAM), &servers.config(900));
    assert_eq!(http::get(&early.url("/readyz")).status, 503);
    assert_eq!(http::get(&early.url("/livez")).status, 200);
    servers.database.start_again();
    wait_until_ready(&early, true);
}

#[test]
fn a_database_in_a_file_has_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let file = folder.path().join("file.yml");
    let config = format!(
        "server: {{addr: '127.0.0.1:1'}}\ntoken: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         users: {{'': {{}}}}\nacl: [{{match: {{}}, actions: [pull]}}]\n\
         database: {{url: 'sqlite://{}/w.db'}}\n",
        pair.certificate.display(),
        pair.key.display(),
        folder.path().display()
    );
    std::fs::write(&file, config).unwrap();
    let output = run(Command::new(PROGRAM).arg("replicas").arg(file));
    assert!(output.refused().contains("is a file, which has one server"));
}
