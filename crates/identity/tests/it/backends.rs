//! The backends of this crate in the suite that every backend passes.

use std::sync::Arc;
use std::time::Duration;

use identity::password::Argon2id;
use identity::{Account, AuthenticationOutcome, ExtAuth, PasswordVerifier, StaticUsers, htpasswd};
use policy::Labels;

use crate::conformance::{EmptyPassword, NameMatching, Subject};
use crate::support::{account, accounts, script, verifier};

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
        matching: NameMatching::Exact,
        empty_password: EmptyPassword::Rejected,
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
        matching: NameMatching::Exact,
        empty_password: EmptyPassword::Rejected,
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
        matching: NameMatching::Exact,
        empty_password: EmptyPassword::Rejected,
    }
    .conforms()
    .await;
}
