//! `http_authz`, and `ext_authz` with `mode: lines`, against a server and programs.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use auth::{AuthorizeError, Authorizer, Decision, ExternalPolicy};
use identity::http::{HttpClient, HttpClientSettings};
use identity::process::LineProgram;
use identity::tls::ClientTls;
use identity::{ExternalBackend, LoginSource, PasswordVerifier, WorkerPool};
use peers::{HttpStub, StubAnswer};
use policy::{AclQuery, Labels};

use crate::support::{HeldClock, Setup};

const LONG: Duration = Duration::from_secs(60);

fn authorizer(stub: &HttpStub, clock: &Arc<HeldClock>) -> ExternalPolicy {
    ExternalPolicy::http_authz(client("http_authz", stub, clock), clock.clone())
}

fn client(section: &'static str, stub: &HttpStub, clock: &Arc<HeldClock>) -> HttpClient {
    let settings = HttpClientSettings {
        section,
        url: stub.url("/decide").parse().unwrap(),
        headers: http::HeaderMap::new(),
        tls: ClientTls::default(),
        timeout: LONG,
        concurrency: NonZeroUsize::new(4).unwrap(),
    };
    HttpClient::new(settings, clock.clone()).unwrap()
}

fn lines(directory: &tempfile::TempDir, body: &str, clock: &Arc<HeldClock>) -> ExternalPolicy {
    let path = directory.path().join("program.py");
    let log = directory.path().join("log");
    let text = format!(
        "import json, sys\nfor line in iter(sys.stdin.readline, ''):\n    q = json.loads(line)\n    \
         open('{}', 'a').write(line)\n    {body}\n    sys.stdout.flush()\n",
        log.display()
    );
    std::fs::write(&path, text).unwrap();
    let python = peers::program("python3");
    let one = NonZeroUsize::MIN;
    let program = LineProgram::new("ext_authz", python, [path], LONG, one, clock.clone());
    ExternalPolicy::ext_authz_lines(program, clock.clone())
}

/// What `ann` is granted of pulling and pushing `name`.
async fn decide(
    authorizer: &dyn Authorizer,
    name: &str,
) -> Result<Option<Decision>, AuthorizeError> {
    let labels = Labels::from([("team".to_owned(), vec!["red".to_owned()])]);
    let actions = ["pull".to_owned(), "push".to_owned()];
    let query = AclQuery {
        account: "ann",
        labels: &labels,
        resource_type: "repository",
        name,
        service: "reg",
        ip: "192.0.2.7".parse().ok(),
        actions: &actions,
    };
    let source = LoginSource::new(None, "ann");
    authorizer.decide(&query, &source).await
}

/// The granted actions, or what went wrong: `busy`, `unavailable`, `broken`, with the cause.
async fn granted(
    authorizer: &dyn Authorizer,
    name: &str,
) -> Result<Option<Vec<String>>, (&'static str, String)> {
    match decide(authorizer, name).await {
        Ok(decision) => Ok(decision.map(|decision| {
            assert_eq!(decision.by.policy, Some(authorizer.name()));
            decision.granted
        })),
        Err(AuthorizeError::Busy { .. }) => Err(("busy", String::new())),
        Err(AuthorizeError::Unavailable { source, .. }) => Err(("unavailable", source.to_string())),
        Err(AuthorizeError::Policy { source, .. }) => Err(("broken", source.to_string())),
    }
}

const QUESTION: &str = r#"{"Account":"ann","Type":"repository","Name":"a","Service":"reg","IP":"192.0.2.7","Actions":["pull","push"],"Labels":{"team":["red"]}}"#;

