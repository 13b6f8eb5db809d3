//! What the log has of a request.

use std::path::Path;
use std::time::Duration;

use peers::Server;

use super::{Both, HASH, PROGRAM};
use crate::wire::Connection;

#[test]
fn every_response_has_the_id_of_its_lines_in_the_log() {
    let mut both = Both::start("", r#"[{match: {}, actions: ["*"]}]"#);
    both.push(&[]);
    let token = both.token("repository:a:pull", &[]);
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("User-Agent", "docker/1 \"x\""),
    ];
    // (path, status, what the line holds)
    for (path, status, expected) in [
        (
            "/v2/a/manifests/one?x=secret",
            200,
            "path=\"/v2/a/manifests/one\" repository=\"a\"",
        ),
        ("/v2/a/manifests/none", 404, "repository=\"a\" status=404"),
        ("/v2/", 200, "status=200 bytes=2 complete=true"),
        ("/v2/b/manifests/one", 401, "repository=\"b\" status=401"),
    ] {
        let answer = both.request("GET", path, &headers);
        assert_eq!(answer.status, status, "{path}");
        let id = answer.header("x-request-id").unwrap().to_owned();
        both.server
            .wait_for_log(&format!("request_id=\"{id}\" user_agent"));
        let log = both.server.log();
        let line = log
            .lines()
            .find(|line| line.contains(&id) && line.contains("wharfinger::access"))
            .unwrap_or_else(|| panic!("no line of {id}: {log}"));
        for part in [
            expected,
            "address=\"127.0.0.1\"",
            "method=\"GET\"",
            "docker/1",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains("secret"), "{line}");
    }
}

#[test]
fn the_access_log_can_be_thinned_and_turned_off() {
    for (settings, reads, refused) in [
        ("", 20, 1),
        (", log: {access_sample: 10}", 2, 1),
        (", log: {access: errors}", 0, 1),
        (", log: {access: \"off\"}", 0, 0),
        (", log: {level: warn}", 0, 0),
    ] {
        let both = Both::start(settings, "[]");
        for _ in 0..20 {
            assert_eq!(both.request("OPTIONS", "/v2/", &[]).status, 204);
        }
        let ok = both.token("", &[]);
        let bearer = format!("Bearer {ok}");
        for _ in 0..20 {
            let answer = both.request("GET", "/v2/", &[("Authorization", &bearer)]);
            assert_eq!(answer.status, 200);
        }
        both.request("GET", "/v2/x/tags/list", &[]);
        std::thread::sleep(Duration::from_millis(300));
        let log = both.server.log();
        let count = |part: &str| {
            let lines = log.lines();
            let is_line = |line: &&str| line.contains("wharfinger::access") && line.contains(part);
            lines.filter(is_line).count()
        };
        let is_read = "method=\"GET\" path=\"/v2/\" status=200";
        assert_eq!(count(is_read), reads, "{settings}: {log}");
        assert_eq!(count("path=\"/v2/x/tags/list\""), refused, "{settings}");
    }
}

#[test]
fn the_log_says_who_changed_what_and_who_was_refused() {
    let mut both = Both::start("", r#"[{match: {}, actions: ["*"]}]"#);
    both.push(&[]);
    both.server
        .wait_for_log("tag set repository=\"a\" tag=\"one\"");
    both.server.wait_for_log("manifest pushed repository=\"a\"");
    let other = Both::start("", "[]");
    let token = other.token("", &[]);
    let bearer = format!("Bearer {token}");
    let refused = both.request("GET", "/v2/", &[("Authorization", &bearer)]);
    assert_eq!(refused.status, 401);
    both.server.wait_for_log("error authorizing context");
    let log = both.server.log();
    let line = log.lines().find(|line| line.contains("authorizing"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for part in [
        "token signed by untrusted key with ID",
        "address=\"127.0.0.1\"",
        "request_id=",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn a_refused_htpasswd_login_is_in_the_log_with_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, format!("ann:{HASH}\n")).unwrap();
    let config = format!(
        "server: {{addr: \"@addr@\"}}\n\
         registry:\n  auth: {{htpasswd: {{realm: r, path: \"{}\"}}}}\n  \
         storage: {{filesystem: {{root: \"{}/content\"}}}}\n",
        file.display(),
        folder.path().display()
    );
    let mut server = Server::start(Path::new(PROGRAM), &config);
    let basic = data_encoding::BASE64.encode(b"ann:wrong");
    let basic = format!("Basic {basic}");
    let answer = Connection::open(&server.host_port()).request(
        "GET",
        "/v2/",
        &[("Authorization", &basic)],
        None,
    );
    assert_eq!(answer.status, 401);
    server.wait_for_log("error authorizing context");
    let log = server.log();
    let line = log.lines().find(|line| line.contains("authorizing"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for part in [
        "incorrect username or password",
        "account=\"ann\"",
        "address=\"127.0.0.1\"",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}
