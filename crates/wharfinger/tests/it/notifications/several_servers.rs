//! Servers that share a database: one of them delivers, and another one takes over.

use std::path::Path;

use peers::{Postgres, Server, wait_until};

use super::{PROGRAM, accepting, push, pushed, wait_until_healthy};

#[test]
fn one_server_delivers_and_another_takes_over() {
    let (postgres, folder, stub) = (Postgres::start(), tempfile::tempdir().unwrap(), accepting());
    postgres.run("postgres", "CREATE DATABASE wharfinger");
    let config = format!(
        "server: {{addr: \"@addr@\"}}\n\
         database: {{url: 'postgres://postgres@/wharfinger?host={}&port={}'}}\n\
         notifications: {{endpoints: [{{name: one, url: '{}'}}]}}\n\
         registry:\n  auth: {{none: true}}\n  storage: {{filesystem: {{root: \"{}\"}}}}\n",
        postgres.socket_directory().display(),
        postgres.port(),
        stub.url("/"),
        folder.path().display()
    );
    let mut servers = [(); 2].map(|()| {
        let server = Server::start(Path::new(PROGRAM), &config);
        wait_until_healthy(&server);
        server
    });
    let mut expected = Vec::new();
    let mut push_at = |server: &Server, tag: &str| {
        while push(server, "a", tag) != 201 {}
        expected.push(format!("a:{tag}"));
        // A server that is killed between a delivery and its record leaves it to the next one, which repeats it.
        let told = || {
            let mut told = pushed(&stub);
            told.dedup();
            told
        };
        wait_until(|| told().len() >= expected.len());
        assert_eq!(told(), expected);
    };
    push_at(&servers[0], "1");
    push_at(&servers[1], "2");
    // Whichever delivers, one of these is a take-over.
    servers[0].kill();
    push_at(&servers[1], "3");
    servers[0].start_again();
    wait_until_healthy(&servers[0]);
    servers[1].kill();
    push_at(&servers[0], "4");
}
