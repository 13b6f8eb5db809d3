//! What a crash and a refusal leave of notifications.

use std::collections::HashSet;
use std::path::Path;

use peers::{HttpStub, ReservedAddress, Server, StubAnswer, http, wait_until};

use super::{
    NotifyingServer, PROGRAM, accepting, endpoint, events, push, pushed, wait_for,
    wait_until_healthy,
};
use crate::registry::transfers::disks::Disk;

#[test]
fn a_push_that_was_acknowledged_is_told_after_a_crash() {
    let address = ReservedAddress::new();
    let url = format!("http://{address}/");
    let mut told = NotifyingServer::start(&endpoint("one", &url));
    let mut expected = Vec::new();
    for round in 0..4 {
        for repository in ["team/a", "team/b"] {
            let tag = format!("{round}");
            assert_eq!(push(&told.server, repository, &tag), 201);
            expected.push(format!("{repository}:{tag}"));
        }
        told.server.kill();
        told.server.start_again();
        wait_until_healthy(&told.server);
    }
    let url = told.server.url("/v2/team/a/manifests/3");
    assert_eq!(http::request(&["-X", "DELETE", &url]).status, 202);
    told.server.kill();

    let stub = HttpStub::start_at(address, |_| StubAnswer::Status(200, String::new()));
    told.server.start_again();
    wait_until_healthy(&told.server);
    wait_for(&stub, expected.len() + 1);
    assert_eq!(pushed(&stub), expected, "each once, in their order");
    let deleted = events(&stub, "delete");
    assert_eq!(deleted.len(), 1);
    assert_eq!(deleted[0]["target"]["tag"], "3");
    let all = events(&stub, "push");
    let ids: HashSet<&str> = all.iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), expected.len());
}

/// The server is killed while it delivers, again and again: each push is told, and in the order of its
/// repository.
#[test]
fn a_crash_during_delivery_repeats_and_loses_nothing() {
    let stub = HttpStub::start(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        StubAnswer::Status(200, String::new())
    });
    let mut told = NotifyingServer::start(&endpoint("one", &stub.url("/")));
    let mut expected = Vec::new();
    for round in 0..5 {
        for number in 0..6 {
            let tag = format!("{round}-{number}");
            assert_eq!(push(&told.server, "a", &tag), 201);
            expected.push(format!("a:{tag}"));
        }
        told.server.kill();
        told.server.start_again();
        wait_until_healthy(&told.server);
    }
    wait_until(|| first_seen(&stub).len() >= expected.len());
    assert_eq!(first_seen(&stub), expected);
    // What is sent again is the same event.
    let all = events(&stub, "push");
    let ids: HashSet<&str> = all.iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), expected.len());
}

/// What an endpoint got, without repetitions.
fn first_seen(stub: &HttpStub) -> Vec<String> {
    let mut seen = Vec::new();
    for image in pushed(stub) {
        if !seen.contains(&image) {
            seen.push(image);
        }
    }
    seen
}

#[test]
fn a_full_disk_loses_no_notification_and_invents_none() {
    let (disk, folder, stub) = (Disk::new(24), tempfile::tempdir().unwrap(), accepting());
    let database = disk.path().join("wharfinger.db");
    let config = format!(
        "database: {{url: 'sqlite://{}'}}\n{}",
        database.display(),
        super::config(&folder, &endpoint("one", &stub.url("/")))
    );
    let mut server = Server::start(Path::new(PROGRAM), &config);
    let mut expected = Vec::new();
    let mut push_one = |number: usize| {
        let is_stored = push(&server, "a", &number.to_string()) == 201;
        if is_stored {
            expected.push(format!("a:{number}"));
        }
        is_stored
    };
    assert!((0..5).all(&mut push_one));
    let filler = disk.fill();
    // Before it is noticed, there may be some room in what SQLite has.
    let mut number = 5;
    let mut refused = 0;
    while refused < 5 {
        refused += usize::from(!push_one(number));
        number += 1;
    }
    std::fs::remove_file(filler).unwrap();
    while !push_one(number) {
        number += 1;
    }
    wait_until(|| first_seen(&stub).len() >= expected.len());
    assert_eq!(first_seen(&stub), expected);
    server.terminate();
}

#[test]
fn a_push_that_was_refused_is_not_told() {
    let stub = accepting();
    let told = NotifyingServer::start(&endpoint("one", &stub.url("/")));
    let manifest = "application/vnd.oci.image.manifest.v1+json";
    let missing = format!("sha256:{}", "1".repeat(64));
    let lacking = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{manifest}\",\"config\":{{\"mediaType\":\"c/c\",\"digest\":\
         \"{missing}\",\"size\":1}},\"layers\":[]}}"
    );
    let media_type = format!("Content-Type: {manifest}");
    for body in [lacking.as_str(), "{}", ""] {
        let url = told.server.url("/v2/a/manifests/1");
        let words = ["-X", "PUT", "-H", &media_type, "--data-binary", body, &url];
        let status = http::request(&words).status;
        assert_eq!(status, 400);
    }
    let url = told.server.url("/v2/a/manifests/unknown");
    assert_eq!(http::request(&["-X", "DELETE", &url]).status, 404);
    assert_eq!(push(&told.server, "a", "good"), 201);
    wait_for(&stub, 1);
    assert_eq!(pushed(&stub), ["a:good"]);
    assert_eq!(stub.requests().len(), 1);
}

#[test]
fn a_dead_endpoint_delays_no_push_and_no_other_endpoint() {
    let (silent, alive) = (HttpStub::start(|_| StubAnswer::Silence), accepting());
    let told = NotifyingServer::start(&format!(
        "endpoints: [{{name: silent, url: '{}', timeout: 10m}}, {{name: alive, url: '{}'}}]",
        silent.url("/"),
        alive.url("/")
    ));
    for tag in 0..20 {
        assert_eq!(push(&told.server, "a", &tag.to_string()), 201);
        let url = told.server.url(&format!("/v2/a/manifests/{tag}"));
        assert_eq!(http::get(&url).status, 200);
    }
    wait_for(&alive, 40);
    assert_eq!(pushed(&alive).len(), 20);
    assert_eq!(events(&alive, "pull").len(), 20);
    assert_eq!(silent.most_at_once(), 1);
}
