//! Programs, good and bad, behind the front bench.

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use identity::process::Program;
use identity::{ExtAuth, LoginOutcome, LoginSettings};

use crate::support::{Bench, account, accounts, proof, script, verifier};

const LONG: Duration = Duration::from_secs(60);

fn bench(directory: &Path, text: &str) -> Bench {
    let ann = ("ann", account(&[("sesame", 4)]));
    Bench::with(
        &[ann],
        LoginSettings::default(),
        Some(script(directory, text, LONG)),
    )
}

/// The labels an accepting script gave, or what went wrong with it, causes and all.
async fn ask(text: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let directory = tempfile::tempdir().unwrap();
    match bench(directory.path(), text)
        .login
        .login(&proof("eve", "pass word"), None)
        .await
    {
        Ok(LoginOutcome::Accepted(accepted)) => {
            Ok(accepted.identity.subject.labels.into_iter().collect())
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            let (mut text, mut cause) = (error.to_string(), error.source());
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            Err(text)
        }
    }
}

#[tokio::test]
async fn hands_over_name_and_password() {
    let directory = tempfile::tempdir().unwrap();
    let seen = directory.path().join("seen");
    let bench = bench(directory.path(), &format!("cat > {}", seen.display()));
    for (account, password, bytes) in [
        ("eve", "pass word", "eve pass word"),
        ("", "", " "),
        ("é", "ü\n", "é ü\n"),
    ] {
        let outcome = bench
            .login
            .login(&proof(account, password), None)
            .await
            .unwrap();
        assert!(matches!(outcome, LoginOutcome::Accepted(_)));
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), bytes);
    }
}

/// A program that splits its input as a shell does: `read user password`.
const SPLITS: &str = r#"read -r user password; echo "$user" >> @log@; test "$user" = alice"#;

/// The account that the program accepts is the one that rules, limits, sessions and the log see.
#[tokio::test]
async fn a_program_never_sees_another_name_than_the_rules() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let text = SPLITS.replace("@log@", log.to_str().unwrap());
    let bench = bench(directory.path(), &text);
    for (account, password) in [
        ("alice s3cret", ""),
        ("alice ", "x"),
        (" alice", "x"),
        ("alice\t", "x"),
        ("alice\u{a0}", "x"),
        ("alice\u{2003}x", "x"),
        ("alice\0", "x"),
        ("alice\n", "x"),
        ("alice\r\n", "x"),
        ("alice\u{1b}", "x"),
        ("alice\u{7f}", "x"),
        ("alice\u{9b}", "x"),
        ("", "alice s3cret"),
        ("", " alice s3cret"),
    ] {
        let outcome = bench.login.login(&proof(account, password), None).await;
        assert_eq!(
            outcome.unwrap(),
            LoginOutcome::Rejected { backend: None },
            "{account:?}"
        );
    }
    assert!(!log.exists(), "the program was not asked");
    let outcome = bench.login.login(&proof("alice", "x"), None).await.unwrap();
    assert!(matches!(outcome, LoginOutcome::Accepted(_)));
}

#[tokio::test]
async fn white_space_in_names_can_be_allowed_and_control_characters_cannot() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = accounts(&[]);
    let verifier = verifier(&accounts);
    let program = script(directory.path(), "exit 0", LONG);
    let backend = ExtAuth::new(program, verifier.clone()).allowing_white_space(true);
    let bench = Bench::of(vec![Box::new(backend)], verifier);
    for (account, is_accepted) in [
        ("a b", true),
        ("a\u{a0}b", true),
        ("a\tb", true),
        ("a\nb", false),
    ] {
        let outcome = bench.login.login(&proof(account, "x"), None).await.unwrap();
        assert_eq!(
            matches!(outcome, LoginOutcome::Accepted(_)),
            is_accepted,
            "{account:?}"
        );
    }
}

