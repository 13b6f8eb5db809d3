//! The walk of a page of 2016 that shows Docker Hub's answers to a Go program, replayed with the
//! page's own headers and bodies.

use client::{
    ExchangeEvent, ExchangeObserver, LoginCredentials, RegistryClient, RegistrySession, Step,
    Transport, TransportOptions,
};
use std::sync::{Arc, Mutex};

use crate::stub::{Reply, Stub, password};

const CHALLENGED: &str = include_str!("seed_004/401.json");
const TOKEN: &str = include_str!("seed_004/token.json");
const MANIFEST: &[u8] = include_bytes!("seed_004/manifest.json");

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl ExchangeObserver for Notes {
    fn observe(&self, event: &ExchangeEvent<'_>) {
        let note = match event {
            ExchangeEvent::Request {
                step, method, url, ..
            } => {
                format!("{} {method} {}", step.numbers().unwrap().0, url.path())
            }
            ExchangeEvent::Response { step, status, .. } => {
                format!("{} {}", step.numbers().unwrap().1, status.as_u16())
            }
            ExchangeEvent::Challenged(challenge) => {
                format!("challenge {}", challenge.parameter("scope").unwrap())
            }
            ExchangeEvent::Granted {
                asked,
                token,
                lifetime,
                ..
            } => {
                let claims = token.unwrap().claims().unwrap();
                format!(
                    "granted {asked} to {} of {} for {} s",
                    claims.audience[0],
                    claims.issuer,
                    lifetime.as_secs()
                )
            }
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(note);
    }
}

#[tokio::test]
async fn the_page_s_walk() {
    let stub = hub();
    let notes = Arc::new(Notes::default());
    let observer: Arc<dyn ExchangeObserver> = notes.clone();
    let options = TransportOptions {
        plain_http: true,
        observer: Some(observer),
        ..TransportOptions::default()
    };
    let session = RegistrySession::begin(
        Transport::new(options),
        stub.host().parse().unwrap(),
        password("odewahn", "secret"),
    )
    .await
    .unwrap();
    let repository = RegistryClient::new(session).repository("odewahn/myalpine".parse().unwrap());
    let manifest = repository
        .manifest(&"latest".parse().unwrap())
        .await
        .unwrap();

    assert_eq!(manifest.media_type, oci::media_type::DOCKER_SCHEMA_1[0]);
    assert_eq!(manifest.bytes, MANIFEST);
    let path = "/v2/odewahn/myalpine/manifests/latest";
    let scope = "repository:odewahn/myalpine:pull";
    assert_eq!(
        *notes.0.lock().unwrap(),
        [
            format!("1 GET {path}"),
            "2 401".to_owned(),
            format!("challenge {scope}"),
            "3 GET /token".to_owned(),
            "4 200".to_owned(),
            // The page's answer has no expires_in, which means a minute.
            format!("granted {scope} to registry.docker.io of auth.docker.io for 60 s"),
            format!("5 GET {path}"),
            "6 200".to_owned(),
        ]
    );
    assert_eq!(Step::Unauthenticated.numbers(), Some((1, 2)));
    let asked = &stub.lines()[1];
    assert!(
        asked.ends_with("service=registry.docker.io&scope=repository%3Aodewahn%2Fmyalpine%3Apull"),
        "{asked}"
    );
    assert_eq!(
        stub.seen()[1].header("authorization"),
        Some("Basic b2Rld2FobjpzZWNyZXQ=")
    );
}

#[tokio::test]
async fn without_a_login_the_page_ends_at_the_first_answer() {
    let stub = Stub::start(|_| challenge().body(CHALLENGED));
    let repository = stub
        .repository("odewahn/myalpine", LoginCredentials::Anonymous)
        .await;
    assert!(
        repository
            .manifest(&"latest".parse().unwrap())
            .await
            .is_err()
    );
}

fn hub() -> Stub {
    let bearer = serde_json::from_str::<serde_json::Value>(TOKEN).unwrap()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    Stub::start(move |request| {
        if request.path.starts_with("/token") {
            return Reply::json(200, TOKEN).header("Strict-Transport-Security", "max-age=31536000");
        }
        if request.header("authorization") != Some(&format!("Bearer {bearer}")) {
            return challenge().body(CHALLENGED);
        }
        Reply::new(200)
            .header(
                "Content-Type",
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
            )
            .header("Docker-Distribution-Api-Version", "registry/2.0")
            .body(MANIFEST)
    })
}

fn challenge() -> Reply {
    Reply::new(401)
        .header("Content-Type", "application/json; charset=utf-8")
        .header("Docker-Distribution-Api-Version", "registry/2.0")
        .header(
            "Www-Authenticate",
            r#"Bearer realm="http://@self@/token",service="registry.docker.io",scope="repository:odewahn/myalpine:pull""#,
        )
}
