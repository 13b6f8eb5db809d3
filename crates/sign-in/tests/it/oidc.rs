//! OpenID Connect: ID tokens that are wrong, refresh tokens that rotate, a provider that is down.

use std::time::Duration;

use identity::{AuthenticationError, AuthenticationOutcome, Authenticator, BackendFault, Recheck};
use serde_json::{Value, json};
use sign_in::{
    AuthorizationParameters, DocumentKind, ExpectedUser, ProviderError, SignInRefusal, TokenGrant,
    TokenRecord,
};

use crate::oidc_stub::{OidcStub, form};
use crate::support::{Bench, PAGE, START, label};

/// Signs `ann` in as a browser does and gives the password.
pub(crate) async fn sign_in(
    stub: &OidcStub,
    bench: &Bench,
) -> Result<common::Secret, ProviderError> {
    let parameters = AuthorizationParameters {
        state: "s".to_owned(),
        nonce: "n".to_owned(),
        // Of the verifier "v".
        code_challenge: "TJRIXgwhrmxBzh3-e2v6zupato5AokdvUCCOUm9QYIA".to_owned(),
        page: PAGE.to_owned(),
    };
    let to = bench.provider.authorization_url(&parameters).await?;
    let back = form(&stub.agree(&to));
    let grant = TokenGrant::AuthorizationCode {
        code: &back["code"].as_str().into(),
        verifier: &"v".into(),
        page: PAGE,
    };
    let tokens = bench.provider.request_tokens(grant).await?;
    let expected = ExpectedUser::SignIn { nonce: "n" };
    let user = bench.provider.identify(&tokens, expected).await?;
    Ok(bench.store_user(&tokens, &user).await)
}

async fn record(bench: &Bench) -> TokenRecord {
    let json = bench.store.read(DocumentKind::Record, "ann").await.unwrap();
    TokenRecord::from_json(&json.unwrap()).unwrap()
}

/// What comes of a sign-in whose ID token was changed so.
async fn refused(tamper: fn(&mut Value, &mut Value)) -> String {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    stub.state().tamper = tamper;
    let error = sign_in(&stub, &bench).await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Refused(SignInRefusal::IdToken(_))),
        "{error}"
    );
    assert!(bench.accounts.users().await.unwrap().is_empty());
    error.to_string()
}

#[tokio::test]
async fn a_good_sign_in_gives_name_and_labels() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let password = sign_in(&stub, &bench).await.unwrap();
    let labels = Bench::labels(bench.log_in("ann", &password).await);
    assert_eq!(labels, label("groups", &["red", "blue"]));
    assert_eq!(
        stub.state().rotations,
        0,
        "the provider was not asked again"
    );
}

#[tokio::test]
async fn an_id_token_that_is_wrong_signs_in_no_user() {
    for (tamper, message) in [
        (
            (|header, _| header["alg"] = "none".into()) as fn(&mut Value, &mut Value),
            "\"none\"",
        ),
        (|header, _| header["alg"] = "HS256".into(), "\"HS256\""),
        (
            |header, _| header["alg"] = "RS256".into(),
            "does not say that it signs with RS256",
        ),
        (|header, _| header["crit"] = json!(["x"]), "crit"),
        (
            |header, _| header["kid"] = "other".into(),
            "not one of the provider's",
        ),
        (|_, claims| claims["exp"] = START.into(), "has expired"),
        (|_, claims| claims["exp"] = Value::Null, "has expired"),
        (
            |_, claims| claims["nbf"] = (START + 301).into(),
            "not valid yet",
        ),
        (
            |_, claims| claims["iss"] = "https://other.example".into(),
            "another issuer",
        ),
        (|_, claims| claims["aud"] = "other".into(), "another client"),
        (
            |_, claims| claims["aud"] = json!(["wharfinger", "other"]),
            "azp",
        ),
        (|_, claims| claims["azp"] = "other".into(), "azp"),
        (|_, claims| claims["nonce"] = "m".into(), "nonce"),
        (|_, claims| claims["nonce"] = Value::Null, "nonce"),
        (|_, claims| claims["sub"] = "".into(), "no subject"),
    ] {
        let found = refused(tamper).await;
        assert!(found.contains(message), "{message}: {found}");
    }
}

