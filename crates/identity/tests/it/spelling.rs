//! Backends that find an account under another spelling of its name.

use common::BoxFuture;
use identity::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError, Identity,
    LoginOutcome, LoginSource, Proof, Recheck, StaticUsers,
};
use policy::{Labels, Subject};

use crate::support::{Bench, account, accounts, proof, verifier};

/// A backend that knows `ann` under any case, and accepts any password.
struct CaseIgnored;

impl Authenticator for CaseIgnored {
    fn name(&self) -> &'static str {
        "case_ignored"
    }

    fn hint(&self, _: &str) -> AccountHint {
        AccountHint::NeedsProof
    }

    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        let outcome = if proof.account().eq_ignore_ascii_case("ann") {
            AuthenticationOutcome::Accepted(Identity::new(Subject {
                account: "ann".into(),
                labels: Labels::new(),
            }))
        } else {
            AuthenticationOutcome::NoMatch
        };
        Box::pin(std::future::ready(Ok(outcome)))
    }

    fn recheck<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(std::future::ready(Ok(Recheck::Unknown)))
    }
}

async fn account_of(bench: &Bench, name: &str) -> Option<String> {
    match bench.login.login(&proof(name, "any"), None).await.unwrap() {
        LoginOutcome::Accepted(accepted) => Some(accepted.identity.subject.account),
        _ => None,
    }
}

#[tokio::test]
async fn the_account_is_the_stored_spelling() {
    let bench = Bench::of(vec![Box::new(CaseIgnored)], verifier(&accounts(&[])));
    for spelling in ["ann", "Ann", "ANN"] {
        assert_eq!(account_of(&bench, spelling).await.as_deref(), Some("ann"));
    }
    assert_eq!(account_of(&bench, "bob").await, None);
}

/// Otherwise the later backend's `ann` would log in as the earlier one's by writing `ANN`.
#[tokio::test]
async fn another_spelling_does_not_reach_the_account_of_an_earlier_backend() {
    let users = accounts(&[("ann", account(&[("sesame", 4)]))]);
    let verifier = verifier(&users);
    let first = StaticUsers::new(users, verifier.clone());
    let bench = Bench::of(vec![Box::new(first), Box::new(CaseIgnored)], verifier);
    for spelling in ["ann", "Ann", "ANN"] {
        assert_eq!(account_of(&bench, spelling).await, None, "{spelling}");
    }
}