#[tokio::test]
async fn a_server_gets_the_question_and_grants_a_part_of_it() {
    for (status, answer, expected) in [
        (200, r#"{"actions": ["pull"]}"#, Ok(Some(vec!["pull"]))),
        (
            200,
            r#"{"actions": ["push", "delete", "pull"]}"#,
            Ok(Some(vec!["pull", "push"])),
        ),
        (200, r#"{"actions": ["*"]}"#, Ok(Some(vec![]))),
        (200, r#"{"actions": [], "more": 1}"#, Ok(Some(vec![]))),
        (404, "", Ok(None)),
        (200, "{}", Err("broken")),
        (200, "", Err("broken")),
        (200, r#"[["pull"], null]"#, Err("broken")),
        (200, r#"{"actions": "pull"}"#, Err("broken")),
        (200, r#"{"actions": null}"#, Err("broken")),
        (
            200,
            r#"{"actions": ["pull"], "max_age": -1}"#,
            Err("broken"),
        ),
        (204, "", Err("broken")),
        (302, "", Err("broken")),
        (401, "", Err("broken")),
        (403, "", Err("broken")),
        (500, "", Err("broken")),
        (503, "", Err("unavailable")),
        (429, "", Err("unavailable")),
    ] {
        let stub = HttpStub::start(move |_| StubAnswer::Status(status, answer.into()));
        let clock = Arc::new(HeldClock::default());
        let found = granted(&authorizer(&stub, &clock), "a").await;
        let found = found.map_err(|(fault, _)| fault);
        let expected = expected.map(|granted| {
            granted.map(|granted| granted.iter().map(ToString::to_string).collect())
        });
        assert_eq!(found, expected, "{status} {answer}");
        assert_eq!(stub.requests()[0].body, QUESTION);
    }
}

#[tokio::test]
async fn a_server_that_is_gone_grants_nothing() {
    let stub = HttpStub::start(|_| StubAnswer::Close);
    let authorizer = authorizer(&stub, &Arc::default());
    let _nowhere = stub.stop();
    let (fault, cause) = granted(&authorizer, "a").await.unwrap_err();
    assert_eq!(fault, "unavailable");
    assert!(cause.contains("the connection to"), "{cause}");
}

#[tokio::test]
async fn a_decision_is_remembered_as_long_as_the_server_names() {
    let answer = |status, fields: &str, body: &str| {
        StubAnswer::WithHeaders(status, fields.to_owned(), body.to_owned())
    };
    let pull = r#"{"actions": ["pull"]}"#;
    for (answer, seconds) in [
        (answer(200, "", pull), 0),
        (answer(200, "Cache-Control: max-age=30\r\n", pull), 30),
        (answer(200, "Cache-Control: no-store\r\n", pull), 0),
        (
            answer(200, "", r#"{"actions": ["pull"], "max_age": 20}"#),
            20,
        ),
        (
            answer(
                200,
                "Cache-Control: max-age=30\r\n",
                r#"{"actions": [], "max_age": 0}"#,
            ),
            0,
        ),
        (answer(404, "Cache-Control: max-age=30\r\n", ""), 30),
        (answer(200, "Cache-Control: max-age=999999\r\n", pull), 3600),
    ] {
        let given = answer.clone();
        let stub = HttpStub::start(move |_| given.clone());
        let clock = Arc::new(HeldClock::default());
        let authorizer = authorizer(&stub, &clock);
        let first = granted(&authorizer, "a").await;
        assert_eq!(granted(&authorizer, "a").await, first);
        let asked = stub.requests().len();
        assert_eq!(asked, if seconds == 0 { 2 } else { 1 }, "{answer:?}");
        assert_eq!(
            granted(&authorizer, "b").await,
            first,
            "another question is asked"
        );
        assert_eq!(stub.requests().len(), asked + 1);
        if seconds > 0 {
            clock.pass(Duration::from_secs(seconds - 1));
            granted(&authorizer, "a").await.unwrap();
            assert_eq!(stub.requests().len(), asked + 1, "{answer:?}");
            clock.pass(Duration::from_secs(1));
            granted(&authorizer, "a").await.unwrap();
            assert_eq!(stub.requests().len(), asked + 2, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn an_error_is_never_remembered() {
    let stub = HttpStub::start(|_| {
        StubAnswer::WithHeaders(500, "Cache-Control: max-age=30\r\n".into(), String::new())
    });
    let authorizer = authorizer(&stub, &Arc::default());
    for asked in 1..=3 {
        granted(&authorizer, "a").await.unwrap_err();
        assert_eq!(stub.requests().len(), asked);
    }
}

#[tokio::test]
async fn a_program_gets_the_question_as_a_line_and_grants_a_part_of_it() {
    for (body, expected) in [
        (
            "print(json.dumps({'id': q['id'], 'actions': ['pull', 'x']}))",
            Ok(Some(vec!["pull"])),
        ),
        (
            "print(json.dumps({'id': q['id'], 'actions': []}))",
            Ok(Some(vec![])),
        ),
        (
            "print(json.dumps({'id': q['id'], 'result': 'unknown'}))",
            Ok(None),
        ),
        (
            "print(json.dumps({'id': q['id'], 'result': 'error', 'message': 'no disk'}))",
            Err("broken"),
        ),
        ("print(json.dumps({'id': q['id']}))", Err("broken")),
        (
            "print(json.dumps({'id': q['id'], 'actions': 'pull'}))",
            Err("broken"),
        ),
        ("print('pull')", Err("broken")),
        ("sys.exit(0)", Err("unavailable")),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let authorizer = lines(&directory, body, &Arc::default());
        let found = granted(&authorizer, "a").await.map_err(|(fault, _)| fault);
        let expected = expected.map(|granted| {
            granted.map(|granted| granted.iter().map(ToString::to_string).collect())
        });
        assert_eq!(found, expected, "{body}");
        let asked = std::fs::read_to_string(directory.path().join("log")).unwrap();
        assert_eq!(asked.trim_end(), QUESTION.replacen('{', r#"{"id":1,"#, 1));
    }
}

#[tokio::test]
async fn a_decision_of_a_program_is_remembered_if_it_says_so() {
    for (max_age, asked) in [("", 3), (", 'max_age': 10", 1)] {
        let directory = tempfile::tempdir().unwrap();
        let body = format!("print(json.dumps({{'id': q['id'], 'actions': ['pull']{max_age}}}))");
        let authorizer = lines(&directory, &body, &Arc::default());
        for _ in 0..3 {
            let granted = granted(&authorizer, "a").await.unwrap();
            assert_eq!(granted, Some(vec!["pull".to_owned()]));
        }
        let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
        assert_eq!(log.lines().count(), asked);
    }
}

#[tokio::test]
async fn a_probe_asks_for_nothing() {
    for (status, body, is_fine) in [
        (200, r#"{"actions": []}"#, true),
        (404, "", true),
        (200, "", false),
        (500, "", false),
    ] {
        let stub = HttpStub::start(move |_| StubAnswer::Status(status, body.into()));
        let found = authorizer(&stub, &Arc::default()).probe().await;
        assert_eq!(
            found.is_ok_and(|found| found.is_some()),
            is_fine,
            "{status} {body}"
        );
        assert!(stub.requests()[0].body.contains(r#""Actions":[]"#));
    }
    let directory = tempfile::tempdir().unwrap();
    let body = "print(json.dumps({'id': q['id'], 'actions': []}))";
    let found = lines(&directory, body, &Arc::default()).probe().await;
    assert_eq!(found.unwrap().as_deref(), Some("its program answers"));
}

/// A registry lists what `carl` may pull. Only a recheck tells his labels, and a policy that is asked
/// about each repository tells nothing.
#[tokio::test]
async fn a_catalog_is_filtered_for_the_accounts_of_a_server_that_rechecks() {
    for (rechecks, decides, is_filtered) in [
        (true, false, true),
        (false, false, false),
        (true, true, false),
    ] {
        let stub = HttpStub::start(|_| StubAnswer::Status(200, "{}".into()));
        let mut setup = Setup::new();
        let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
        let verifier = Arc::new(PasswordVerifier::new(workers, []));
        let backend =
            ExternalBackend::http_auth(client("http_auth", &stub, &setup.clock), verifier);
        setup.backends.push(Box::new(backend.rechecking(rechecks)));
        if decides {
            let authorizer = authorizer(&stub, &setup.clock);
            setup.authorizers.push(Box::new(authorizer));
        }
        let server = setup.start();
        let filter = server
            .server
            .repository_filter("carl", "pull", "reg", None)
            .await
            .unwrap();
        assert_eq!(filter.is_some(), is_filtered, "{rechecks} {decides}");
        assert!(filter.is_none_or(|filter| filter("any")));
    }
}