/// A signature over other words, by whatever key.
#[tokio::test]
async fn a_token_that_was_changed_is_refused() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let parameters = AuthorizationParameters {
        state: "s".to_owned(),
        nonce: "n".to_owned(),
        code_challenge: "TJRIXgwhrmxBzh3-e2v6zupato5AokdvUCCOUm9QYIA".to_owned(),
        page: PAGE.to_owned(),
    };
    let to = bench.provider.authorization_url(&parameters).await.unwrap();
    let back = form(&stub.agree(&to));
    let grant = TokenGrant::AuthorizationCode {
        code: &back["code"].as_str().into(),
        verifier: &"v".into(),
        page: PAGE,
    };
    let mut tokens = bench.provider.request_tokens(grant).await.unwrap();
    let parts: Vec<_> = tokens
        .id_token
        .expose()
        .split('.')
        .map(str::to_owned)
        .collect();
    let claims = data_encoding::BASE64URL_NOPAD
        .decode(parts[1].as_bytes())
        .unwrap();
    let claims = String::from_utf8(claims)
        .unwrap()
        .replace("\"ann\"", "\"eve\"");
    let claims = data_encoding::BASE64URL_NOPAD.encode(claims.as_bytes());
    tokens.id_token = format!("{}.{claims}.{}", parts[0], parts[2]).into();
    let expected = ExpectedUser::SignIn { nonce: "n" };
    let error = bench
        .provider
        .identify(&tokens, expected)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("signature does not verify"),
        "{error}"
    );
}

#[tokio::test]
async fn pkce_and_codes_are_good_once() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let parameters = AuthorizationParameters {
        state: "s".to_owned(),
        nonce: "n".to_owned(),
        code_challenge: "TJRIXgwhrmxBzh3-e2v6zupato5AokdvUCCOUm9QYIA".to_owned(),
        page: PAGE.to_owned(),
    };
    for verifier in ["w", ""] {
        let to = bench.provider.authorization_url(&parameters).await.unwrap();
        let back = form(&stub.agree(&to));
        let grant = TokenGrant::AuthorizationCode {
            code: &back["code"].as_str().into(),
            verifier: &verifier.into(),
            page: PAGE,
        };
        for _ in 0..2 {
            let error = bench.provider.request_tokens(grant).await.unwrap_err();
            assert!(
                matches!(error, ProviderError::Refused(SignInRefusal::Code)),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn an_address_that_is_not_verified_names_no_user() {
    for (verified, is_refused) in [
        (json!(false), true),
        (json!("false"), true),
        (json!(true), false),
        (json!("true"), false),
        (Value::Null, true),
    ] {
        let stub = OidcStub::start(START);
        let bench = Bench::oidc(&stub);
        stub.state().claims["email_verified"] = verified.clone();
        let outcome = sign_in(&stub, &bench).await;
        assert_eq!(outcome.is_err(), is_refused, "{verified}: {outcome:?}");
    }
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    stub.state().claims = json!({"sub": "7", "email": "ann", "groups": []});
    assert!(
        sign_in(&stub, &bench).await.is_ok(),
        "a provider that does not say it"
    );
}

/// A push logs in many times at once, and the provider takes a second use for theft.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_refresh_token_is_used_once_by_twenty_logins() {
    let stub = OidcStub::start(START);
    let bench = std::sync::Arc::new(Bench::oidc(&stub));
    let password = sign_in(&stub, &bench).await.unwrap();
    for round in 1..=3 {
        bench.clock.pass(301);
        stub.state().now += 301;
        stub.state().claims["groups"] = json!([format!("round-{round}")]);
        let logins: Vec<_> = (0..20)
            .map(|_| {
                let (bench, password) = (bench.clone(), password.clone());
                tokio::spawn(async move { bench.log_in("ann", &password).await })
            })
            .collect();
        for login in logins {
            let labels = Bench::labels(login.await.unwrap());
            assert_eq!(labels, label("groups", &[&format!("round-{round}")]));
        }
        assert_eq!(stub.state().rotations, round);
        let stored = record(&bench).await.tokens.refresh_token;
        assert_eq!(stored.expose(), format!("rt-{round}"));
    }
}

#[tokio::test]
async fn a_rotated_token_is_stored_before_it_is_used() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let password = sign_in(&stub, &bench).await.unwrap();
    bench.clock.pass(301);
    // The ID token of the answer is wrong, so the revalidation fails after the rotation.
    stub.state().tamper = |header, _| header["kid"] = "other".into();
    let outcome = bench.log_in("ann", &password).await.unwrap();
    assert!(matches!(outcome, AuthenticationOutcome::Rejected(_)));
    assert_eq!(record(&bench).await.tokens.refresh_token.expose(), "rt-1");
    stub.state().tamper = |_, _| {};
    stub.state().now += 301;
    Bench::labels(bench.log_in("ann", &password).await);
    assert_eq!(stub.state().rotations, 2);
}

#[tokio::test]
async fn labels_come_from_userinfo_if_the_refreshed_token_has_none() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let password = sign_in(&stub, &bench).await.unwrap();
    bench.clock.pass(301);
    stub.state().refreshes_id_token = false;
    stub.state().userinfo = json!({"groups": ["green"], "email": "ann", "email_verified": true});
    let labels = Bench::labels(bench.log_in("ann", &password).await);
    assert_eq!(labels, label("groups", &["green"]));
    // A provider that tells the name at sign-in only: the subject is enough.
    bench.clock.pass(301);
    stub.state().userinfo = json!({"groups": ["white"]});
    let labels = Bench::labels(bench.log_in("ann", &password).await);
    assert_eq!(labels, label("groups", &["white"]));
}

