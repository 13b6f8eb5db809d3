//! Proofs that one backend recognizes by their form, and sessions by their credential alone.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::BoxFuture;
use identity::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, AuthenticatorChain,
    BackendError, CredentialFingerprint, EarlierLogin, Identity, LifetimeBound, LoginOutcome,
    LoginRetention, LoginSource, LoginTerms, Proof, Recheck, RecheckedCredential, SessionStatus,
    StaticUsers, TokenRefusal,
};
use policy::{Labels, Subject};

use crate::support::{Bench, account, accounts, proof, verifier};

/// A backend of tokens: a password `token:NAME` is the account `ci:NAME`. `token:` is a guess, and
/// `token:!` a token that no rule takes.
struct Tokens {
    retention: LoginRetention,
    asked: Arc<AtomicUsize>,
}

impl Authenticator for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }

    fn hint(&self, _: &str) -> AccountHint {
        AccountHint::NoMatch
    }

    fn recognizes(&self, proof: &Proof) -> bool {
        proof.secret().expose().starts_with("token:")
    }

    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        Box::pin(async move {
            let Some(name) = proof.secret().expose().strip_prefix("token:") else {
                return Ok(AuthenticationOutcome::NoMatch);
            };
            self.asked.fetch_add(1, Ordering::Relaxed);
            if let "" | "!" = name {
                return Ok(AuthenticationOutcome::TokenRefused(match name {
                    "" => TokenRefusal::Unverified,
                    _ => TokenRefusal::Verified,
                }));
            }
            let terms = LoginTerms {
                retention: self.retention,
                ..LoginTerms::default()
            };
            let subject = Subject {
                account: format!("ci:{name}"),
                labels: Labels::new(),
            };
            Ok(AuthenticationOutcome::Accepted(Identity {
                terms,
                ..Identity::new(subject)
            }))
        })
    }

    fn recheck<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        let known = RecheckedCredential {
            credential: CredentialFingerprint::of("rule"),
            token_lifetime: LifetimeBound::Configured,
        };
        let found = match account.starts_with("ci:") {
            true => Recheck::ByCredential(vec![known]),
            false => Recheck::NoMatch,
        };
        Box::pin(std::future::ready(Ok(found)))
    }
}

fn bench(retention: LoginRetention) -> (Bench, Arc<AtomicUsize>) {
    let accounts = accounts(&[
        ("", account(&[])),
        ("guest", account(&[])),
        ("ann", account(&[("one", 4)])),
    ]);
    let verifier = verifier(&accounts);
    let asked = Arc::default();
    let tokens = Tokens {
        retention,
        asked: Arc::clone(&asked),
    };
    let users = StaticUsers::new(accounts, Arc::clone(&verifier));
    let backends: Vec<Box<dyn Authenticator>> = vec![Box::new(users), Box::new(tokens)];
    let bench = Bench::remembering(backends, verifier, Duration::from_secs(60));
    (bench, asked)
}

/// Neither an open account nor one with a password of its own is looked at.
#[tokio::test]
async fn a_recognized_proof_is_its_backends_whatever_account_it_names() {
    let (bench, _) = bench(LoginRetention::Configured);
    for name in ["", "guest", "ann", "anything"] {
        let login = bench.login.login(&proof(name, "token:7"), None).await;
        let LoginOutcome::Accepted(accepted) = login.unwrap() else {
            panic!("{name:?} is not accepted")
        };
        assert_eq!(accepted.identity.subject.account, "ci:7");
        assert_eq!(
            (accepted.backend, accepted.asked_before),
            ("tokens", vec![])
        );
        let wrong = bench.login.login(&proof(name, "token:"), None).await;
        let backend = Some("tokens");
        assert_eq!(wrong.unwrap(), LoginOutcome::Rejected { backend });
    }
    let guest = bench.login.login(&proof("guest", "any"), None).await;
    assert!(matches!(guest.unwrap(), LoginOutcome::Accepted(login) if login.backend == "users"));
}

/// A job whose token no rule takes tries again and again, and so does a client that makes tokens up.
/// Neither ends the logins of the good jobs at their address.
#[tokio::test]
async fn only_forged_tokens_count_as_failures_and_no_valid_one_waits_for_them() {
    let (bench, _) = bench(LoginRetention::Never);
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let ask = |secret| {
        let proof = proof("x", secret);
        let login = Arc::clone(&bench.login);
        async move { login.login(&proof, Some(address)).await.unwrap() }
    };
    let rejected = LoginOutcome::Rejected {
        backend: Some("tokens"),
    };
    for _ in 0..100 {
        assert_eq!(ask("token:!").await, rejected);
    }
    assert_eq!(bench.verifier.performed(), 0);
    // For one account from one address.
    for _ in 0..10 {
        assert_eq!(ask("token:").await, rejected);
    }
    assert_eq!(bench.verifier.performed(), 10);
    for secret in ["token:", "password"] {
        assert!(matches!(
            ask(secret).await,
            LoginOutcome::TooManyFailures(_)
        ));
    }
    assert_eq!(bench.verifier.performed(), 10);
    assert!(matches!(ask("token:7").await, LoginOutcome::Accepted(_)));
    assert_eq!(ask("token:!").await, rejected);
}

#[tokio::test]
async fn a_login_that_must_not_be_remembered_is_checked_each_time() {
    for (retention, expected) in [(LoginRetention::Configured, 1), (LoginRetention::Never, 3)] {
        let (bench, asked) = bench(retention);
        for _ in 0..3 {
            let login = bench.login.login(&proof("x", "token:7"), None).await;
            assert!(matches!(login.unwrap(), LoginOutcome::Accepted(_)));
        }
        assert_eq!(asked.load(Ordering::Relaxed), expected, "{retention:?}");
    }
}

#[tokio::test]
async fn a_session_goes_on_while_its_rule_is_there() {
    let tokens = || Tokens {
        retention: LoginRetention::Configured,
        asked: Arc::default(),
    };
    let chain = AuthenticatorChain::new(vec![Box::new(tokens())]);
    let (rule, other) = (
        CredentialFingerprint::of("rule"),
        CredentialFingerprint::of("other"),
    );
    let unchanged = SessionStatus::Unchanged {
        token_lifetime: LifetimeBound::Configured,
    };
    for (account, credential, backend, expected) in [
        ("ci:7", Some(&rule), Some("tokens"), unchanged),
        ("ci:7", Some(&other), Some("tokens"), SessionStatus::Ended),
        ("ci:7", None, Some("tokens"), SessionStatus::Ended),
        ("ci:7", Some(&rule), Some("users"), SessionStatus::Ended),
        ("ann", Some(&rule), Some("tokens"), SessionStatus::Ended),
    ] {
        let login = EarlierLogin {
            account,
            credential,
            backend,
        };
        let status = chain.recheck(&login).await.unwrap();
        assert_eq!(status, expected, "{login:?}");
    }
    assert_eq!(chain.look_up("ci:7").await.unwrap(), None);
}
