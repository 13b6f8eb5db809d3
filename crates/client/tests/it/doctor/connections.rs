//! What is between a client and a registry: addresses, redirects, plain HTTP.

use client::{ProbeTarget, ProbeVerdict, TransportOptions, run_probes};
use peers::ReservedAddress;

use super::{fails, stub, target};
use crate::stub::Reply;

#[tokio::test]
async fn an_address_without_a_server() {
    let stub = stub(|_| None);
    let closed = ProbeTarget {
        host: "127.0.0.1:1".parse().unwrap(),
        ..target(&stub)
    };
    fails(
        &closed,
        &["registry-reachable"],
        "cannot be reached",
        "server is running",
    )
    .await;
    let nowhere = ProbeTarget {
        host: "no-such-host.invalid".parse().unwrap(),
        ..target(&stub)
    };
    fails(
        &nowhere,
        &["registry-reachable"],
        "cannot be found by name",
        "spelling",
    )
    .await;
}

#[tokio::test]
async fn redirects_that_go_round() {
    let slash = stub(|request| match request.path.as_str() {
        "/v2/" => Some(Reply::new(301).header("Location", "/v2")),
        "/v2" => Some(Reply::new(301).header("Location", "/v2/")),
        _ => None,
    });
    fails(
        &ProbeTarget {
            repository: None,
            login: None,
            ..target(&slash)
        },
        &["registry-redirects"],
        "a loop: http://",
        "slash",
    )
    .await;
}

/// Docker 29.10 and newer allow plain HTTP on this machine only while `insecure-registries` is not
/// set.
#[tokio::test]
async fn docker_s_list_of_insecure_registries_decides_about_this_machine() {
    let stub = stub(|_| None);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("daemon.json");
    let host = stub.host().to_owned();
    let line = format!("\"insecure-registries\": [\"{host}\"]");
    for (content, verdict) in [
        (None, ProbeVerdict::Ok),
        (Some("{}".to_owned()), ProbeVerdict::Ok),
        (Some("not JSON".to_owned()), ProbeVerdict::Ok),
        (
            Some(r#"{"insecure-registries":[]}"#.to_owned()),
            ProbeVerdict::Warning,
        ),
        (
            Some(r#"{"insecure-registries":["other.example:5000"]}"#.to_owned()),
            ProbeVerdict::Warning,
        ),
        (Some(format!("{{{line}}}")), ProbeVerdict::Ok),
        (
            Some(r#"{"insecure-registries":["127.0.0.0/8"]}"#.to_owned()),
            ProbeVerdict::Ok,
        ),
    ] {
        let _ = std::fs::remove_file(&file);
        if let Some(content) = &content {
            std::fs::write(&file, content).unwrap();
        }
        let target = ProbeTarget {
            docker_daemon: file.clone(),
            ..target(&stub)
        };
        let results = run_probes(&target, TransportOptions::default())
            .await
            .unwrap();
        let result = results.iter().find(|result| result.id == "registry-scheme");
        let result = result.unwrap();
        assert_eq!(result.verdict, verdict, "{content:?} {result:?}");
        if verdict == ProbeVerdict::Warning {
            let remedy = result.remedy.as_deref().unwrap();
            assert!(remedy.contains(&line), "{remedy}");
            // The remedy works as it is printed.
            std::fs::write(&file, format!("{{{line}}}")).unwrap();
            let results = run_probes(&target, TransportOptions::default())
                .await
                .unwrap();
            let healed = results.iter().find(|result| result.id == "registry-scheme");
            assert_eq!(healed.unwrap().verdict, ProbeVerdict::Ok);
        }
    }
}

#[tokio::test]
async fn the_cause_of_a_failed_connection_is_told() {
    let stub = stub(|_| None);
    let closed = ReservedAddress::new();
    let target = ProbeTarget {
        host: closed.to_string().parse().unwrap(),
        ..target(&stub)
    };
    fails(
        &target,
        &["registry-reachable"],
        "Connection refused",
        "server is running",
    )
    .await;
}