#[tokio::test]
async fn what_the_provider_revokes_ends() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let password = sign_in(&stub, &bench).await.unwrap();
    stub.state().is_revoked = true;
    Bench::labels(bench.log_in("ann", &password).await);
    bench.clock.pass(301);
    for _ in 0..2 {
        let outcome = bench.log_in("ann", &password).await.unwrap();
        assert!(matches!(outcome, AuthenticationOutcome::Rejected(_)));
        assert_eq!(
            bench.backend.recheck("ann").await.unwrap(),
            Recheck::NoMatch
        );
    }
    // It is kept for a while, in case that the provider changes its mind, and then it goes.
    bench.clock.pass(30 * 86_400);
    let _ = bench.log_in("ann", &password).await.unwrap();
    assert!(bench.accounts.users().await.unwrap().is_empty());
}

#[tokio::test]
async fn another_person_or_name_ends_the_sign_in() {
    for claims in [
        json!({"sub": "8", "email": "ann", "email_verified": true}),
        json!({"sub": "7", "email": "eve", "email_verified": true}),
        json!({"sub": "7", "email": "ann", "email_verified": false}),
    ] {
        let stub = OidcStub::start(START);
        let bench = Bench::oidc(&stub);
        let password = sign_in(&stub, &bench).await.unwrap();
        bench.clock.pass(301);
        stub.state().now += 301;
        stub.state().claims = claims.clone();
        let outcome = bench.log_in("ann", &password).await.unwrap();
        assert!(
            matches!(outcome, AuthenticationOutcome::Rejected(_)),
            "{claims}"
        );
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_unavailable_and_ends_nothing() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    stub.state().broken = Some(503);
    let error = sign_in_error(&stub, &bench).await;
    assert!(
        matches!(error, ProviderError::Unavailable { .. }),
        "{error}"
    );
    // It was down at start, and is discovered when it is back.
    stub.state().broken = None;
    bench.clock.pass(1);
    stub.state().now += 1;
    let password = sign_in(&stub, &bench).await.unwrap();
    bench.clock.pass(301);
    stub.state().now += 301;
    for status in [500, 502, 404] {
        stub.state().broken = Some(status);
        let error = bench.log_in("ann", &password).await.unwrap_err();
        let AuthenticationError::Backend(error) = error else {
            panic!("{error}")
        };
        let fault = if status == 404 {
            BackendFault::Broken
        } else {
            BackendFault::Unavailable
        };
        assert_eq!(
            (error.backend, error.fault),
            ("oidc_auth", fault),
            "{status}"
        );
        assert!(bench.backend.recheck("ann").await.is_err());
    }
    stub.state().broken = None;
    Bench::labels(bench.log_in("ann", &password).await);
}

/// Twenty logins wait for it, and it answers none: each gets an error, and the sign-in goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_provider_is_given_up_and_asked_again() {
    let stub = OidcStub::start(START);
    let limit = Duration::from_millis(300);
    let bench = std::sync::Arc::new(Bench::impatient_oidc(&stub, limit));
    // A busy machine may be slow itself.
    let password = loop {
        match sign_in(&stub, &bench).await {
            Ok(password) => break password,
            Err(error) => assert!(
                matches!(error, ProviderError::Unavailable { .. }),
                "{error}"
            ),
        }
        // After a failure it is left alone for a moment.
        bench.clock.pass(2);
        stub.state().now += 2;
    };
    bench.clock.pass(301);
    stub.state().now += 301;
    stub.state().is_silent = true;
    let logins: Vec<_> = (0..20)
        .map(|_| {
            let (bench, password) = (bench.clone(), password.clone());
            tokio::spawn(async move { bench.log_in("ann", &password).await })
        })
        .collect();
    for login in logins {
        let AuthenticationError::Backend(error) = login.await.unwrap().unwrap_err() else {
            panic!("no error of the backend")
        };
        assert_eq!(error.fault, BackendFault::Unavailable);
    }
    stub.state().is_silent = false;
    while bench.log_in("ann", &password).await.is_err() {}
    Bench::labels(bench.log_in("ann", &password).await);
}

