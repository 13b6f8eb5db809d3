//! The doctor, with servers that have one fault each. Faults of real registries and proxies are
//! tested with the command.

mod connections;
mod content;
mod tokens;

use client::{
    CredentialStore, KnownSettings, PROBES, ProbeResult, ProbeTarget, ProbeVerdict,
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
