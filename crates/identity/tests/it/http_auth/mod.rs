//! `http_auth` against servers, good and bad.

mod answers;
mod connections;

use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use identity::http::{HttpClient, HttpClientSettings};
use identity::tls::ClientTls;
use identity::{
    AuthenticationError, AuthenticationOutcome, Authenticator, BackendFault, ExternalBackend,
    LoginSource,
};
use peers::{HttpStub, StubAnswer, StubRequest};
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::support::{HeldClock, accounts, proof, verifier};

const LONG: Duration = Duration::from_secs(60);

fn settings(url: &str) -> HttpClientSettings {
    HttpClientSettings {
        section: "http_auth",
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        tls: ClientTls::default(),
        timeout: LONG,
        concurrency: NonZeroUsize::new(16).unwrap(),
    }
}

fn backend(settings: HttpClientSettings, clock: &Arc<HeldClock>) -> ExternalBackend {
    let client = HttpClient::new(settings, clock.clone()).unwrap();
    ExternalBackend::http_auth(client, verifier(&accounts(&[])))
}

fn backend_at(url: &str) -> ExternalBackend {
    backend(settings(url), &HeldClock::new())
}

/// A backend whose server always answers this.
fn answering(answer: StubAnswer) -> (HttpStub, ExternalBackend) {
    let stub = HttpStub::start(move |_| answer.clone());
    let backend = backend_at(&stub.url("/login"));
    (stub, backend)
}

async fn ask(backend: &ExternalBackend) -> Result<AuthenticationOutcome, AuthenticationError> {
    let source = LoginSource::new("192.0.2.7".parse().ok(), "ann");
    backend.authenticate(&proof("ann", "sesame"), &source).await
}

/// Whether the failure may pass, and its text with its causes.
async fn failure(backend: &ExternalBackend) -> (BackendFault, String) {
    match ask(backend).await {
        Err(AuthenticationError::Backend(error)) => {
            let causes = std::iter::successors(Some(&error as &dyn Error), |&error| error.source());
            let causes: Vec<_> = causes.map(ToString::to_string).collect();
            let text = causes.join(": ");
            assert!(
                !text.contains("sesame") && !text.contains("TOKEN"),
                "{text}"
            );
            (error.fault, text)
        }
        other => panic!("{other:?}"),
    }
}

fn body(request: &StubRequest) -> Value {
    serde_json::from_str(&request.body).unwrap()
}
