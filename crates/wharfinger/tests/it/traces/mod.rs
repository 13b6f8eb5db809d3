//! Traces: what a collector gets, what other servers and programs are told, and what a collector that is
//! away costs.

mod collector;

use std::path::Path;

use peers::{HttpStub, Server, StubAnswer, TestCertificate, TestKeyKind, http, wait_until};
use tempfile::TempDir;

use self::collector::{Collector, Span};
use crate::personal_tokens::basic;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY_INDEX: &str = "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Starts the program with these variables.
fn start(variables: &[String], config: &str) -> Server {
    let mut arguments: Vec<&str> = variables.iter().map(String::as_str).collect();
    arguments.extend([PROGRAM, "serve"]);
    Server::start_as(Path::new("/usr/bin/env"), &arguments, config)
}

/// The variables for a collector.
fn variables(collector: &str) -> Vec<String> {
    vec![
        format!("OTEL_EXPORTER_OTLP_ENDPOINT={collector}"),
        "OTEL_EXPORTER_OTLP_HEADERS=x-tenant=a%20b".to_owned(),
        "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test".to_owned(),
        "OTEL_SERVICE_NAME=registry".to_owned(),
        "OTEL_BSP_SCHEDULE_DELAY=100".to_owned(),
    ]
}

/// An open registry.
fn registry(folder: &TempDir) -> String {
    let place = folder.path().display();
    format!(
        "server: {{addr: '@addr@', metrics: {{token: 0123456789abcdef}}}}\n\
         registry: {{auth: {{none: true}}, storage: {{filesystem: {{root: '{place}'}}}}}}\n"
    )
}

/// A request within the client's trace.
fn traced(server: &Server, arguments: &[&str], path: &str) -> http::Answer {
    let parent = format!("traceparent: 00-{TRACE}-{PARENT}-01");
    let state = "tracestate: vendor=1";
    let url = server.url(path);
    http::request(&[&["-H", &parent, "-H", state], arguments, &[&url]].concat())
}

fn push(server: &Server) {
    let kind = format!("Content-Type: {INDEX}");
    let push = ["-X", "PUT", "-H", &kind, "-d", EMPTY_INDEX];
    let answer = traced(server, &push, "/v2/app/manifests/latest");
    assert_eq!(answer.status, 201, "{}", answer.body);
}

#[test]
fn each_request_is_a_span_and_its_work_is_below_it() {
    let collector = Collector::start();
    let folder = tempfile::tempdir().unwrap();
    let server = start(&variables(&collector.url()), &registry(&folder));
    push(&server);
    let pulled = traced(&server, &[], "/v2/app/manifests/latest");
    let spans = collector.wait_for(|spans| {
        spans.iter().any(|span| span.name == "GET manifest")
            && spans.iter().any(|span| span.name == "database write")
    });
    let of_trace: Vec<&Span> = spans.iter().filter(|span| span.trace_id == TRACE).collect();
    let named = |name: &str| {
        let found = of_trace.iter().find(|span| span.name == name);
        *found.unwrap_or_else(|| panic!("no {name} in {of_trace:#?}"))
    };
    let (put, get) = (named("PUT manifest"), named("GET manifest"));
    let write = named("database write");
    for span in [put, get] {
        assert_eq!((span.parent.as_str(), span.kind), (PARENT, 2), "{span:?}");
        assert_eq!(span.state, "vendor=1");
    }
    assert_eq!((write.parent.as_str(), write.kind), (put.id.as_str(), 3));
    assert!(
        write.begin >= put.begin && write.end <= put.end,
        "{write:?} {put:?}"
    );
    let id = pulled.header("x-request-id").unwrap();
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "manifest"),
        ("url.path", "/v2/app/manifests/latest"),
        ("http.response.status_code", "200"),
        ("client.address", "127.0.0.1"),
        ("wharfinger.request_id", id),
    ] {
        assert_eq!(get.attribute(name), Some(value), "{get:?}");
    }
    assert!(
        get.attribute("user_agent.original")
            .unwrap()
            .starts_with("curl/")
    );
    let request = &collector.requests()[0];
    assert_eq!(request.path, "/v1/traces");
    assert_eq!(
        request.header("content-type"),
        Some("application/x-protobuf")
    );
    assert_eq!(request.header("x-tenant"), Some("a b"));
    let resource = &spans[0].resource;
    for (name, value) in [
        ("service.name", "registry"),
        ("deployment.environment.name", "test"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ] {
        let pair = (name.to_owned(), value.to_owned());
        assert!(resource.contains(&pair), "{resource:?}");
    }
    // The log and the metrics lead to the trace.
    assert!(
        server.log().contains(&format!("trace_id=\"{TRACE}\"")),
        "{}",
        server.log()
    );
    let scrape = http::request(&[
        "-H",
        "Authorization: Bearer 0123456789abcdef",
        "-H",
        "Accept: application/openmetrics-text",
        &server.url("/metrics"),
    ]);
    assert!(
        scrape.body.contains(&format!(",trace_id=\"{TRACE}\"}}")),
        "{}",
        scrape.body
    );
    assert!(
        scrape
            .body
            .contains("wharfinger_trace_spans_total{outcome=\"sent\"}")
    );
}

