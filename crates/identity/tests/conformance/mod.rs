//! One suite that every [`Authenticator`] passes. Crates with a backend include this file in their
//! tests, because a feature of `identity` would build it twice.

use identity::password::HashCost;
use identity::{
    AccountHint, AuthenticationOutcome, Authenticator, Credentials, CurrentCredentials,
    LoginSource, PasswordVerifier, Proof, Recheck,
};
use policy::Labels;

/// What a backend under test must know: `ann` with the password `sesame`, and `bob` with another.
/// It must not know `unknown`.
pub(crate) struct Subject<'a> {
    pub(crate) backend: &'a dyn Authenticator,
    pub(crate) verifier: &'a PasswordVerifier,
    /// The labels of `ann`.
    pub(crate) labels: Labels,
    pub(crate) matching: NameMatching,
    pub(crate) empty_password: EmptyPassword,
}

/// Which spellings of a name find the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameMatching {
    /// The stored one only.
    Exact,
    /// Any that differs in case: `Ann` finds `ann`.
    #[allow(
        dead_code,
        reason = "not every crate that includes this file has such a backend"
    )]
    IgnoresCase,
}

/// What an account that has a password answers to an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmptyPassword {
    /// It is wrong like any other.
    Rejected,
    /// The backend does not check it, and the next one is asked.
    #[allow(
        dead_code,
        reason = "not every crate that includes this file has such a backend"
    )]
    NoMatch,
}

impl Subject<'_> {
    pub(crate) async fn ask(&self, account: &str, password: &str) -> AuthenticationOutcome {
        let source = LoginSource::new(None, account);
        self.backend
            .authenticate(&proof(account, password), &source)
            .await
            .unwrap()
    }

    pub(crate) async fn conforms(&self) {
        self.knows_its_own().await;
        self.passes_on_the_others().await;
        self.passes_on_other_kinds_of_proof().await;
        self.rejects_at_full_cost().await;
        self.finds_the_stored_name().await;
        self.survives_a_caller_that_goes_away().await;
    }

    /// A backend that finds an account under another spelling accepts the stored name, because rules
    /// compare names exactly.
    async fn finds_the_stored_name(&self) {
        if self.matching == NameMatching::Exact {
            return;
        }
        for spelling in ["Ann", "ANN"] {
            let AuthenticationOutcome::Accepted(accepted) = self.ask(spelling, "sesame").await
            else {
                panic!("{spelling} is not accepted")
            };
            assert_eq!(accepted.subject.account, "ann");
            assert!(matches!(
                self.backend.recheck(spelling).await.unwrap(),
                Recheck::NoMatch | Recheck::Unknown
            ));
        }
    }

    async fn knows_its_own(&self) {
        assert_eq!(self.backend.hint("ann"), AccountHint::NeedsProof);
        let AuthenticationOutcome::Accepted(accepted) = self.ask("ann", "sesame").await else {
            panic!("ann is not accepted")
        };
        assert_eq!(
            (accepted.subject.account.as_str(), &accepted.subject.labels),
            ("ann", &self.labels)
        );
        match (
            self.backend.recheck("ann").await.unwrap(),
            accepted.credential,
        ) {
            (
                Recheck::Present {
                    subject,
                    credentials: CurrentCredentials::Known(listed),
                },
                Some(credential),
            ) => {
                assert_eq!(subject, accepted.subject);
                assert!(listed.contains(&credential));
            }
            (
                Recheck::Present {
                    subject,
                    credentials: CurrentCredentials::Unknown,
                },
                None,
            ) => assert_eq!(subject, accepted.subject),
            (Recheck::Unknown, None) => {}
            other => panic!("{other:?}"),
        }
    }

    async fn passes_on_the_others(&self) {
        let mut others = vec!["unknown", "an", "annn", "*", ""];
        if self.matching == NameMatching::Exact {
            others.push("Ann");
        }
        for name in others {
            for password in ["sesame", "", "unknown"] {
                assert!(
                    matches!(
                        self.ask(name, password).await,
                        AuthenticationOutcome::NoMatch
                    ),
                    "{name:?} {password:?}"
                );
            }
            assert!(
                matches!(
                    self.backend.hint(name),
                    AccountHint::NoMatch | AccountHint::NeedsProof
                ),
                "{name:?}"
            );
            assert!(matches!(
                self.backend.recheck(name).await.unwrap(),
                Recheck::NoMatch | Recheck::Unknown
            ));
        }
    }

    /// A backend for passwords does not know the other kinds, and so it does not reject them.
    async fn passes_on_other_kinds_of_proof(&self) {
        for proof in [
            Proof::BearerToken("sesame".into()),
            Proof::FederatedToken("sesame".into()),
        ] {
            let source = LoginSource::new(None, "");
            let outcome = self.backend.authenticate(&proof, &source).await.unwrap();
            assert!(matches!(outcome, AuthenticationOutcome::NoMatch));
        }
    }

    async fn rejects_at_full_cost(&self) {
        let mut wrong = vec![("ann", "Sesame"), ("ann", "sesame "), ("bob", "sesame")];
        match self.empty_password {
            EmptyPassword::Rejected => wrong.push(("ann", "")),
            EmptyPassword::NoMatch => assert!(matches!(
                self.ask("ann", "").await,
                AuthenticationOutcome::NoMatch
            )),
        }
        for (account, password) in wrong {
            let (performed, spent) = (self.verifier.performed(), self.verifier.spent());
            assert!(
                matches!(
                    self.ask(account, password).await,
                    AuthenticationOutcome::Rejected(_)
                ),
                "{account} {password:?}"
            );
            assert_eq!(self.verifier.performed(), performed + 1);
            assert_eq!(
                self.verifier.spent(),
                [spent, HashCost::clone(&self.verifier.rejection_cost())]
                    .into_iter()
                    .sum()
            );
        }
    }

    async fn survives_a_caller_that_goes_away(&self) {
        let source = LoginSource::new(None, "ann");
        let proof = proof("ann", "sesame");
        {
            let answer = self.backend.authenticate(&proof, &source);
            let nothing = std::future::ready(());
            tokio::select! { biased; () = nothing => {}, _ = answer => {} }
        }
        assert!(matches!(
            self.ask("ann", "sesame").await,
            AuthenticationOutcome::Accepted(_)
        ));
    }
}

fn proof(account: &str, password: &str) -> Proof {
    Proof::Password(Credentials {
        account: account.into(),
        password: password.into(),
    })
}
