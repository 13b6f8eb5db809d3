//! Challenges, logins and tokens.

use client::{CredentialStore, Host, KnownSettings, LoginCredentials, ProbeTarget, ProbeVerdict};

use super::{PULL_PUSH, examined, fails, of, says, stub, target, token, warns, well};
use crate::stub::{Reply, Request, password};

#[tokio::test]
async fn challenges_that_are_missing_or_several() {
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

fn challenge_with(request: &Request, realm: &str, service: &str) -> Option<Reply> {
    let value = format!(r#"Bearer realm="{realm}",service="{service}",error="invalid_token""#);
    well(request)
        .is(401)
        .then(|| Reply::new(401).header("WWW-Authenticate", &value))
}
