//! `ext_auth` with `mode: lines` against programs, good and bad.

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use identity::process::LineProgram;
use identity::{
    AuthenticationError, AuthenticationOutcome, Authenticator, BackendFault, ExternalBackend,
    LoginSource, PasswordVerifier, Recheck,
};
use policy::Labels;

use crate::conformance::{EmptyPassword, NameMatching, Subject};
use crate::support::{HeldClock, account, accounts, proof, verifier};

const LONG: Duration = Duration::from_secs(60);

/// What every program begins with.
const HEAD: &str = "import json, os, sys, time\n\
    def say(**answer): print(json.dumps(answer), flush=True)\n\
    def lines():\n    for line in iter(sys.stdin.readline, ''): yield json.loads(line)\n";

struct Bench {
    backend: Arc<ExternalBackend>,
    verifier: Arc<PasswordVerifier>,
    clock: Arc<HeldClock>,
    directory: tempfile::TempDir,
}

impl Bench {
    /// A backend whose program is this Python text, in which `q` is a question.
    fn new(body: &str) -> Self {
        Self::with(body, LONG, 4)
    }

    fn with(body: &str, limit: Duration, concurrency: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program.py");
        let body = body.replace("@directory@", &directory.path().display().to_string());
        std::fs::write(&path, format!("{HEAD}{body}")).unwrap();
        let clock = HeldClock::new();
        let program = LineProgram::new(
            "ext_auth",
            peers::program("python3"),
            [path],
            limit,
            NonZeroUsize::new(concurrency).unwrap(),
            clock.clone(),
        );
        let verifier = verifier(&accounts(&[("other", account(&[("x", 5)]))]));
        Self {
            backend: Arc::new(ExternalBackend::ext_auth_lines(program, verifier.clone())),
            verifier,
            clock,
            directory,
        }
    }

    async fn ask(&self, account: &str) -> Result<AuthenticationOutcome, AuthenticationError> {
        let source = LoginSource::new("192.0.2.7".parse().ok(), account);
        let proof = proof(account, "sesame");
        self.backend.authenticate(&proof, &source).await
    }

    async fn accepts(&self, account: &str) {
        let outcome = self.ask(account).await;
        assert!(
            matches!(outcome, Ok(AuthenticationOutcome::Accepted(_))),
            "{outcome:?}"
        );
    }

