//! Programs, good and bad, behind the front door.

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use identity::process::Program;
use identity::{LoginOutcome, LoginSettings};

use crate::support::{Door, account, credentials, script};

const LONG: Duration = Duration::from_secs(60);

fn door(directory: &Path, text: &str) -> Door {
    let ann = ("ann", account(&[("sesame", 4)]));
    Door::with(
        &[ann],
        LoginSettings::default(),
        Some(script(directory, text, LONG)),
    )
}

/// The labels an accepting script gave, or what went wrong with it, causes and all.
async fn ask(text: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let directory = tempfile::tempdir().unwrap();
    match door(directory.path(), text)
        .login
        .login(&credentials("eve", "pass word"), None)
        .await
    {
        Ok(LoginOutcome::Accepted(accepted)) => Ok(accepted.subject.labels.into_iter().collect()),
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
    let door = door(directory.path(), &format!("cat > {}", seen.display()));
    for (account, password, bytes) in [
        ("eve", "pass word", "eve pass word"),
        ("", "", " "),
        ("a b", "ü\n", "a b ü\n"),
    ] {
        let outcome = door
            .login
            .login(&credentials(account, password), None)
            .await
            .unwrap();
        assert!(matches!(outcome, LoginOutcome::Accepted(_)));
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), bytes);
    }
}

#[tokio::test]
async fn exit_codes() {
    for (text, outcome) in [
        ("exit 1", LoginOutcome::Rejected),
        ("exit 2", LoginOutcome::Rejected),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let answer = door(directory.path(), text)
            .login
            .login(&credentials("eve", "x"), None)
            .await
            .unwrap();
        assert_eq!(answer, outcome, "{text}");
    }
    assert_eq!(ask("exit 0").await, Ok(vec![]));
    assert_eq!(
        ask("echo no jq for pass word >&2; exit 3")
            .await
            .unwrap_err(),
        "ext_auth could not answer: its program ended with exit code 3, which is none of 0, 1 and 2; it said: \
         \"no jq for …\""
    );
    assert_eq!(
        ask("kill -15 $$").await.unwrap_err(),
        "ext_auth could not answer: its program failed: it was ended by signal 15"
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
            error.starts_with("ext_auth could not answer: its program accepted, but did not print"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn users_come_first_and_a_wrong_password_never_asks_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let ran = directory.path().join("ran");
    let door = door(directory.path(), &format!("touch {}", ran.display()));
    let wrong = door
        .login
        .login(&credentials("ann", "wrong"), None)
        .await
        .unwrap();
    assert_eq!(wrong, LoginOutcome::Rejected);
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
    let door = door(directory.path(), &text);
    let runs = || {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .lines()
            .count()
    };
    for _ in 0..5 {
        let outcome = door
            .login
            .login(&credentials("eve", "right"), None)
            .await
            .unwrap();
        assert!(matches!(outcome, LoginOutcome::Accepted(_)));
    }
    assert_eq!(runs(), 1);
    for _ in 0..3 {
        assert_eq!(
            door.login
                .login(&credentials("eve", "wrong"), None)
                .await
                .unwrap(),
            LoginOutcome::Rejected
        );
    }
    assert_eq!(runs(), 4);
}

#[tokio::test]
async fn a_broken_program_counts_against_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken");
    std::fs::write(&broken, "").unwrap();
    let door = door(
        directory.path(),
        &format!("test -e {} && exit 9; exit 0", broken.display()),
    );
    for _ in 0..30 {
        assert!(
            door.login
                .login(&credentials("eve", "x"), None)
                .await
                .is_err()
        );
    }
    std::fs::remove_file(&broken).unwrap();
    assert!(matches!(
        door.login
            .login(&credentials("eve", "x"), None)
            .await
            .unwrap(),
        LoginOutcome::Accepted(_)
    ));
}

#[tokio::test]
async fn a_slow_program_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let program = script(directory.path(), "sleep 1000", Duration::from_millis(100));
    let door = Door::with(&[], LoginSettings::default(), Some(program));
    let error = door
        .login
        .login(&credentials("eve", "x"), None)
        .await
        .unwrap_err();
    let cause = error.source().and_then(Error::source).unwrap().to_string();
    assert_eq!(cause, "it took longer than 100ms and was killed");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let program = Program::new("/nonexistent/auth", ["--flag"], LONG, NonZeroUsize::MIN);
    let door = Door::with(&[], LoginSettings::default(), Some(program));
    let error = door
        .login
        .login(&credentials("eve", "x"), None)
        .await
        .unwrap_err();
    let cause = error.source().and_then(Error::source).unwrap().to_string();
    assert_eq!(cause, "/nonexistent/auth cannot be started");
}
