//! `wharfinger notifications list` and `retry`.

use peers::Output;
use serde_json::Value;

use super::{NotifyingServer, accepting, endpoint, push, pushed, wait_for};

fn lines(output: &Output) -> Vec<Value> {
    let lines = output.succeeded().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_was_set_aside_is_listed_and_sent_again() {
    let stub = accepting();
    let mut told = NotifyingServer::start(&endpoint("old", "http://127.0.0.1:9/"));
    assert_eq!(push(&told.server, "team/app", "1"), 201);
    assert_eq!(push(&told.server, "team/app", "2"), 201);
    let pending = ["list", "FILE", "--pending", "--json"];
    while lines(&told.run(&pending)).len() < 2 {}
    told.restart(&endpoint("new", &stub.url("/")));
    assert_eq!(push(&told.server, "team/app", "3"), 201);
    wait_for(&stub, 1);
    assert_eq!(pushed(&stub), ["team/app:3"]);

    let failed = ["list", "FILE", "--failed", "--json"];
    let listed = lines(&told.run(&failed));
    assert_eq!(listed.len(), 2);
    assert_eq!(
        (&listed[0]["endpoint"], &listed[0]["state"]),
        (&"old".into(), &"failed".into())
    );
    assert_eq!(listed[0]["event"]["target"]["tag"], "1");
    let table = told.run(&["list", "FILE", "--endpoint", "old"]);
    let table = table.succeeded();
    assert!(table.starts_with("ID "), "{table}");
    assert!(table.contains("push team/app:1"), "{table}");
    assert!(
        table.contains("the configuration has no such endpoint"),
        "{table}"
    );
    assert!(!table.contains("team/app:3"), "{table}");

    // What is for an endpoint that is not configured would wait for ever, so it is left and counted.
    let left = "2 notifications were left, because their endpoints are not configured: old (2)";
    let retried = told.run(&["retry", "FILE"]);
    let expected = format!("no notification is sent again\n{left}");
    assert_eq!(retried.succeeded(), expected);
    let id = listed[0]["id"].to_string();
    let by_number = told.run(&["retry", "FILE", &id]);
    assert_eq!(by_number.status.code(), Some(1), "{by_number}");
    assert!(
        by_number.stderr.contains("not configured: old (1)"),
        "{by_number}"
    );
    let by_name = told.run(&["retry", "FILE", "--endpoint", "old"]);
    assert_eq!(by_name.status.code(), Some(2), "{by_name}");
    assert!(
        by_name
            .stderr
            .contains("the endpoint \"old\" is not configured"),
        "{by_name}"
    );
    assert_eq!(lines(&told.run(&failed)).len(), 2);

    // The endpoint is there again, under its old name.
    told.restart(&endpoint("old", &stub.url("/")));
    let retried = told.run(&["retry", "FILE"]);
    assert_eq!(retried.succeeded(), "2 notifications are sent again");
    wait_for(&stub, 3);
    assert_eq!(pushed(&stub)[1..], ["team/app:1", "team/app:2"]);
    while !lines(&told.run(&pending)).is_empty() {}
    assert!(lines(&told.run(&failed)).is_empty());

    // One that was delivered is sent again by its number.
    let all = lines(&told.run(&["list", "FILE", "--json", "--limit", "1"]));
    let id = all[0]["id"].to_string();
    assert_eq!(all[0]["status"], 200);
    assert_eq!(all[0]["event"]["target"]["tag"], "3");
    told.restart(&endpoint("new", &stub.url("/")));
    let retried = told.run(&["retry", "FILE", &id, "999998", "999999"]);
    assert_eq!(
        retried.succeeded(),
        "1 notification is sent again\nthere is no notification: numbers 999998, 999999"
    );
    wait_for(&stub, 4);
    assert_eq!(pushed(&stub)[3], "team/app:3");
    // The list has endpoints that were removed, and a message that names endpoints has them, too.
    let unknown = told.run(&["list", "FILE", "--endpoint", "odl"]);
    assert!(
        unknown.stderr.contains(
            "no endpoint has the name \"odl\": the configuration has new; there are also notifications for old, \
             not configured any more; did you mean \"old\"?"
        ),
        "{unknown}"
    );
}

/// A script may send again what was set aside, whether there is something or not.
#[test]
fn only_a_name_or_a_number_that_is_wrong_is_an_error() {
    let told = NotifyingServer::start(&endpoint("listener", "http://127.0.0.1:9/"));
    for arguments in [
        &["retry", "FILE"][..],
        &["retry", "FILE", "--endpoint", "listener"],
    ] {
        assert_eq!(
            told.run(arguments).succeeded(),
            "no notification was set aside, so none is sent again"
        );
    }
    let table = told.run(&["list", "FILE", "--endpoint", "listener"]);
    assert!(table.succeeded().starts_with("ID "), "{table}");
    for command in ["list", "retry"] {
        let unknown = told.run(&[command, "FILE", "--endpoint", "listner"]);
        assert_eq!(unknown.status.code(), Some(2), "{unknown}");
        assert!(
            unknown
                .stderr
                .contains("no endpoint has the name \"listner\": the configuration has listener; did you mean \"listener\"?"),
            "{unknown}"
        );
    }
    let unknown = told.run(&["retry", "FILE", "999"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown}");
    assert!(
        unknown
            .stderr
            .contains("no notification is sent again: there is no notification: number 999"),
        "{unknown}"
    );
}