#[test]
fn without_variables_there_are_no_traces_and_no_word_of_them() {
    let folder = tempfile::tempdir().unwrap();
    for variables in [
        vec!["OTEL_SERVICE_NAME=registry".to_owned()],
        vec![
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1".to_owned(),
            "OTEL_TRACES_EXPORTER=none".to_owned(),
        ],
    ] {
        let server = start(&variables, &registry(&folder));
        push(&server);
        let log = server.log().to_lowercase();
        assert!(!log.contains("otel") && !log.contains("trace"), "{log}");
    }
}

#[test]
fn what_is_not_understood_is_a_warning_and_the_registry_serves() {
    let folder = tempfile::tempdir().unwrap();
    let variables = vec![
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1".to_owned(),
        "OTEL_EXPORTER_OTLP_PROTOCOL=grpc".to_owned(),
    ];
    let server = start(&variables, &registry(&folder));
    push(&server);
    assert!(
        server
            .log()
            .contains("OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not supported")
    );
}

#[test]
fn a_collector_that_is_away_delays_nothing_and_is_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    // A collector that refuses for good.
    let collector = Collector::answering("400 Bad Request");
    let mut variables = variables(&collector.url());
    variables.push("OTEL_BSP_MAX_QUEUE_SIZE=5".to_owned());
    let server = start(&variables, &registry(&folder));
    push(&server);
    let count = |outcome: &str| {
        let scrape = http::request(&[
            "-H",
            "Authorization: Bearer 0123456789abcdef",
            &server.url("/metrics"),
        ]);
        let sample = format!("wharfinger_trace_spans_total{{outcome=\"{outcome}\"}} ");
        let mut lines = scrape.body.lines();
        let found = lines.find_map(|line| line.strip_prefix(&sample));
        found.unwrap().parse::<u64>().unwrap()
    };
    // How many are made before the collector has answered depends on the machine.
    wait_until(|| {
        for _ in 0..20 {
            let pulled = traced(&server, &[], "/v2/app/manifests/latest");
            assert_eq!(pulled.status, 200);
        }
        count("failed") > 10 && count("lost") > 0
    });
    let log = server.log();
    let said = log
        .matches("traces cannot be sent to the collector")
        .count();
    assert_eq!(said, 1, "{log}");
    assert_eq!(count("sent"), 0);
}

#[test]
fn the_last_spans_are_sent_when_the_server_ends() {
    let collector = Collector::start();
    let folder = tempfile::tempdir().unwrap();
    let mut variables = variables(&collector.url());
    variables.push("OTEL_BSP_SCHEDULE_DELAY=3600000".to_owned());
    let mut server = start(&variables, &registry(&folder));
    push(&server);
    server.terminate();
    let spans = collector.wait_for(|spans| !spans.is_empty());
    assert!(
        spans.iter().any(|span| span.name == "PUT manifest"),
        "{spans:?}"
    );
}

#[test]
fn a_backend_and_a_program_are_told_the_trace() {
    let collector = Collector::start();
    let backend =
        HttpStub::start(|_| StubAnswer::Status(200, "{\"result\": \"allow\"}".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let note = folder.path().join("note");
    let program = folder.path().join("decide");
    std::fs::write(
        &program,
        format!(
            "#!/bin/sh\ncat >/dev/null\nenv | grep ^TRACE >'{}'\nprintf '[\"pull\"]'\n",
            note.display()
        ),
    )
    .unwrap();
    peers::run(std::process::Command::new("chmod").arg("+x").arg(&program)).succeeded();
    let config = format!(
        "server: {{addr: '@addr@'}}\n\
         token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         http_auth: {{url: '{}'}}\n\
         ext_authz: {{command: '{}'}}\n",
        pair.certificate.display(),
        pair.key.display(),
        backend.url("/login"),
        program.display(),
    );
    let server = start(&variables(&collector.url()), &config);
    let login = format!("Authorization: {}", basic("ann", "secret"));
    let path = "/auth?service=s&scope=repository:app:pull";
    let answer = traced(&server, &["-H", &login], path);
    assert_eq!(answer.status, 200, "{}\n{}", answer.body, server.log());
    let spans = collector.wait_for(|spans| spans.iter().any(|span| span.name == "GET token"));
    let request = spans.iter().find(|span| span.name == "GET token").unwrap();
    let asked = spans
        .iter()
        .find(|span| span.name == "HTTP backend")
        .unwrap();
    assert_eq!(asked.parent, request.id);
    let told = backend.requests();
    let parent = told[0].header("traceparent").unwrap();
    assert_eq!(parent, format!("00-{TRACE}-{}-01", asked.id));
    assert_eq!(told[0].header("tracestate"), Some("vendor=1"));
    let noted = std::fs::read_to_string(&note).unwrap();
    assert!(
        noted.contains(&format!("TRACEPARENT=00-{TRACE}-{}-01", request.id)),
        "{noted}"
    );
    assert!(noted.contains("TRACESTATE=vendor=1"), "{noted}");
}
