//! Keys: when they are fetched, how often, and what counts when they cannot be.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use identity::tls::ClientTls;
use identity::{AuthenticationError, BackendFault};
use peers::StubAnswer;
use workload_identity::{IssuerKeySource, IssuerSettings, Preset, TrustedIssuer};

use crate::platform::{Platform, documented, key};
use crate::support::{Bench, HeldClock, START, rule, settings};

const DOCUMENT: &str = "/.well-known/openid-configuration";

/// How a login fails whose issuer's keys cannot be had.
async fn fault(bench: &Bench, token: &str) -> (BackendFault, String) {
    match bench.exchange(token).await {
        Err(AuthenticationError::Backend(error)) => (error.fault, error.source.to_string()),
        other => panic!("{other:?}"),
    }
}

fn count(platform: &Platform, path: &str) -> usize {
    let requests = platform.requests();
    requests.iter().filter(|request| *request == path).count()
}

#[tokio::test]
async fn nothing_is_fetched_before_the_first_token_and_once_for_many() {
    let platform = Platform::start();
    let bench = Bench::github(&platform);
    assert_eq!(platform.requests(), Vec::<String>::new());
    let token = platform.token(&documented::github(START));
    for _ in 0..20 {
        bench.accepted(&token).await;
    }
    assert_eq!(platform.requests(), [DOCUMENT, "/keys"]);
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let platform = Platform::start();
    let bench = Bench::github(&platform);
    let old = platform.token(&documented::github(START));
    bench.accepted(&old).await;
    platform.state().keys.push(("k2".to_owned(), key()));
    let new = platform.token(&documented::github(START));
    // Too soon after the last time.
    bench.refused(&new).await;
    bench.clock.pass(10);
    bench.accepted(&new).await;
    bench.accepted(&old).await;
    assert_eq!(count(&platform, "/keys"), 2);
    // The old key is withdrawn, and forgotten when the keys are an hour old.
    platform.state().keys.remove(0);
    bench.clock.pass(3600);
    let mut claims = documented::github(START);
    claims["exp"] = (START + 7200).into();
    bench.accepted(&platform.token(&claims)).await;
    let found = bench.refused(&old).await;
    assert!(found.contains("not one of the provider's"), "{found}");
}

/// A client may send tokens with any key id; the issuer gets one request in ten seconds.
#[tokio::test]
async fn a_flood_of_unknown_key_ids_is_bounded() {
    let platform = Platform::start();
    let bench = Bench::github(&platform);
    bench
        .accepted(&platform.token(&documented::github(START)))
        .await;
    let mut claims = documented::github(START);
    claims["iss"] = platform.issuer().into();
    for second in 0..40 {
        for n in 0..5 {
            let header = serde_json::json!({"alg": "ES256", "kid": format!("x{second}-{n}")});
            let token = platform.sign(&header, &claims);
            bench.refused_only(&token).await;
        }
        bench.clock.pass(1);
    }
    let fetches = count(&platform, "/keys");
    assert!((2..=5).contains(&fetches), "{fetches}");
    assert_eq!(count(&platform, DOCUMENT), 1);
}

#[tokio::test]
async fn an_issuer_that_is_away_is_an_error_until_it_was_reached_once() {
    let platform = Platform::start();
    let bench = Bench::github(&platform);
    let token = platform.token(&documented::github(START));
    platform.state().answer = Some(StubAnswer::Close);
    let (found, _) = fault(&bench, &token).await;
    assert_eq!(found, BackendFault::Unavailable);
    // Many more ask within a second, and the issuer is left alone.
    for _ in 0..10 {
        let (found, why) = fault(&bench, &token).await;
        assert_eq!(found, BackendFault::Unavailable);
        assert!(why.contains("a moment ago"), "{why}");
    }
    let attempts = platform.requests().len();
    assert!(attempts <= 2, "{attempts}");
    platform.state().answer = None;
    bench.clock.pass(1);
    bench.accepted(&token).await;
    // From now on the known keys count, even beyond their hour.
    platform.state().answer = Some(StubAnswer::Status(503, String::new()));
    bench.clock.pass(3601);
    let mut claims = documented::github(START + 3601);
    claims["exp"] = (START + 90_000).into();
    let later = platform.token(&claims);
    let before = platform.requests().len();
    for _ in 0..10 {
        bench.accepted(&later).await;
    }
    // The document and the keys, once each.
    assert_eq!(platform.requests().len(), before + 2);
    platform.state().answer = None;
    bench.clock.pass(10);
    bench.accepted(&later).await;
}