    /// Whether the failure may pass, and its text with its causes.
    async fn failure(&self, account: &str) -> (BackendFault, String) {
        match self.ask(account).await {
            Err(AuthenticationError::Backend(error)) => {
                let causes =
                    std::iter::successors(Some(&error as &dyn Error), |&error| error.source());
                let causes: Vec<_> = causes.map(ToString::to_string).collect();
                let text = causes.join(": ");
                assert!(!text.contains("sesame"), "{text}");
                (error.fault, text)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The lines that programs wrote to `log` in the directory.
    fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.directory.path().join("log"));
        log.unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// A program that writes its process id to the log when it starts, and accepts all.
const ACCEPTS: &str = "open('@directory@/log', 'a').write(f'{os.getpid()}\\n')\n\
    for q in lines(): say(id=q['id'], result='accept')\n";

/// The accounts of the conformance suite.
const SUITE: &str = "for q in lines():\n    \
    known = q['account'] in ('ann', 'bob')\n    \
    right = q['account'] == 'ann' and q.get('password') == 'sesame' or 'recheck' in q\n    \
    result = 'unknown' if not known else 'accept' if right else 'reject'\n    \
    say(id=q['id'], result=result, labels={'team': ['red', 'blue']})\n";

#[tokio::test]
async fn lines_conform_with_and_without_rechecks() {
    for rechecks in [false, true] {
        let bench = Bench::new(SUITE);
        let backend = Arc::try_unwrap(bench.backend);
        let backend = backend
            .unwrap_or_else(|_| panic!("shared"))
            .rechecking(rechecks);
        Subject {
            backend: &backend,
            verifier: &bench.verifier,
            labels: Labels::from([("team".into(), vec!["red".into(), "blue".into()])]),
            matching: NameMatching::Exact,
            empty_password: EmptyPassword::Rejected,
        }
        .conforms()
        .await;
        let rechecked = backend.recheck("ann").await.unwrap();
        assert_eq!(rechecked == Recheck::Unknown, !rechecks);
    }
}

#[tokio::test]
async fn one_process_answers_one_login_after_the_other() {
    let bench = Bench::new(ACCEPTS);
    for account in ["ann", "with space", "é\u{2028}\n\"", "ann"] {
        bench.accepts(account).await;
    }
    assert_eq!(bench.log().len(), 1, "no process is started for each login");
}

#[tokio::test]
async fn the_question_is_a_line_with_an_id() {
    let bench = Bench::new(
        "for line in iter(sys.stdin.readline, ''):\n    \
         open('@directory@/log', 'a').write(line)\n    \
         say(id=json.loads(line)['id'], result='unknown')\n",
    );
    bench.ask("a\nb").await.unwrap();
    bench.ask("ann").await.unwrap();
    assert_eq!(
        bench.log(),
        [
            r#"{"id":1,"account":"a\nb","password":"sesame","address":"192.0.2.7"}"#,
            r#"{"id":2,"account":"ann","password":"sesame","address":"192.0.2.7"}"#,
        ]
    );
}

#[tokio::test]
async fn several_processes_answer_at_once_and_no_more_than_allowed() {
    let bench = Bench::with(
        "open('@directory@/log', 'a').write('start\\n')\n\
         for q in lines():\n    time.sleep(0.02)\n    say(id=q['id'], result='accept')\n",
        LONG,
        3,
    );
    let logins: Vec<_> = (0..64)
        .map(|n| {
            let backend = bench.backend.clone();
            tokio::spawn(async move {
                let account = n.to_string();
                let address = format!("192.0.2.{n}").parse().ok();
                let source = LoginSource::new(address, &account);
                match backend.authenticate(&proof(&account, "x"), &source).await {
                    Ok(AuthenticationOutcome::Accepted(identity)) => {
                        assert_eq!(identity.subject.account, account);
                        true
                    }
                    Err(AuthenticationError::Busy(_)) => false,
                    other => panic!("{other:?}"),
                }
            })
        })
        .collect();
    let mut accepted = 0;
    for login in logins {
        accepted += usize::from(login.await.unwrap());
    }
    assert_eq!(accepted, 3 + 3 * 4, "the others are told to come back");
    assert_eq!(bench.log().len(), 3);
}

/// What each line means. A program that breaks the protocol is killed, and the next login starts
/// another.
#[tokio::test]
async fn every_line_has_its_outcome() {
    use BackendFault::{Broken, Unavailable};
    for (body, fault, part) in [
        (
            "print('ready', flush=True)",
            Broken,
            "not a JSON object with the number `id`",
        ),
        (
            "print('[1]', flush=True)",
            Broken,
            "not a JSON object with the number `id`",
        ),
        (
            "print(flush=True)",
            Broken,
            "not a JSON object with the number `id`",
        ),
        (
            "say(result='accept')",
            Broken,
            "not a JSON object with the number `id`",
        ),
        (
            "say(id=str(q['id']), result='accept')",
            Broken,
            "not a JSON object with",
        ),
        (
            "say(id=q['id'] - 1, result='accept')",
            Broken,
            "it answered question 0 instead of 1",
        ),
        (
            "say(id=q['id'], result='yes')",
            Broken,
            "a member of its answer is missing, or",
        ),
        (
            "say(id=q['id'])",
            Broken,
            "a member of its answer is missing, or",
        ),
        (
            "say(id=q['id'], result='accept', labels=['x'])",
            Broken,
            "a member of its answer",
        ),
        (
            "say(id=q['id'], result='accept', account='')",
            Broken,
            "an `account` that is empty",
        ),
        (
            "say(id=q['id'], result='error', message='no ' + q['password'])",
            Broken,
            "its program reports an error: \"no …\"",
        ),
        (
            "print('x' * 70000, flush=True)",
            Broken,
            "it wrote a line of more than 65536 bytes",
        ),
        ("sys.exit(3)", Unavailable, "it ended before it answered"),
        (
            "os.close(1); time.sleep(1000)",
            Unavailable,
            "it ended before it answered",
        ),
        (
            "os.kill(os.getpid(), 9)",
            Unavailable,
            "it ended before it answered",
        ),
        (
            "print(json.dumps({'id': q['id']})[:-1], end='', flush=True); sys.exit()",
            Unavailable,
            "it ended before it answered",
        ),
    ] {
        let program = format!("for q in lines(): {body}\n");
        let bench = Bench::new(&program);
        let (found, text) = bench.failure("ann").await;
        assert!(
            found == fault && text.contains(part),
            "{body}: {found:?} {text}"
        );
    }
}

#[tokio::test]
async fn what_a_program_complains_of_is_shown_without_the_password() {
    let bench = Bench::new(
        "for q in lines():\n    \
         print('no route to ldap.internal for', q, file=sys.stderr)\n    sys.exit(1)\n",
    );
    let (_, text) = bench.failure("ann").await;
    assert!(
        text.contains("no route to ldap.internal") && text.contains('…'),
        "{text}"
    );
}

#[tokio::test]
async fn a_slow_program_is_killed_and_the_next_login_gets_another() {
    let body = "open('@directory@/log', 'a').write(f'{os.getpid()}\\n')\n\
        for q in lines():\n    \
        if q['account'] == 'slow': time.sleep(1000)\n    \
        say(id=q['id'], result='accept')\n";
    let bench = Bench::with(body, Duration::from_secs(5), 1);
    bench.accepts("ann").await;
    let (fault, text) = bench.failure("slow").await;
    assert_eq!(fault, BackendFault::Unavailable);
    assert!(
        text.contains("it took longer than 5s and was killed"),
        "{text}"
    );
    bench.accepts("ann").await;
    let log = bench.log();
    assert_eq!(log.len(), 2);
    gone(&log[0]).await;
}

/// A process that was killed while it waited costs no login.
#[tokio::test]
async fn a_program_that_died_meanwhile_is_started_again() {
    let bench = Bench::new(ACCEPTS);
    bench.accepts("ann").await;
    let first = bench.log()[0].clone();
    let killed = std::process::Command::new("kill")
        .args(["-9", &first])
        .status();
    assert!(killed.unwrap().success());
    bench.accepts("ann").await;
    assert_eq!(bench.log().len(), 2);
}

/// A late or further line would be taken for the answer to another login.
#[tokio::test]
async fn a_second_line_is_never_an_answer() {
    let bench = Bench::with(
        "open('@directory@/log', 'a').write('start\\n')\n\
         for q in lines():\n    \
         both = [json.dumps(dict(id=q['id'] + n, result='accept' if n else 'reject')) for n in (0, 1)]\n    \
         print('\\n'.join(both), flush=True)\n",
        LONG,
        1,
    );
    for _ in 0..3 {
        let outcome = bench.ask("ann").await;
        match outcome {
            Ok(AuthenticationOutcome::Rejected(_)) | Err(AuthenticationError::Backend(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(bench.log().len() > 1, "the process was killed");
}

#[tokio::test]
async fn a_program_that_keeps_dying_is_not_started_for_each_login() {
    let bench = Bench::new(
        "open('@directory@/log', 'a').write('start\\n')\n\
         if not os.path.exists('@directory@/mended'): sys.exit(1)\n\
         for q in lines(): say(id=q['id'], result='accept')\n",
    );
    for _ in 0..5 {
        assert!(
            bench
                .failure("ann")
                .await
                .1
                .contains("it ended before it answered")
        );
    }
    for _ in 0..5 {
        let (fault, text) = bench.failure("ann").await;
        assert_eq!(fault, BackendFault::Unavailable);
        assert!(text.contains("it keeps failing"), "{text}");
    }
    assert_eq!(bench.log().len(), 5);
    std::fs::write(bench.directory.path().join("mended"), "").unwrap();
    bench.clock.pass(Duration::from_secs(1));
    bench.accepts("ann").await;
    bench.accepts("ann").await;
    assert_eq!(bench.log().len(), 6);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let clock = HeldClock::new();
    let program = LineProgram::new(
        "ext_auth",
        "/nonexistent/auth",
        [""],
        LONG,
        NonZeroUsize::MIN,
        clock,
    );
    let backend = ExternalBackend::ext_auth_lines(program, verifier(&accounts(&[])));
    let source = LoginSource::new(None, "ann");
    let outcome = backend.authenticate(&proof("ann", "x"), &source).await;
    let Err(AuthenticationError::Backend(error)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(error.fault, BackendFault::Broken);
    let cause = error.source.source().unwrap().to_string();
    assert_eq!(cause, "/nonexistent/auth cannot be started");
}

#[tokio::test]
async fn no_process_is_left_behind() {
    let bench = Bench::new(
        "import subprocess\n\
         child = subprocess.Popen(['sleep', '1000'])\n\
         open('@directory@/log', 'a').write(f'{os.getpid()}\\n{child.pid}\\n')\n\
         for q in lines():\n    \
         if q['account'] == 'slow': time.sleep(1000)\n    \
         say(id=q['id'], result='accept')\n",
    );
    bench.accepts("ann").await;
    let waiting = bench.backend.clone();
    let gives_up = tokio::spawn(async move {
        let source = LoginSource::new(None, "slow");
        let _ = waiting.authenticate(&proof("slow", "x"), &source).await;
    });
    // The second login finds the first one's process busy only if that has begun to wait.
    tokio::time::sleep(Duration::from_millis(50)).await;
    bench.accepts("ann").await;
    gives_up.abort();
    let _ = gives_up.await;
    let log = bench.log();
    assert_eq!(log.len() % 2, 0);
    let Bench { backend, .. } = bench;
    drop(backend);
    for process in log {
        gone(&process).await;
    }
}

#[tokio::test]
async fn a_probe_starts_the_program_and_refuses_one_that_accepts_all() {
    for (result, expected) in [
        ("reject", Ok("rejects an empty name")),
        ("unknown", Ok("does not know an empty name")),
        ("accept", Err("lets everyone in")),
        ("error", Err("reports an error")),
    ] {
        let bench = Bench::new(&format!(
            "for q in lines(): say(id=q['id'], result='{result}')\n"
        ));
        match (bench.backend.probe().await, expected) {
            (Ok(Some(found)), Ok(part)) => assert!(found.contains(part), "{found}"),
            (Err(error), Err(part)) => {
                assert!(error.source.to_string().contains(part), "{error:?}");
            }
            (found, _) => panic!("{result}: {found:?}"),
        }
    }
}

/// Waits until the process is gone, or has ended and was not reaped yet.
async fn gone(id: &str) {
    let stat = Path::new("/proc").join(id).join("stat");
    while let Ok(status) = std::fs::read_to_string(&stat) {
        let state = status.rsplit(") ").next().unwrap_or_default();
        if state.starts_with('Z') {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
