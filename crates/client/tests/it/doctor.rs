//! The doctor, with servers that have one fault each. Faults of real registries and proxies are
//! tested with the command.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::{
    CredentialStore, Host, KnownSettings, LoginCredentials, PROBES, ProbeResult, ProbeTarget,
    ProbeVerdict, TransportOptions, run_probes,
};
use data_encoding::BASE64URL_NOPAD;

use crate::stub::{Reply, Request, Stub, password};

const NOW: u64 = 4_000_000_000;

fn token(audience: &str, access: &str) -> String {
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let claims = format!(
        r#"{{"iss":"Acme","sub":"ann","aud":"{audience}","exp":{NOW},"nbf":0,"iat":{},"jti":"j"{access}}}"#,
        NOW - 900
    );
    format!(
        "{}.{}.{}",
        part(r#"{"typ":"JWT","alg":"RS256","kid":"K"}"#),
        part(&claims),
        part("signature")
    )
}

const PULL_PUSH: &str = r#","access":[{"type":"repository","name":"a","actions":["pull","push"]}]"#;

/// A registry and token server that are well, but for what `ill` answers in their place.
fn stub(ill: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Stub {
    Stub::start(move |request| ill(request).unwrap_or_else(|| well(request)))
}

fn well(request: &Request) -> Reply {
    let challenge = |more: &str| {
        let value = format!(r#"Bearer realm="http://@self@/token",service="s"{more}"#);
        Reply::json(401, r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#)
            .header("WWW-Authenticate", &value)
    };
    let given = request.header("authorization").unwrap_or_default();
    let path = request.path.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        (_, "/token") if given.starts_with("Basic ") && given != "Basic YW5uOnNlc2FtZQ==" => {
            Reply::json(401, r#"{"error":"unauthorized","details":"incorrect"}"#)
        }
        (_, "/token") => Reply::json(200, &format!(r#"{{"token":"{}"}}"#, token("s", PULL_PUSH))),
        (_, path) if !path.starts_with("/v2/") => Reply::new(404),
        _ if given.is_empty() => challenge(""),
        _ if !given.starts_with("Bearer ey")
            || given.contains(&BASE64URL_NOPAD.encode(b"no signature")) =>
        {
            challenge(r#",error="invalid_token""#)
        }
        ("POST", _) => Reply::new(202).header("Location", "/v2/a/blobs/uploads/1?_state=x"),
        ("PATCH", _) => Reply::new(202).header("Location", "/v2/a/blobs/uploads/1?_state=y"),
        ("GET" | "DELETE", "/v2/a/blobs/uploads/1") => Reply::new(204),
        (_, "/v2/a/tags/list") => Reply::json(200, r#"{"tags":["1"]}"#),
        _ => Reply::new(200),
    }
}

fn target(stub: &Stub) -> ProbeTarget {
    ProbeTarget {
        host: stub.host().parse().unwrap(),
        repository: Some("a".parse().unwrap()),
        reference: None,
        login: Some(password("ann", "sesame")),
        store: CredentialStore::default(),
        push: false,
        settings: KnownSettings::default(),
        docker_daemon: "/nonexistent/daemon.json".into(),
    }
}

async fn examined(target: &ProbeTarget) -> Vec<ProbeResult> {
    let results = run_probes(
        target,
        TransportOptions {
            plain_http: true,
            ..TransportOptions::default()
        },
    )
    .await
    .unwrap();
    assert_eq!(
        results.iter().map(|result| result.id).collect::<Vec<_>>(),
        PROBES,
        "each once, in order"
    );
    results
}

fn of(results: &[ProbeResult], verdict: ProbeVerdict) -> Vec<&'static str> {
    results
        .iter()
        .filter(|result| result.verdict == verdict)
        .map(|result| result.id)
        .collect()
}

/// Exactly these fail, and the first of them says these words.
async fn fails(target: &ProbeTarget, ids: &[&str], evidence: &str, remedy: &str) {
    let results = examined(target).await;
    assert_eq!(of(&results, ProbeVerdict::Failure), ids, "{results:#?}");
    says(&results, ids[0], evidence, remedy);
}

/// Nothing fails, and this one warns.
async fn warns(target: &ProbeTarget, id: &str, evidence: &str, remedy: &str) {
    let results = examined(target).await;
    assert_eq!(of(&results, ProbeVerdict::Failure), [""; 0], "{results:#?}");
    assert_eq!(of(&results, ProbeVerdict::Warning), [id], "{results:#?}");
    says(&results, id, evidence, remedy);
}

fn says(results: &[ProbeResult], id: &str, evidence: &str, remedy: &str) {
    let result = results.iter().find(|result| result.id == id).unwrap();
    assert!(result.evidence.contains(evidence), "{result:?}");
    assert!(
        result
            .remedy
            .as_deref()
            .unwrap_or_default()
            .contains(remedy),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_healthy_registry() {
    let stub = stub(|_| None);
    let results = examined(&ProbeTarget {
        push: true,
        ..target(&stub)
    })
    .await;
    assert_eq!(
        (
            of(&results, ProbeVerdict::Failure),
            of(&results, ProbeVerdict::Warning)
        ),
        (vec![], vec![]),
        "{results:#?}"
    );
    let untested = [
        "registry-certificate",
        "realm-certificate",
        "clocks",
        "stored-logins",
        "token-key",
    ];
    assert_eq!(of(&results, ProbeVerdict::NotTested), untested);
    assert_eq!(
        stub.lines().last().unwrap(),
        "DELETE /v2/a/blobs/uploads/1?_state=y",
        "the upload is cancelled"
    );
    let shown = format!("{results:?}");
    assert!(
        !shown.contains("sesame") && !shown.contains(&token("s", PULL_PUSH)),
        "no secret is shown"
    );
}

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
async fn challenges_that_are_none() {
    let bare = stub(|request| (well(request).is(401)).then(|| Reply::new(401)));
    fails(
        &target(&bare),
        &["registry-challenge"],
        "401 without a WWW-Authenticate",
        "a proxy removes the header",
    )
    .await;
    let two = stub(|request| {
        well(request)
            .is(401)
            .then(|| well(request).header("WWW-Authenticate", "Basic realm=\"nginx\""))
    });
    fails(
        &target(&two),
        &["registry-challenge"],
        "2 challenges at once (Bearer, Basic)",
        "either the proxy or the registry",
    )
    .await;
    let basic = stub(|request| {
        well(request)
            .is(401)
            .then(|| Reply::new(401).header("WWW-Authenticate", "Basic realm=x"))
    });
    let sides = KnownSettings {
        service: Some("s".into()),
        ..KnownSettings::default()
    };
    let results = examined(&ProbeTarget {
        settings: sides,
        login: None,
        ..target(&basic)
    })
    .await;
    says(
        &results,
        "registry-challenge",
        "asks for a password (Basic)",
        "remove auth_basic",
    );
    let silent = stub(|request| {
        let bad = well(request).is(401) && request.header("authorization").is_some();
        bad.then(|| {
            Reply::new(401).header(
                "WWW-Authenticate",
                r#"Bearer realm="http://@self@/token",service="s""#,
            )
        })
    });
    warns(
        &target(&silent),
        "registry-challenge",
        "the challenge has no error parameter",
        "update the registry",
    )
    .await;
    let relative = stub(|request| {
        well(request).is(401).then(|| {
            Reply::new(401).header("WWW-Authenticate", "Bearer realm=\"/auth\",service=\"s\"")
        })
    });
    fails(
        &ProbeTarget {
            login: None,
            repository: None,
            ..target(&relative)
        },
        &["registry-challenge"],
        "is not an absolute URL",
        "auth.token.realm",
    )
    .await;
}

#[tokio::test]
async fn realms_that_lead_nowhere() {
    let refused = stub(|request| challenge_with(request, "http://127.0.0.1:1/token", "s"));
    let results = examined(&ProbeTarget {
        login: None,
        ..target(&refused)
    })
    .await;
    says(
        &results,
        "realm-reachable",
        "cannot be reached",
        "an address that clients can reach",
    );
    let wrong_path = stub(|request| challenge_with(request, "http://@self@/nowhere", "s"));
    let results = examined(&ProbeTarget {
        login: None,
        ..target(&wrong_path)
    })
    .await;
    says(&results, "realm-reachable", "responds 404", "/auth");
}

#[tokio::test]
async fn passwords_that_are_wrong_or_old() {
    let stub = stub(|_| None);
    let wrong = ProbeTarget {
        login: Some(password("ann", "wrong")),
        ..target(&stub)
    };
    fails(
        &wrong,
        &["login"],
        "/token responded 401",
        "check the user name and the password",
    )
    .await;
    let directory = tempfile::tempdir().unwrap();
    let places =
        CredentialStore::new(|name| (name == "DOCKER_CONFIG").then(|| directory.path().into()));
    places
        .store(
            &stub.host().parse::<Host>().unwrap(),
            &password("ann", "old"),
        )
        .await
        .unwrap();
    let stored = ProbeTarget {
        login: None,
        store: places,
        ..target(&stub)
    };
    fails(
        &stored,
        &["login"],
        "login as ann",
        "the stored login is out of date: log in again with `wharfinger login",
    )
    .await;
    let helper = format!(r#"{{"credHelpers":{{"{}":"missing"}}}}"#, stub.host());
    std::fs::write(directory.path().join("config.json"), helper).unwrap();
    fails(
        &stored,
        &["stored-logins"],
        "docker-credential-missing cannot be started",
        "install docker-credential-missing",
    )
    .await;
}

#[tokio::test]
async fn two_logins_that_differ() {
    let stub = stub(|_| None);
    let directory = tempfile::tempdir().unwrap();
    let host: Host = stub.host().parse().unwrap();
    let place = |variable: &'static str, value: String| {
        CredentialStore::new(move |name| (name == variable).then(|| value.clone().into()))
    };
    let (docker, runtime) = (
        directory.path().join("docker"),
        directory.path().join("run"),
    );
    place("DOCKER_CONFIG", docker.display().to_string())
        .store(&host, &password("ann", "sesame"))
        .await
        .unwrap();
    place("XDG_RUNTIME_DIR", runtime.display().to_string())
        .store(&host, &password("ann", "other"))
        .await
        .unwrap();
    let places = CredentialStore::new(|name| match name {
        "DOCKER_CONFIG" => Some(docker.clone().into()),
        "XDG_RUNTIME_DIR" => Some(runtime.clone().into()),
        _ => None,
    });
    let target = ProbeTarget {
        login: None,
        store: places,
        ..target(&stub)
    };
    warns(
        &target,
        "stored-logins",
        "this client uses the first",
        "`wharfinger logout ",
    )
    .await;
}

#[tokio::test]
async fn tokens_that_say_the_wrong_thing() {
    let with = |claims: String| {
        stub(move |request| {
            request
                .path
                .starts_with("/token")
                .then(|| Reply::json(200, &format!(r#"{{"token":"{claims}"}}"#)))
        })
    };
    let audience = with(token("other", PULL_PUSH));
    fails(
        &target(&audience),
        &["token-claims"],
        "intended for another audience",
        "make auth.token.service of the registry equal",
    )
    .await;
    let sides = KnownSettings {
        issuer: Some("Another issuer".into()),
        ..KnownSettings::default()
    };
    let stub = stub(|_| None);
    fails(
        &ProbeTarget {
            settings: sides,
            ..target(&stub)
        },
        &["token-claims"],
        "untrusted issuer: its iss is \"Acme\"",
        "auth.token.issuer",
    )
    .await;
    let missing = with(token("s", ""));
    fails(
        &target(&missing),
        &["token-claims", "token-access"],
        "no access claim",
        "correct the token server",
    )
    .await;
    let nothing = with(token("s", r#","access":[]"#));
    fails(
        &target(&nothing),
        &["token-access"],
        "granted nothing; missing repository:a:pull",
        "acl",
    )
    .await;
    let pull = with(token(
        "s",
        r#","access":[{"type":"repository","name":"a","actions":["push"]}]"#,
    ));
    let pushing = ProbeTarget {
        push: true,
        ..target(&pull)
    };
    fails(
        &pushing,
        &["token-access"],
        "missing repository:a:pull",
        "a push needs pull, too",
    )
    .await;
}

#[tokio::test]
async fn clocks_that_differ() {
    let early = stub(|request| {
        let date = match request.path.starts_with("/token") {
            true => "Sun, 06 Nov 1994 08:49:37 GMT",
            false => "Sun, 06 Nov 1994 08:52:37 GMT",
        };
        Some(well(request).header("Date", date))
    });
    let results = examined(&target(&early)).await;
    assert_eq!(
        of(&results, ProbeVerdict::Failure),
        ["clocks"],
        "{results:#?}"
    );
    says(
        &results,
        "clocks",
        "compared with the clock of this machine: registry -",
        "timedatectl",
    );
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

#[tokio::test]
async fn layers_that_come_from_elsewhere() {
    let manifest = |blob: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{0}","config":{{"mediaType":"x","digest":"{blob}","size":2}},"layers":[]}}"#,
            oci::media_type::OCI_MANIFEST
        )
    };
    let blob = crate::redirects::blob(b"{}").digest.to_string();
    let serving = |to: String| {
        let manifest = manifest(&blob);
        stub(move |request| match request.path.as_str() {
            "/v2/a/manifests/1" if request.header("authorization").is_some() => Some(
                Reply::new(200)
                    .header("Content-Type", oci::media_type::OCI_MANIFEST)
                    .body(&manifest),
            ),
            path if path.starts_with("/v2/a/blobs/sha256") => {
                Some(Reply::new(307).header("Location", &to))
            }
            _ => None,
        })
    };
    let picky = Stub::start(|request| match request.header("authorization") {
        Some(_) => Reply::new(400).body("Only one auth mechanism allowed"),
        None => Reply::new(200).body("{}"),
    });
    let image = |stub: &Stub| ProbeTarget {
        reference: Some("1".parse().unwrap()),
        ..target(stub)
    };
    let elsewhere = picky.host().replace("127.0.0.1", "localhost");
    let stub = serving(format!("http://{elsewhere}/bucket"));
    warns(
        &image(&stub),
        "pull",
        "rejects requests with an Authorization header",
        "Only one auth mechanism",
    )
    .await;
    let own = serving(format!("http://{}/bucket", picky.host()));
    fails(
        &image(&own),
        &["pull"],
        "send the token of 127.0.0.1 there",
        "a name that does not end with 127.0.0.1",
    )
    .await;
    let gone = serving("http://127.0.0.1:1/bucket".to_owned());
    fails(
        &image(&gone),
        &["pull"],
        "redirects layers to 127.0.0.1, which responds",
        "storage.redirect.disable",
    )
    .await;
}

#[tokio::test]
async fn uploads_that_go_wrong() {
    let pushing = |stub: &Stub| ProbeTarget {
        push: true,
        ..target(stub)
    };
    let count = AtomicUsize::new(0);
    let replicas = stub(move |request| {
        let asked = request.method == "GET" && request.path.contains("/uploads/1");
        (asked && count.fetch_add(1, Ordering::Relaxed) % 2 == 1).then(|| {
            Reply::json(
                404,
                r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown"}]}"#,
            )
        })
    });
    fails(
        &pushing(&replicas),
        &["push-session"],
        "not found on request 2 of 6",
        "the same http.secret",
    )
    .await;
    let inside = stub(|request| {
        (request.method == "POST" && request.header("authorization").is_some()).then(|| {
            Reply::new(202).header(
                "Location",
                "http://registry.internal:5000/v2/a/blobs/uploads/1?_state=x",
            )
        })
    });
    fails(
        &pushing(&inside),
        &["push-location"],
        "continues at http://registry.internal:5000",
        "X-Forwarded-Proto",
    )
    .await;
    let lengths = stub(|request| {
        (request.method == "PATCH").then(|| {
            Reply::new(411)
                .header("Server", "old-proxy/1")
                .header("Connection", "close")
        })
    });
    fails(
        &pushing(&lengths),
        &["push-body"],
        "Server: old-proxy/1",
        "Content-Length",
    )
    .await;
}

#[tokio::test]
async fn a_body_that_is_not_read() {
    let stub = stub(|request| {
        (request.method == "PATCH").then(|| Reply::new(202).after(Duration::from_secs(600)))
    });
    let options = TransportOptions {
        plain_http: true,
        patience: Duration::from_secs(4),
        ..TransportOptions::default()
    };
    let results = run_probes(
        &ProbeTarget {
            push: true,
            ..target(&stub)
        },
        options,
    )
    .await
    .unwrap();
    assert_eq!(
        of(&results, ProbeVerdict::Failure),
        ["push-body"],
        "{results:#?}"
    );
    says(
        &results,
        "push-body",
        "did not respond in time",
        "proxy_request_buffering off",
    );
    assert!(
        stub.lines().last().unwrap().starts_with("DELETE "),
        "the upload is cancelled nevertheless"
    );
}

fn challenge_with(request: &Request, realm: &str, service: &str) -> Option<Reply> {
    let value = format!(r#"Bearer realm="{realm}",service="{service}",error="invalid_token""#);
    well(request)
        .is(401)
        .then(|| Reply::new(401).header("WWW-Authenticate", &value))
}

/// Without a login, none is rejected.
#[tokio::test]
async fn anonymous_is_no_finding() {
    let stub = stub(|_| None);
    let results = examined(&ProbeTarget {
        login: Some(LoginCredentials::Anonymous),
        ..target(&stub)
    })
    .await;
    assert_eq!(of(&results, ProbeVerdict::Failure), [""; 0], "{results:#?}");
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

/// After a rejected login, what follows from it is not reported as a problem of its own.
#[tokio::test]
async fn a_rejected_login_is_the_only_failure() {
    let stub = stub(|request| {
        let anonymous = request.header("authorization").is_none();
        (request.path.starts_with("/token") && anonymous).then(|| Reply::new(401))
    });
    let target = ProbeTarget {
        login: Some(password("ann", "wrong")),
        push: true,
        ..target(&stub)
    };
    let results = examined(&target).await;
    assert_eq!(
        of(&results, ProbeVerdict::Failure),
        ["login"],
        "{results:#?}"
    );
    says(
        &results,
        "login",
        "login as ann with a password rejected",
        "check the user name",
    );
    for result in &results {
        if result.id.starts_with("token-") || ["pull", "push-session"].contains(&result.id) {
            assert_eq!(result.evidence, "see login first", "{result:?}");
        }
    }
}

#[tokio::test]
async fn the_cause_of_a_failed_connection_is_told() {
    let stub = stub(|_| None);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = closed.local_addr().unwrap().to_string();
    drop(closed);
    let target = ProbeTarget {
        host: host.parse().unwrap(),
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

/// The probe that shows whether storage accepts an Authorization header sends none that is worth
/// stealing.
#[tokio::test]
async fn the_storage_that_layers_come_from_gets_no_token() {
    let storage = std::sync::Arc::new(Stub::start(|_| Reply::new(200)));
    let to = format!("http://{}/layer", storage.host());
    let layer = format!("sha256:{}", "0a".repeat(32));
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"a/b","digest":"{layer}","size":1}},"layers":[{{"mediaType":"a/b","digest":"{layer}","size":1}}]}}"#
    );
    let stub = stub(move |request| {
        let opened = request
            .header("authorization")
            .is_some_and(|given| given.starts_with("Bearer ey"));
        match request.path.as_str() {
            "/v2/a/manifests/1" if opened => Some(
                Reply::new(200)
                    .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
                    .body(&manifest),
            ),
            path if opened && path.starts_with("/v2/a/blobs/") => {
                Some(Reply::new(307).header("Location", &to))
            }
            _ => None,
        }
    });
    let target = ProbeTarget {
        reference: Some("1".parse().unwrap()),
        ..target(&stub)
    };
    let results = examined(&target).await;
    says(&results, "pull", "sends its layers", "");
    assert_eq!(storage.seen().len(), 2);
    for request in storage.seen() {
        let given = request.header("authorization");
        assert!(
            given.is_none_or(|given| given == "Bearer false"),
            "{given:?}"
        );
    }
}
