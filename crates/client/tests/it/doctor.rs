//! The doctor, before servers that are ill in one way each. What only real registries and proxies
//! have is staged with those, beside the command.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::{
    CredentialStore, Credentials, KnownSettings, PROBES, ProbeResult, ProbeTarget, ProbeVerdict,
    TransportOptions, run_probes,
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

fn patient(stub: &Stub) -> ProbeTarget {
    ProbeTarget {
        host: stub.host().parse().unwrap(),
        repository: Some("a".parse().unwrap()),
        reference: None,
        login: Some(password("ann", "sesame")),
        places: CredentialStore::default(),
        push: false,
        sides: KnownSettings::default(),
    }
}

async fn examined(patient: &ProbeTarget) -> Vec<ProbeResult> {
    let findings = run_probes(
        patient,
        TransportOptions {
            plain_http: true,
            ..TransportOptions::default()
        },
    )
    .await
    .unwrap();
    assert_eq!(
        findings
            .iter()
            .map(|finding| finding.id)
            .collect::<Vec<_>>(),
        PROBES,
        "each once, in order"
    );
    findings
}

fn of(findings: &[ProbeResult], verdict: ProbeVerdict) -> Vec<&'static str> {
    findings
        .iter()
        .filter(|finding| finding.verdict == verdict)
        .map(|finding| finding.id)
        .collect()
}

/// Exactly these fail, and the first of them says these words.
async fn fails(patient: &ProbeTarget, ids: &[&str], evidence: &str, remedy: &str) {
    let findings = examined(patient).await;
    assert_eq!(of(&findings, ProbeVerdict::Failure), ids, "{findings:#?}");
    says(&findings, ids[0], evidence, remedy);
}

/// Nothing fails, and this one warns.
async fn warns(patient: &ProbeTarget, id: &str, evidence: &str, remedy: &str) {
    let findings = examined(patient).await;
    assert_eq!(
        of(&findings, ProbeVerdict::Failure),
        [""; 0],
        "{findings:#?}"
    );
    assert_eq!(of(&findings, ProbeVerdict::Warning), [id], "{findings:#?}");
    says(&findings, id, evidence, remedy);
}

fn says(findings: &[ProbeResult], id: &str, evidence: &str, remedy: &str) {
    let finding = findings.iter().find(|finding| finding.id == id).unwrap();
    assert!(finding.evidence.contains(evidence), "{finding:?}");
    assert!(
        finding
            .remedy
            .as_deref()
            .unwrap_or_default()
            .contains(remedy),
        "{finding:?}"
    );
}

#[tokio::test]
async fn a_healthy_registry() {
    let stub = stub(|_| None);
    let findings = examined(&ProbeTarget {
        push: true,
        ..patient(&stub)
    })
    .await;
    assert_eq!(
        (
            of(&findings, ProbeVerdict::Failure),
            of(&findings, ProbeVerdict::Warning)
        ),
        (vec![], vec![]),
        "{findings:#?}"
    );
    let untested = [
        "registry-certificate",
        "realm-certificate",
        "clocks",
        "stored-logins",
        "token-key",
    ];
    assert_eq!(of(&findings, ProbeVerdict::NotTested), untested);
    assert_eq!(
        stub.lines().last().unwrap(),
        "DELETE /v2/a/blobs/uploads/1?_state=y",
        "the upload is cancelled"
    );
    let shown = format!("{findings:?}");
    assert!(
        !shown.contains("sesame") && !shown.contains(&token("s", PULL_PUSH)),
        "no secret is shown"
    );
}

#[tokio::test]
async fn nobody_there() {
    let stub = stub(|_| None);
    let nobody = ProbeTarget {
        host: "127.0.0.1:1".parse().unwrap(),
        ..patient(&stub)
    };
    fails(
        &nobody,
        &["registry-reachable"],
        "cannot be reached",
        "is it running",
    )
    .await;
    let nowhere = ProbeTarget {
        host: "no-such-host.invalid".parse().unwrap(),
        ..patient(&stub)
    };
    fails(
        &nowhere,
        &["registry-reachable"],
        "a name without an address",
        "spelling",
    )
    .await;
}

#[tokio::test]
async fn challenges_that_are_none() {
    let bare = stub(|request| (well(request).is(401)).then(|| Reply::new(401)));
    fails(
        &patient(&bare),
        &["registry-challenge"],
        "401 without a WWW-Authenticate",
        "a proxy strips it",
    )
    .await;
    let two = stub(|request| {
        well(request)
            .is(401)
            .then(|| well(request).header("WWW-Authenticate", "Basic realm=\"nginx\""))
    });
    fails(
        &patient(&two),
        &["registry-challenge"],
        "2 challenges at once (Bearer, Basic)",
        "one place alone",
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
    let findings = examined(&ProbeTarget {
        sides,
        login: None,
        ..patient(&basic)
    })
    .await;
    says(
        &findings,
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
        &patient(&silent),
        "registry-challenge",
        "the challenge names no error",
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
            ..patient(&relative)
        },
        &["registry-challenge"],
        "no absolute URL",
        "auth.token.realm",
    )
    .await;
}

