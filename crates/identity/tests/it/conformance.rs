//! One suite that every backend passes.

use std::sync::Arc;
use std::time::Duration;

use identity::password::Argon2id;
use identity::{
    Account, AccountHint, AuthenticationOutcome, Authenticator, CurrentCredentials, ExtAuth,
    LoginSource, PasswordVerifier, Proof, Recheck, StaticUsers, htpasswd,
};
use policy::Labels;

use crate::support::{account, accounts, proof, script, verifier};

/// What a backend under test must know: `ann` with the password `sesame`, and `bob` with another.
/// It must not know `unknown`.
struct Subject<'a> {
    backend: &'a dyn Authenticator,
    verifier: &'a PasswordVerifier,
    /// The labels of `ann`.
    labels: Labels,
}

impl Subject<'_> {
    async fn ask(&self, account: &str, password: &str) -> AuthenticationOutcome {
        let source = LoginSource::new(None, account);
        self.backend
            .authenticate(&proof(account, password), &source)
            .await
            .unwrap()
    }

    async fn conforms(&self) {
        self.knows_its_own().await;
        self.passes_on_the_others().await;
        self.passes_on_other_kinds_of_proof().await;
        self.rejects_at_full_cost().await;
        self.survives_a_caller_that_goes_away().await;
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
        for name in ["unknown", "Ann", "an", "annn", "*", ""] {
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
        for (account, password) in [
            ("ann", "Sesame"),
            ("ann", ""),
            ("ann", "sesame "),
            ("bob", "sesame"),
        ] {
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
                [spent, self.verifier.rejection_cost().clone()]
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

fn labels() -> Labels {
    Labels::from([("team".to_owned(), vec!["red".to_owned(), "blue".to_owned()])])
}

#[tokio::test]
async fn static_users() {
    let ann = Account {
        labels: labels(),
        ..account(&[("first", 5), ("sesame", 4)])
    };
    let accounts = accounts(&[("ann", ann), ("bob", account(&[("other", 6)]))]);
    let verifier = verifier(&accounts);
    let backend = StaticUsers::new(accounts, verifier.clone());
    let subject = Subject {
        backend: &backend,
        verifier: &verifier,
        labels: labels(),
    };
    subject.conforms().await;
    for name in ["ann ", " ann", "ann\0", "ann\n"] {
        assert!(
            matches!(
                subject.ask(name, "sesame").await,
                AuthenticationOutcome::NoMatch
            ),
            "{name:?}"
        );
    }
}

#[tokio::test]
async fn htpasswd_file() {
    let argon = Argon2id::hash(b"sesame", &[1; 16], 32, 2).unwrap();
    let bcrypt = "$2y$05$WuwBasGDAgr.QCbGIjKJaep4dhxeai9gNZdmBnQXqpKly57oNutya";
    let accounts = htpasswd::parse(&format!("ann:{argon}\nbob:{bcrypt}\n")).accounts;
    let verifier = verifier(&accounts);
    let backend = StaticUsers::new(accounts, verifier.clone());
    Subject {
        backend: &backend,
        verifier: &verifier,
        labels: Labels::new(),
    }
    .conforms()
    .await;
}

#[tokio::test]
async fn ext_auth() {
    let directory = tempfile::tempdir().unwrap();
    let program = r#"
        case "$(cat)" in
            "ann sesame") echo '{"labels": {"team": ["red", "blue"]}}'; exit 0;;
            "ann "*|"bob "*) exit 1;;
            *) exit 2;;
        esac
    "#;
    let program = script(directory.path(), program, Duration::from_secs(60));
    let verifier: Arc<PasswordVerifier> = verifier(&accounts(&[("other", account(&[("x", 5)]))]));
    let backend = ExtAuth::new(program, verifier.clone());
    Subject {
        backend: &backend,
        verifier: &verifier,
        labels: labels(),
    }
    .conforms()
    .await;
}