/// A new configuration need not wait for the issuer, unless the keys come from elsewhere now.
#[tokio::test]
async fn keys_outlive_a_new_configuration() {
    let platform = Platform::start();
    let token = platform.token(&documented::github(START));
    let issuer = |settings| Arc::new(TrustedIssuer::new(settings, HeldClock::new()).unwrap());
    let usual = || settings("github", Preset::Github, platform.issuer());
    let before = issuer(usual());
    Bench::of(vec![Arc::clone(&before)]).accepted(&token).await;
    platform.state().answer = Some(StubAnswer::Close);
    let before = [before];
    let mut other_name = usual();
    other_name.name = "other".to_owned();
    other_name.rules = vec![rule("other", Preset::Github, &[])];
    let mut elsewhere = usual();
    elsewhere.keys = IssuerKeySource::Fetched {
        address: Some(format!("{}/keys", platform.issuer())),
        tls: ClientTls::default(),
        bearer: None,
        timeout: Duration::from_secs(30),
    };
    for (settings, goes_on) in [(usual(), true), (other_name, true), (elsewhere, false)] {
        let after = issuer(settings);
        after.take_over_keys(&before);
        let bench = Bench::of(vec![after]);
        match goes_on {
            true => drop(bench.accepted(&token).await),
            false => assert_eq!(fault(&bench, &token).await.0, BackendFault::Unavailable),
        }
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_the_operators_to_correct() {
    let large = format!("{{\"issuer\": \"{}\"}}", "x".repeat(2 * 1024 * 1024));
    for (answer, fault_wanted, words) in [
        (
            StubAnswer::Status(404, String::new()),
            BackendFault::Broken,
            "404",
        ),
        (
            StubAnswer::Status(200, large),
            BackendFault::Broken,
            "more than 1048576 bytes",
        ),
        (
            StubAnswer::WithHeaders(
                302,
                "Location: http://127.0.0.1:1/\r\n".to_owned(),
                String::new(),
            ),
            BackendFault::Broken,
            "302",
        ),
        (
            StubAnswer::Status(200, "<html>".to_owned()),
            BackendFault::Unavailable,
            "JSON",
        ),
        (
            StubAnswer::Status(500, String::new()),
            BackendFault::Unavailable,
            "500",
        ),
    ] {
        let platform = Platform::start();
        platform.state().answer = Some(answer);
        let bench = Bench::github(&platform);
        let token = platform.token(&documented::github(START));
        let (found, why) = fault(&bench, &token).await;
        assert_eq!(found, fault_wanted, "{why}");
        assert!(why.contains(words), "{words}: {why}");
    }
}

/// Neither may a document speak for another issuer, nor send this server to plain HTTP elsewhere.
#[tokio::test]
async fn a_document_that_leads_elsewhere_is_refused() {
    let platform = Platform::start();
    platform.state().other_issuer = Some("https://evil.example".to_owned());
    let token = platform.token(&documented::github(START));
    let (found, why) = fault(&Bench::github(&platform), &token).await;
    assert_eq!(found, BackendFault::Broken);
    assert!(why.contains("is of the issuer"), "{why}");
    platform.state().other_issuer = None;
    platform.state().keys_at = Some("http://192.0.2.1/keys".to_owned());
    let (found, why) = fault(&Bench::github(&platform), &token).await;
    assert_eq!(found, BackendFault::Broken);
    assert!(why.contains("plain http"), "{why}");
}

/// What the configuration says of a closed API server.
fn closed(platform: &Platform, address: Option<String>, bearer: PathBuf) -> IssuerSettings {
    IssuerSettings {
        keys: IssuerKeySource::Fetched {
            address,
            tls: ClientTls::default(),
            bearer: Some(bearer),
            timeout: Duration::from_secs(30),
        },
        ..settings("k8s", Preset::Kubernetes, platform.issuer())
    }
}

/// A closed API server wants a token, which the platform renews in its file.
#[tokio::test]
async fn a_bearer_token_goes_to_the_issuer_and_to_no_other_host() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let platform = Platform::start();
    platform.state().bearer = Some("first".to_owned());
    let token = platform.token(&documented::kubernetes(START));
    let bench = Bench::new(vec![closed(&platform, None, file.clone())]);
    bench.accepted(&token).await;
    std::fs::write(&file, "second").unwrap();
    platform.state().bearer = Some("second".to_owned());
    bench.clock.pass(3600);
    let mut claims = documented::kubernetes(START + 3600);
    claims["exp"] = (START + 9000).into();
    bench.accepted(&platform.token(&claims)).await;
    // Its document names another host for the keys, which must not see the token.
    let elsewhere = Platform::start();
    elsewhere.state().keys = vec![("k1".to_owned(), key())];
    platform.state().keys_at = Some(format!("{}/keys", elsewhere.issuer()));
    elsewhere.state().bearer = Some("second".to_owned());
    let bench = Bench::new(vec![closed(&platform, None, file.clone())]);
    let (_, why) = fault(&bench, &token).await;
    assert!(why.contains("401"), "{why}");
    // Unless the operator names it.
    let address = Some(format!("{}/keys", elsewhere.issuer()));
    let bench = Bench::new(vec![closed(&platform, address, file.clone())]);
    let found = bench.refused(&token).await;
    assert!(found.contains("does not verify"), "{found}");
    std::fs::remove_file(&file).unwrap();
    let bench = Bench::new(vec![closed(&platform, None, file)]);
    let (found, why) = fault(&bench, &token).await;
    assert_eq!(found, BackendFault::Broken);
    assert!(why.contains("cannot be used"), "{why}");
}
