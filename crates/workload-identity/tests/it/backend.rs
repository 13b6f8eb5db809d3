//! The contract of a backend of logins, as far as one without accounts can keep it.

use std::time::{Duration, UNIX_EPOCH};

use identity::password::HashCost;
use identity::{
    AccountHint, AuthenticationOutcome, Authenticator, BackendFault, Credentials, LifetimeBound,
    LoginRetention, LoginSource, Proof, Recheck, SessionAllowance, TokenRefusal,
};
use peers::StubAnswer;
use serde_json::json;
use workload_identity::{Preset, RuleOutcome};

use crate::platform::{Platform, documented, key};
use crate::support::{Bench, START, rule, settings};

fn password(account: &str, password: &str) -> Proof {
    Proof::Password(Credentials {
        account: account.into(),
        password: password.into(),
    })
}

#[tokio::test]
async fn a_token_is_accepted_as_the_password_of_any_user_name() {
    let platform = Platform::start();
    let bench = Bench::github(&platform);
    let token = platform.token(&documented::github(START));
    for account in ["", "ann", "github", "github:74", "github:75", "<token>"] {
        assert!(bench.backend.recognizes(&password(account, &token)));
        let outcome = bench.ask(account, &token).await.unwrap();
        let AuthenticationOutcome::Accepted(identity) = outcome else {
            panic!("{account}: {outcome:?}")
        };
        assert_eq!(identity.subject.account, "github:74");
        assert_eq!(
            identity.terms.retention,
            LoginRetention::Until(UNIX_EPOCH + Duration::from_secs(START + 300 + 60))
        );
    }
}

/// A password is an ordinary one, whatever it looks like, unless a trusted issuer made it.
#[tokio::test]
async fn other_passwords_are_left_to_other_backends() {
    let platform = Platform::start();
    let bench = Bench::github(&platform);
    let mut claims = documented::github(START);
    claims["iss"] = "https://other.example".into();
    let foreign = platform.sign(&json!({"alg": "ES256"}), &claims);
    for text in ["", "secret", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", &foreign] {
        assert!(!bench.backend.recognizes(&password("ann", text)));
        let outcome = bench.ask("ann", text).await.unwrap();
        assert!(matches!(outcome, AuthenticationOutcome::NoMatch), "{text}");
    }
    assert_eq!(bench.backend.hint("ann"), AccountHint::NoMatch);
    assert_eq!(
        bench.backend.recheck("ann").await.unwrap(),
        Recheck::NoMatch
    );
    let bearer = Proof::BearerToken(platform.token(&documented::github(START)).into());
    let source = LoginSource::new(None, "");
    let outcome = bench.backend.authenticate(&bearer, &source).await.unwrap();
    assert!(matches!(outcome, AuthenticationOutcome::NoMatch));
    assert_eq!(platform.requests(), Vec::<String>::new());
}

/// The name of a workload's account opens nothing, and no other backend is asked about it.
#[tokio::test]
async fn accounts_of_workloads_have_no_password() {
    let platform = Platform::start();
    let bench = Bench::github(&platform);
    for account in ["github:74", "github:", "github:anything"] {
        assert_eq!(bench.backend.hint(account), AccountHint::NeedsProof);
        let outcome = bench.ask(account, "secret").await.unwrap();
        assert!(matches!(outcome, AuthenticationOutcome::Rejected(_)));
    }
    for account in ["github", "github74", "Github:74", "xgithub:74"] {
        assert_eq!(bench.backend.hint(account), AccountHint::NoMatch);
        let outcome = bench.ask(account, "secret").await.unwrap();
        assert!(
            matches!(outcome, AuthenticationOutcome::NoMatch),
            "{account}"
        );
    }
}

#[tokio::test]
async fn a_wrong_password_costs_as_much_as_any_other() {
    let platform = Platform::start();
    let bench = Bench::github(&platform);
    let outcome = bench.ask("github:74", "secret").await.unwrap();
    assert!(matches!(outcome, AuthenticationOutcome::Rejected(_)));
    let cost = HashCost::clone(&bench.verifier.rejection_cost());
    assert_eq!(
        (bench.verifier.performed(), bench.verifier.spent()),
        (1, cost)
    );
}

/// Only a token that its platform did not make is a guess.
#[tokio::test]
async fn a_refused_token_is_known_to_be_its_platform_s_or_not() {
    let platform = Platform::start();
    let mut settings = settings("github", Preset::Github, platform.issuer());
    settings.rules = vec![rule("github", Preset::Github, &[("repository_id", "74")])];
    let bench = Bench::new(vec![settings]);
    let with = |claim: &str, value: serde_json::Value| {
        let mut claims = documented::github(START);
        claims[claim] = value;
        platform.token(&claims)
    };
    let genuine = with("exp", 1.into());
    let (signed, _) = genuine.rsplit_once('.').unwrap();
    let forged = format!("{signed}.AAAA");
    let mut claims = documented::github(START);
    claims["iss"] = "https://other.example".into();
    let foreign = platform.sign(&json!({"alg": "ES256"}), &claims);
    for (token, expected) in [
        (genuine, TokenRefusal::Verified),
        (with("aud", "other".into()), TokenRefusal::Verified),
        (with("repository_id", "75".into()), TokenRefusal::Verified),
        (foreign, TokenRefusal::Unverified),
        (forged, TokenRefusal::Unverified),
        ("x".to_owned(), TokenRefusal::Unverified),
        (String::new(), TokenRefusal::Unverified),
    ] {
        let outcome = bench.exchange(&token).await.unwrap();
        let AuthenticationOutcome::TokenRefused(refusal) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(refusal, expected, "{token}");
    }
    assert_eq!(bench.verifier.performed(), 0);
}