#[tokio::test]
async fn realms_that_lead_nowhere() {
    let refused = stub(|request| challenge_with(request, "http://127.0.0.1:1/token", "s"));
    let findings = examined(&ProbeTarget {
        login: None,
        ..patient(&refused)
    })
    .await;
    says(
        &findings,
        "realm-reachable",
        "cannot be reached",
        "an address that clients reach",
    );
    let wrong_path = stub(|request| challenge_with(request, "http://@self@/nowhere", "s"));
    let findings = examined(&ProbeTarget {
        login: None,
        ..patient(&wrong_path)
    })
    .await;
    says(&findings, "realm-reachable", "answers 404", "/auth");
}

#[tokio::test]
async fn passwords_that_are_wrong_or_old() {
    let stub = stub(|_| None);
    let wrong = ProbeTarget {
        login: Some(password("ann", "wrong")),
        ..patient(&stub)
    };
    fails(
        &wrong,
        &["login"],
        "/token answered 401",
        "the user's name or the password is wrong",
    )
    .await;
    let directory = tempfile::tempdir().unwrap();
    let places =
        CredentialStore::new(|name| (name == "DOCKER_CONFIG").then(|| directory.path().into()));
    places
        .store(&stub.host().parse().unwrap(), &password("ann", "old"))
        .await
        .unwrap();
    let stored = ProbeTarget {
        login: None,
        places,
        ..patient(&stub)
    };
    fails(
        &stored,
        &["login"],
        "\"ann\"",
        "the stored login is old or wrong: wharfinger logout",
    )
    .await;
    let helper = format!(r#"{{"credHelpers":{{"{}":"of-nobody"}}}}"#, stub.host());
    std::fs::write(directory.path().join("config.json"), helper).unwrap();
    fails(
        &stored,
        &["stored-logins"],
        "docker-credential-of-nobody cannot be started",
        "repair the file",
    )
    .await;
}

#[tokio::test]
async fn two_logins_that_differ() {
    let stub = stub(|_| None);
    let directory = tempfile::tempdir().unwrap();
    let host = stub.host().parse().unwrap();
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
    let patient = ProbeTarget {
        login: None,
        places,
        ..patient(&stub)
    };
    warns(
        &patient,
        "stored-logins",
        "the first counts here",
        "log out everywhere",
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
        &patient(&audience),
        &["token-claims"],
        "intended for another audience",
        "to the letter",
    )
    .await;
    let sides = KnownSettings {
        issuer: Some("Somebody".into()),
        ..KnownSettings::default()
    };
    let stub = stub(|_| None);
    fails(
        &ProbeTarget {
            sides,
            ..patient(&stub)
        },
        &["token-claims"],
        "untrusted issuer: iss is \"Acme\"",
        "auth.token.issuer",
    )
    .await;
    let missing = with(token("s", ""));
    fails(
        &patient(&missing),
        &["token-claims", "token-access"],
        "no access claim",
        "mend the token server",
    )
    .await;
    let nothing = with(token("s", r#","access":[]"#));
    fails(
        &patient(&nothing),
        &["token-access"],
        "granted nothing; needed and missing: repository:a:pull",
        "acl",
    )
    .await;
    let pull = with(token(
        "s",
        r#","access":[{"type":"repository","name":"a","actions":["push"]}]"#,
    ));
    let pushing = ProbeTarget {
        push: true,
        ..patient(&pull)
    };
    fails(
        &pushing,
        &["token-access"],
        "missing: repository:a:pull",
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
    let findings = examined(&patient(&early)).await;
    assert_eq!(
        of(&findings, ProbeVerdict::Failure),
        ["clocks"],
        "{findings:#?}"
    );
    says(
        &findings,
        "clocks",
        "against the clock of this machine: registry -",
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
            ..patient(&slash)
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
        ..patient(stub)
    };
    let stub = serving(format!("http://{}/bucket", picky.host()));
    warns(
        &image(&stub),
        "pull",
        "refuses a request that brings the registry's token along",
        "Only one auth mechanism",
    )
    .await;
    let gone = serving("http://127.0.0.1:1/bucket".to_owned());
    fails(
        &image(&gone),
        &["pull"],
        "layers come from 127.0.0.1, which answers",
        "storage.redirect.disable",
    )
    .await;
}

#[tokio::test]
async fn uploads_that_go_wrong() {
    let pushing = |stub: &Stub| ProbeTarget {
        push: true,
        ..patient(stub)
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
        "asked for the 2. time",
        "one http.secret",
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
        "sends the upload to http://registry.internal:5000",
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
async fn a_body_that_nobody_takes() {
    let stub = stub(|request| {
        (request.method == "PATCH").then(|| Reply::new(202).after(Duration::from_secs(600)))
    });
    let options = TransportOptions {
        plain_http: true,
        patience: Duration::from_secs(4),
        ..TransportOptions::default()
    };
    let findings = run_probes(
        &ProbeTarget {
            push: true,
            ..patient(&stub)
        },
        options,
    )
    .await
    .unwrap();
    assert_eq!(
        of(&findings, ProbeVerdict::Failure),
        ["push-body"],
        "{findings:#?}"
    );
    says(
        &findings,
        "push-body",
        "does not answer in time",
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

/// Without a login nobody is refused one.
#[tokio::test]
async fn anonymous_is_no_finding() {
    let stub = stub(|_| None);
    let findings = examined(&ProbeTarget {
        login: Some(Credentials::Anonymous),
        ..patient(&stub)
    })
    .await;
    assert_eq!(
        of(&findings, ProbeVerdict::Failure),
        [""; 0],
        "{findings:#?}"
    );
}
