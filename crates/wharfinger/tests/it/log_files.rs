//! The files of the log: their rotation by SIGHUP, and the combined format.

use std::path::Path;
use std::time::Duration;

use peers::{Server, http};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// What the file has when it has this text.
fn read_with(path: &Path, text: &str) -> String {
    for _ in 0..100 {
        let found = std::fs::read_to_string(path).unwrap_or_default();
        if found.contains(text) {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{text} is not in {}", path.display());
}

#[test]
fn files_are_opened_again_after_a_hangup() {
    let folder = tempfile::tempdir().unwrap();
    let (main, access) = (
        folder.path().join("main.log"),
        folder.path().join("access.log"),
    );
    let config = format!(
        "server: {{addr: '@addr@', log: {{file: '{}', format: json, access_format: combined, \
         access_path: '{}'}}}}\n\
         registry: {{auth: {{none: true}}, storage: {{inmemory: true}}}}\n",
        main.display(),
        access.display(),
    );
    let server = Server::start(Path::new(PROGRAM), &config);
    let get = |path: &str| http::request(&["-A", "agent \"x\"", &server.url(path)]);
    assert_eq!(get("/v2/first/tags/list?secret=1").status, 404);
    let lines = read_with(&access, "/v2/first/");
    let line = lines
        .lines()
        .find(|line| line.contains("/v2/first/"))
        .unwrap();
    let (begin, rest) = line.split_once(" [").unwrap();
    assert_eq!(begin, "127.0.0.1 - -");
    let (_, rest) = rest.split_once("] ").unwrap();
    assert!(
        rest.starts_with("\"GET /v2/first/tags/list HTTP/1.1\" 404 "),
        "{line}"
    );
    assert!(rest.ends_with(" \"-\" \"agent \\\"x\\\"\""), "{line}");
    assert!(read_with(&main, "listening").starts_with('{'));
    assert!(
        !server.log().contains("/v2/first/"),
        "not on standard error"
    );

    let old = |path: &Path| path.with_extension("log.1");
    for path in [&main, &access] {
        std::fs::rename(path, old(path)).unwrap();
    }
    server.hang_up();
    read_with(&main, "configuration reloaded");
    assert_eq!(get("/v2/second/tags/list").status, 404);
    read_with(&access, "/v2/second/");
    let before = std::fs::read_to_string(old(&access)).unwrap();
    assert!(
        before.contains("/v2/first/") && !before.contains("/v2/second/"),
        "{before}"
    );
}

#[test]
fn without_a_file_of_its_own_the_combined_format_is_among_all_lines() {
    let config = "server: {addr: '@addr@', log: {access_format: combined, access: errors}}\n\
                  registry: {auth: {none: true}, storage: {inmemory: true}}\n";
    let mut server = Server::start(Path::new(PROGRAM), config);
    assert_eq!(http::get(&server.url("/v2/")).status, 200);
    assert_eq!(http::get(&server.url("/v2/app/tags/list")).status, 404);
    server.wait_for_log("\"GET /v2/app/tags/list HTTP/1.1\" 404 ");
    assert!(!server.log().contains("GET /v2/ "), "{}", server.log());
    assert!(
        !server.log().contains("wharfinger::access"),
        "{}",
        server.log()
    );
}