/// A session goes on by its rule, wherever the rule stands now, and ends when the rule says something
/// else.
#[tokio::test]
async fn a_session_belongs_to_what_its_rule_says() {
    let platform = Platform::start();
    let token = platform.token(&documented::github(START));
    let with_rule = |place: &str, id: &str, seconds: u64| {
        let mut settings = settings("github", Preset::Github, platform.issuer());
        let mut rule = rule("github", Preset::Github, &[("repository_id", id)]);
        rule.place = place.into();
        rule.token_lifetime = LifetimeBound::AtMost(Duration::from_secs(seconds));
        rule.session = SessionAllowance::Allowed(LifetimeBound::AtMost(Duration::from_secs(3600)));
        settings.rules = vec![rule];
        Bench::new(vec![settings])
    };
    let opened = with_rule("auth.yml:7", "74", 900).accepted(&token).await;
    let credential = opened.credential.unwrap();
    assert_eq!(
        opened.terms.session,
        SessionAllowance::Allowed(LifetimeBound::AtMost(Duration::from_secs(3600)))
    );
    for (place, id, seconds, goes_on) in [
        ("auth.yml:7", "74", 900, true),
        ("auth.yml:70", "74", 900, true),
        ("auth.yml:7", "7*", 900, false),
        ("auth.yml:7", "74", 901, false),
    ] {
        let bench = with_rule(place, id, seconds);
        let Recheck::ByCredential(known) = bench.backend.recheck("github:74").await.unwrap() else {
            panic!("{place}")
        };
        let found = known.iter().find(|known| known.credential == credential);
        assert_eq!(found.is_some(), goes_on, "{place} {id} {seconds}");
        if let Some(found) = found {
            let bound = LifetimeBound::AtMost(Duration::from_secs(900));
            assert_eq!(found.token_lifetime, bound);
        }
    }
}

#[tokio::test]
async fn a_report_shows_each_rule_and_what_was_found() {
    let platform = Platform::start();
    let mut settings = settings("github", Preset::Github, platform.issuer());
    settings.rules = vec![
        rule("github", Preset::Github, &[("environment", "test")]),
        rule("github", Preset::Github, &[("repository_id", "74")]),
    ];
    let bench = Bench::new(vec![settings]);
    let report = bench
        .backend
        .report(&platform.token(&documented::github(START)))
        .await;
    assert_eq!(report.issuer.as_deref(), Some("github"));
    assert_eq!(report.verified, Ok(()));
    let [differs, matches] = report.rules.as_slice() else {
        panic!("{:?}", report.rules)
    };
    let RuleOutcome::Differs(mismatch) = &differs.outcome else {
        panic!("{differs:?}")
    };
    assert_eq!(
        mismatch.to_string(),
        "environment is \"prod\", which does not match \"test\""
    );
    assert_eq!(matches.outcome, RuleOutcome::Matches);
    assert_eq!(report.accepted.unwrap().subject.account, "github:74");
    // An old token still shows which rule it would meet.
    bench.clock.pass(3600);
    let report = bench
        .backend
        .report(&platform.token(&documented::github(START)))
        .await;
    assert!(report.verified.unwrap_err().contains("it expired at"));
    assert_eq!((report.rules.len(), report.accepted), (2, None));
}

#[tokio::test]
async fn a_probe_counts_keys() {
    let platform = Platform::start();
    let bench = Bench::github(&platform);
    let found = bench.backend.probe().await.unwrap();
    assert_eq!(found.as_deref(), Some("github: 1 key"));
}

#[tokio::test]
async fn a_probe_says_what_each_issuer_answers() {
    let (platform, away) = (Platform::start(), Platform::start());
    platform.state().keys.push(("k2".to_owned(), key()));
    away.state().answer = Some(StubAnswer::Status(403, String::new()));
    let issuers = vec![
        settings("away", Preset::Github, away.issuer()),
        settings("github", Preset::Github, platform.issuer()),
    ];
    let bench = Bench::new(issuers);
    let error = bench.backend.probe().await.unwrap_err();
    assert_eq!(error.fault, BackendFault::Broken);
    let said = error.source.to_string();
    assert!(said.starts_with("away: error: "), "{said}");
    assert!(said.contains("403"), "{said}");
    assert!(said.ends_with("; github: 2 keys"), "{said}");
    away.state().answer = None;
    bench.clock.pass(60);
    let found = bench.backend.probe().await.unwrap();
    assert_eq!(found.as_deref(), Some("away: 1 key; github: 2 keys"));
}