#[tokio::test]
async fn exit_codes() {
    for text in ["exit 1", "exit 2"] {
        let directory = tempfile::tempdir().unwrap();
        let login = bench(directory.path(), text).login;
        let outcome = login.login(&proof("eve", "x"), None).await.unwrap();
        let rejected_by = ["exit 1"].contains(&text).then_some("ext_auth");
        assert_eq!(
            outcome,
            LoginOutcome::Rejected {
                backend: rejected_by
            }
        );
    }
    assert_eq!(ask("exit 0").await, Ok(vec![]));
    assert_eq!(
        ask("echo no jq for pass word >&2; exit 3")
            .await
            .unwrap_err(),
        "ext_auth failed: its program ended with exit code 3, not 0 (accept), 1 (reject) or 2 (unknown account); \
         its standard error: \"no jq for …\""
    );
    assert_eq!(
        ask("kill -15 $$").await.unwrap_err(),
        "ext_auth failed: its program failed: it was ended by signal 15"
    );
}

#[tokio::test]
async fn labels() {
    let labels = ask(r#"echo '{"Labels": {"group": ["a", "b"]}}'"#)
        .await
        .unwrap();
    assert_eq!(
        labels,
        [("group".to_owned(), vec!["a".to_owned(), "b".to_owned()])]
    );
    assert_eq!(ask("printf null").await, Ok(vec![]));
    for text in ["echo", "echo ok", r#"echo '{"labels": {"group": "a"}}'"#] {
        let error = ask(text).await.unwrap_err();
        assert!(
            error.starts_with("ext_auth failed: its program accepted, but its output is wrong"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn users_come_first_and_a_wrong_password_never_asks_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let ran = directory.path().join("ran");
    let bench = bench(directory.path(), &format!("touch {}", ran.display()));
    let wrong = bench
        .login
        .login(&proof("ann", "wrong"), None)
        .await
        .unwrap();
    assert!(matches!(wrong, LoginOutcome::Rejected { .. }));
    assert!(!ran.exists());
}

#[tokio::test]
async fn an_acceptance_is_remembered_and_a_refusal_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let text = format!(
        "echo run >> {}; case $(cat) in 'eve right') exit 0;; esac; exit 1",
        log.display()
    );
    let bench = bench(directory.path(), &text);
    let runs = || {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .lines()
            .count()
    };
    for _ in 0..5 {
        let outcome = bench
            .login
            .login(&proof("eve", "right"), None)
            .await
            .unwrap();
        assert!(matches!(outcome, LoginOutcome::Accepted(_)));
    }
    assert_eq!(runs(), 1);
    for _ in 0..3 {
        assert!(matches!(
            bench
                .login
                .login(&proof("eve", "wrong"), None)
                .await
                .unwrap(),
            LoginOutcome::Rejected { .. }
        ));
    }
    assert_eq!(runs(), 4);
}

#[tokio::test]
async fn a_broken_program_counts_as_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken");
    std::fs::write(&broken, "").unwrap();
    let bench = bench(
        directory.path(),
        &format!("test -e {} && exit 9; exit 0", broken.display()),
    );
    for _ in 0..30 {
        assert!(bench.login.login(&proof("eve", "x"), None).await.is_err());
    }
    std::fs::remove_file(&broken).unwrap();
    assert!(matches!(
        bench.login.login(&proof("eve", "x"), None).await.unwrap(),
        LoginOutcome::Accepted(_)
    ));
}

#[tokio::test]
async fn a_slow_program_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let program = script(directory.path(), "sleep 1000", Duration::from_millis(100));
    let bench = Bench::with(&[], LoginSettings::default(), Some(program));
    let error = bench
        .login
        .login(&proof("eve", "x"), None)
        .await
        .unwrap_err();
    let cause = error.source().and_then(Error::source).unwrap().to_string();
    assert_eq!(cause, "it took longer than 100ms and was killed");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let program = Program::new("/nonexistent/auth", ["--flag"], LONG, NonZeroUsize::MIN);
    let bench = Bench::with(&[], LoginSettings::default(), Some(program));
    let error = bench
        .login
        .login(&proof("eve", "x"), None)
        .await
        .unwrap_err();
    let cause = error.source().and_then(Error::source).unwrap().to_string();
    assert_eq!(cause, "/nonexistent/auth cannot be started");
}