async fn sign_in_error(stub: &OidcStub, bench: &Bench) -> ProviderError {
    sign_in(stub, bench).await.unwrap_err()
}

#[tokio::test]
async fn without_a_refresh_token_a_sign_in_is_good_for_a_session() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    stub.state().gives_refresh_token = false;
    let password = sign_in(&stub, &bench).await.unwrap();
    bench.clock.pass(12 * 3600);
    Bench::labels(bench.log_in("ann", &password).await);
    bench.clock.pass(1);
    let outcome = bench.log_in("ann", &password).await.unwrap();
    assert!(matches!(outcome, AuthenticationOutcome::Rejected(_)));
}

#[tokio::test]
async fn the_secret_may_be_wanted_in_the_form() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    stub.state().auth_methods = json!(["client_secret_post", "private_key_jwt"]);
    assert!(sign_in(&stub, &bench).await.is_ok());
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    stub.state().auth_methods = json!(["private_key_jwt"]);
    let error = sign_in_error(&stub, &bench).await;
    assert!(matches!(error, ProviderError::Broken(_)), "{error}");
}

/// A secret that is wrong is the operator's fault and ends no user's sign-in.
#[tokio::test]
async fn a_wrong_secret_is_broken_and_revokes_nothing() {
    let stub = OidcStub::start(START);
    let wrong = Bench::oidc_with(&stub, |settings| settings.client_secret = "wrong".into());
    let error = sign_in_error(&stub, &wrong).await;
    assert!(
        matches!(&error, ProviderError::Broken(what) if what.contains("invalid_client")),
        "{error}"
    );
}

#[tokio::test]
async fn a_domain_is_enforced() {
    for (claims, is_in) in [
        (
            json!({"sub": "7", "email": "ann@Example.com", "email_verified": true}),
            true,
        ),
        (
            json!({"sub": "7", "email": "ann@x.example", "email_verified": true, "hd": "example.com"}),
            true,
        ),
        (
            json!({"sub": "7", "email": "ann@example.com", "email_verified": true, "hd": "x.example"}),
            false,
        ),
        (
            json!({"sub": "7", "email": "ann@example.com.evil.example", "email_verified": true}),
            false,
        ),
        (
            json!({"sub": "7", "email": "\"ann@example.com\"@evil.example", "email_verified": true}),
            false,
        ),
    ] {
        let stub = OidcStub::start(START);
        let bench = Bench::oidc_with(&stub, |settings| {
            settings.domain = Some("example.com".to_owned());
            settings.label_claims.clear();
        });
        stub.state().claims = claims.clone();
        let outcome = sign_in(&stub, &bench).await;
        assert_eq!(outcome.is_ok(), is_in, "{claims}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_document_of_another_issuer_is_refused() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc_with(&stub, |settings| settings.issuer.push('/'));
    let error = sign_in_error(&stub, &bench).await;
    assert!(error.to_string().contains("is of the issuer"), "{error}");
}

/// The stub's own requests show no secret where logs would: in a URL.
#[tokio::test]
async fn no_secret_is_in_an_address() {
    let stub = OidcStub::start(START);
    let bench = Bench::oidc(&stub);
    let password = sign_in(&stub, &bench).await.unwrap();
    bench.clock.pass(301);
    stub.state().now += 301;
    Bench::labels(bench.log_in("ann", &password).await);
    let requests = stub.requests();
    assert!(requests.len() > 3);
    assert!(
        requests.iter().all(|request| request.query.is_empty()),
        "{requests:?}"
    );
}
