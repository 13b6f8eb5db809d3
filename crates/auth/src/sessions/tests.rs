use std::collections::HashSet;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::SystemEntropy;
use database::DatabaseLocation;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// 2026-11-01: when every test begins.
fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_793_491_200)
}

struct Bench {
    sessions: Sessions,
    directory: TempDir,
}

impl Bench {
    fn new(policy: SessionPolicy) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database =
            Database::open_exclusive(&DatabaseLocation::at(directory.path().join("w.db"))).unwrap();
        Self {
            sessions: Sessions::new(database, policy, Arc::new(SystemEntropy)),
            directory,
        }
    }

    async fn open(&self, account: &str, now: SystemTime) -> OpenedSession {
        self.sessions
            .open(new(&subject(account, "dev")), now)
            .await
            .unwrap()
    }

    async fn redeem(
        &self,
        opened: &OpenedSession,
        now: SystemTime,
    ) -> Result<Session, RefreshTokenError> {
        self.sessions
            .redeem(&opened.token, "registry", now)
            .await
            .unwrap()
    }

    async fn ids(&self, selection: Selection, now: SystemTime) -> Vec<String> {
        self.sessions
            .list(selection, now)
            .await
            .unwrap()
            .into_iter()
            .map(|session| session.id)
            .collect()
    }

    async fn rows(&self) -> i64 {
        let count =
            |connection: &rusqlite::Connection| -> Result<i64, SessionsError> {
                Ok(connection
                    .query_row("SELECT count(*) FROM refresh_tokens", (), |row| row.get(0))?)
            };
        self.sessions.database.read(count).await.unwrap()
    }

    fn writes(&self) -> u64 {
        self.sessions.database.activity().writes
    }

    /// Changes how the database's writer works.
    async fn pragma(&self, pragma: &'static str) {
        let change = move |connection: &rusqlite::Connection| -> Result<(), SessionsError> {
            Ok(connection.execute_batch(&format!("PRAGMA {pragma}"))?)
        };
        self.sessions.database.write(change).await.unwrap();
    }
}

fn subject(account: &str, group: &str) -> Subject {
    Subject {
        account: account.into(),
        labels: Labels::from([("group".into(), vec![group.into()])]),
    }
}

fn new(subject: &Subject) -> NewSession<'_> {
    let credential = Some(CredentialFingerprint::of("$2y$05$x"));
    NewSession {
        subject,
        credential,
        service: "registry",
        client_id: "docker",
        address: "192.0.2.7",
    }
}

#[tokio::test]
async fn a_token_stands_for_its_session() {
    let bench = Bench::new(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    let session = bench.redeem(&opened, start() + MINUTE / 2).await.unwrap();
    let expected = Session {
        id: opened.id.clone(),
        account: "ann".into(),
        labels: subject("ann", "dev").labels,
        credential: Some(CredentialFingerprint::of("$2y$05$x")),
        service: "registry".into(),
        client_id: "docker".into(),
        address: "192.0.2.7".into(),
        created_at: start(),
        last_used_at: start(),
        confirmed_at: start(),
        expires_at: start() + 30 * DAY,
    };
    assert_eq!(session, expected);
    // And once more: it is reused, not rotated.
    assert_eq!(
        bench.redeem(&opened, start() + MINUTE / 2).await,
        Ok(expected)
    );
}

#[tokio::test]
async fn a_credential_without_a_stamp_is_kept_as_such() {
    let bench = Bench::new(SessionPolicy::default());
    let ann = subject("ann", "dev");
    let opened = bench
        .sessions
        .open(
            NewSession {
                credential: None,
                ..new(&ann)
            },
            start(),
        )
        .await
        .unwrap();
    assert_eq!(
        bench.redeem(&opened, start()).await.unwrap().credential,
        None
    );
}

#[tokio::test]
async fn nobody_has_no_session() {
    let bench = Bench::new(SessionPolicy::default());
    let opened = bench.sessions.open(new(&Subject::default()), start()).await;
    assert!(matches!(opened, Err(SessionsError::Anonymous)));
    assert_eq!(bench.rows().await, 0);
}

#[tokio::test]
async fn the_token_is_nowhere_in_the_files_nor_in_debug() {
    let bench = Bench::new(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    let token = opened.token.expose();
    let mut searched = 0;
    for entry in fs::read_dir(bench.directory.path()).unwrap() {
        let content = fs::read(entry.unwrap().path()).unwrap();
        searched += content.len();
        assert!(
            !content
                .windows(16)
                .any(|window| window == &token.as_bytes()[4..20])
        );
    }
    assert!(searched > 4096);
    assert!(!format!("{opened:?}").contains(&token[4..]));
}

#[tokio::test]
async fn what_is_not_good_is_refused_for_a_reason() {
    let bench = Bench::new(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    let redeem = async |text: &str, service: &str, now| {
        bench
            .sessions
            .redeem(&Secret::from(text), service, now)
            .await
            .unwrap()
            .map(|session| session.account)
    };
    let token = opened.token.expose();
    assert_eq!(redeem(token, "registry", start()).await, Ok("ann".into()));
    assert_eq!(
        redeem(token, "Registry", start()).await,
        Err(RefreshTokenError::WrongService)
    );
    assert_eq!(
        redeem(token, "", start()).await,
        Err(RefreshTokenError::WrongService)
    );
    assert_eq!(
        redeem("", "registry", start()).await,
        Err(RefreshTokenError::Unknown)
    );
    assert_eq!(
        redeem(&token[..51], "registry", start()).await,
        Err(RefreshTokenError::Unknown)
    );
    // Well made, by somebody else.
    let (foreign, _) = super::token::generate(&SystemEntropy).unwrap();
    assert_eq!(
        redeem(foreign.expose(), "registry", start()).await,
        Err(RefreshTokenError::Unknown)
    );
    assert_eq!(
        redeem(token, "registry", start() + 30 * DAY).await,
        Err(RefreshTokenError::Expired)
    );
    bench
        .sessions
        .revoke(Selection::All, start())
        .await
        .unwrap();
    assert_eq!(
        redeem(token, "registry", start()).await,
        Err(RefreshTokenError::Revoked)
    );
}

#[tokio::test]
async fn idle_time_counts_from_the_last_use() {
    let bench = Bench::new(SessionPolicy {
        idle: 10 * DAY,
        ..SessionPolicy::default()
    });
    let (used, unused) = (
        bench.open("ann", start()).await,
        bench.open("ann", start()).await,
    );
    let almost = 10 * DAY - Duration::from_secs(1);
    assert!(bench.redeem(&used, start() + almost).await.is_ok());
    assert!(bench.redeem(&used, start() + almost + almost).await.is_ok());
    assert_eq!(
        bench.redeem(&unused, start() + 10 * DAY).await,
        Err(RefreshTokenError::Expired)
    );
}

#[tokio::test]
async fn absolute_time_counts_from_the_login() {
    let bench = Bench::new(SessionPolicy {
        idle: 10 * DAY,
        absolute: 25 * DAY,
        ..SessionPolicy::default()
    });
    let opened = bench.open("ann", start()).await;
    for day in [8, 16, 24] {
        assert!(
            bench.redeem(&opened, start() + day * DAY).await.is_ok(),
            "{day}"
        );
    }
    assert_eq!(
        bench.redeem(&opened, start() + 25 * DAY).await,
        Err(RefreshTokenError::Expired)
    );
}

#[tokio::test]
async fn a_new_policy_counts_for_old_sessions() {
    let bench = Bench::new(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    for policy in [
        SessionPolicy {
            idle: DAY,
            ..SessionPolicy::default()
        },
        SessionPolicy {
            absolute: DAY,
            ..SessionPolicy::default()
        },
    ] {
        let sessions = Sessions {
            policy,
            ..bench.sessions.clone()
        };
        let redeemed = sessions
            .redeem(&opened.token, "registry", start() + DAY)
            .await
            .unwrap();
        assert_eq!(redeemed, Err(RefreshTokenError::Expired), "{policy:?}");
    }
    assert!(bench.redeem(&opened, start() + DAY).await.is_ok());
}

#[tokio::test]
async fn no_policy_is_too_long_to_be_counted() {
    let forever = Duration::from_secs(u64::MAX);
    let policy = SessionPolicy {
        idle: forever,
        absolute: forever,
        recheck_max_age: forever,
        per_user: u32::MAX,
    };
    let bench = Bench::new(policy);
    let opened = bench.open("ann", start()).await;
    assert!(bench.redeem(&opened, start() + 100_000 * DAY).await.is_ok());
}

#[tokio::test]
async fn a_clock_that_goes_back_ends_nothing() {
    let bench = Bench::new(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    let session = bench.redeem(&opened, start() - DAY).await.unwrap();
    assert_eq!(
        bench.sessions.recently_confirmed(&session, start() - DAY),
        Some(subject("ann", "dev"))
    );
    assert_eq!(
        bench
            .redeem(&opened, UNIX_EPOCH)
            .await
            .unwrap()
            .last_used_at,
        start()
    );
}

#[tokio::test]
async fn a_use_is_written_down_once_a_minute() {
    let bench = Bench::new(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    let before = bench.writes();
    for second in 0..=180 {
        bench
            .redeem(&opened, start() + Duration::from_secs(second))
            .await
            .unwrap();
    }
    assert_eq!(bench.writes() - before, 3);
    let session = bench.redeem(&opened, start() + 3 * MINUTE).await.unwrap();
    assert_eq!(
        (session.last_used_at, session.expires_at),
        (start() + 3 * MINUTE, start() + 3 * MINUTE + 30 * DAY)
    );
}

#[tokio::test]
async fn a_short_idle_time_is_measured_closely() {
    let bench = Bench::new(SessionPolicy {
        idle: MINUTE,
        ..SessionPolicy::default()
    });
    let opened = bench.open("ann", start()).await;
    for uses in 1..=6 {
        assert!(
            bench
                .redeem(&opened, start() + uses * Duration::from_secs(50))
                .await
                .is_ok(),
            "{uses}"
        );
    }
}

#[tokio::test]
async fn a_confirmation_brings_labels_and_time() {
    let bench = Bench::new(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    let session = bench.redeem(&opened, start()).await.unwrap();
    let before = bench.writes();
    bench
        .sessions
        .confirm(&session, &subject("ann", "dev"), start() + MINUTE / 2)
        .await;
    assert_eq!(bench.writes(), before);
    // New labels do not wait.
    bench
        .sessions
        .confirm(&session, &subject("ann", "ops"), start() + MINUTE / 2)
        .await;
    let session = bench.redeem(&opened, start() + MINUTE / 2).await.unwrap();
    assert_eq!(
        (session.confirmed_at, session.labels),
        (start() + MINUTE / 2, subject("ann", "ops").labels)
    );
}

#[tokio::test]
async fn the_last_confirmation_counts_for_a_while() {
    let bench = Bench::new(SessionPolicy {
        recheck_max_age: DAY,
        ..SessionPolicy::default()
    });
    let opened = bench.open("ann", start()).await;
    let session = bench.redeem(&opened, start()).await.unwrap();
    let recently = |session: &Session, now| bench.sessions.recently_confirmed(session, now);
    assert_eq!(
        recently(&session, start() + DAY),
        Some(subject("ann", "dev"))
    );
    assert_eq!(recently(&session, start() + DAY + MINUTE), None);
    // Being used is not being confirmed.
    let session = bench.redeem(&opened, start() + DAY + MINUTE).await.unwrap();
    assert_eq!(recently(&session, start() + DAY + MINUTE), None);
    bench
        .sessions
        .confirm(&session, &subject("ann", "dev"), start() + DAY + MINUTE)
        .await;
    let session = bench.redeem(&opened, start() + DAY + MINUTE).await.unwrap();
    assert_eq!(
        recently(&session, start() + 2 * DAY),
        Some(subject("ann", "dev"))
    );
}

#[tokio::test]
async fn the_least_recently_used_makes_room() {
    let bench = Bench::new(SessionPolicy {
        per_user: 3,
        ..SessionPolicy::default()
    });
    let first = bench.open("ann", start()).await;
    let second = bench.open("ann", start() + MINUTE).await;
    let third = bench.open("ann", start() + 2 * MINUTE).await;
    let bobs = bench.open("bob", start()).await;
    bench.redeem(&first, start() + 3 * MINUTE).await.unwrap();
    let fourth = bench.open("ann", start() + 4 * MINUTE).await;
    let now = start() + 5 * MINUTE;
    assert_eq!(
        bench.redeem(&second, now).await,
        Err(RefreshTokenError::Unknown)
    );
    for kept in [first, third, fourth, bobs] {
        assert!(bench.redeem(&kept, now).await.is_ok());
    }
}

#[tokio::test]
async fn a_new_session_never_makes_room_for_old_ones() {
    let bench = Bench::new(SessionPolicy {
        per_user: 1,
        ..SessionPolicy::default()
    });
    bench.open("ann", start()).await;
    // Its clock is behind.
    let newest = bench.open("ann", start() - DAY).await;
    assert_eq!(bench.ids(Selection::All, start()).await, [newest.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_logins_keeps_to_the_cap() {
    let bench = Bench::new(SessionPolicy {
        per_user: 10,
        ..SessionPolicy::default()
    });
    let mut logins = JoinSet::new();
    for _ in 0..64 {
        let sessions = bench.sessions.clone();
        logins.spawn(async move {
            let opened = sessions
                .open(new(&subject("ann", "dev")), start())
                .await
                .unwrap();
            sessions
                .redeem(&opened.token, "registry", start())
                .await
                .unwrap()
                .ok();
            opened.id
        });
    }
    let ids: HashSet<String> = logins.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), 64);
    let left = bench.ids(Selection::Account("ann".into()), start()).await;
    assert_eq!((left.len(), bench.rows().await), (10, 10));
    assert!(left.iter().all(|id| ids.contains(id)));
}

#[tokio::test]
async fn what_is_over_is_removed() {
    let bench = Bench::new(SessionPolicy {
        idle: 10 * DAY,
        absolute: 20 * DAY,
        ..SessionPolicy::default()
    });
    for account in 0..150 {
        bench.open(&format!("user{account}"), start()).await;
    }
    let lasting = bench.open("ann", start()).await;
    bench
        .sessions
        .revoke(Selection::Account("user7".into()), start())
        .await
        .unwrap();
    bench.redeem(&lasting, start() + 9 * DAY).await.unwrap();
    bench.open("bob", start() + 10 * DAY).await;
    // A hundred at a time, so that no login pays for all.
    assert_eq!(bench.rows().await, 52);
    bench.open("bob", start() + 10 * DAY).await;
    assert_eq!(bench.ids(Selection::All, start() + 10 * DAY).await.len(), 3);
    assert_eq!(bench.rows().await, 3);
    bench.redeem(&lasting, start() + 18 * DAY).await.unwrap();
    bench.open("bob", start() + 20 * DAY).await;
    assert_eq!(bench.rows().await, 1);
}

#[tokio::test]
async fn lists_by_account_and_last_use() {
    let bench = Bench::new(SessionPolicy::default());
    let mut ids = Vec::new();
    for (account, minute) in [("bob", 0), ("ann", 0), ("Ann", 1), ("ann", 1)] {
        ids.push(bench.open(account, start() + minute * MINUTE).await.id);
    }
    let [bobs, older, other, newer] = &ids[..] else {
        unreachable!()
    };
    // Names compare as bytes.
    assert_eq!(
        bench.ids(Selection::All, start()).await,
        [other, newer, older, bobs].map(Clone::clone)
    );
    assert_eq!(
        bench.ids(Selection::Account("ann".into()), start()).await,
        [newer, older].map(Clone::clone)
    );
    assert_eq!(
        bench.ids(Selection::Id(other.clone()), start()).await,
        [other].map(Clone::clone)
    );
    for nothing in [
        Selection::Account("ANN".into()),
        Selection::Account(String::new()),
        Selection::Id("%".into()),
    ] {
        assert!(bench.ids(nothing, start()).await.is_empty());
    }
    assert!(
        bench
            .ids(Selection::All, start() + 31 * DAY)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn revokes_what_was_meant() {
    let bench = Bench::new(SessionPolicy::default());
    let (first, second) = (
        bench.open("ann", start()).await,
        bench.open("ann", start()).await,
    );
    let (bobs, ottos) = (
        bench.open("bob", start()).await,
        bench.open("otto", start()).await,
    );
    let revoke = async |selection| bench.sessions.revoke(selection, start()).await.unwrap();
    assert_eq!(revoke(Selection::Id(first.id.clone())).await, 1);
    assert_eq!(revoke(Selection::Id(first.id.clone())).await, 0);
    assert_eq!(
        bench.redeem(&first, start()).await,
        Err(RefreshTokenError::Revoked)
    );
    assert!(bench.redeem(&second, start()).await.is_ok());
    assert_eq!(revoke(Selection::Account("ann".into())).await, 1);
    assert_eq!(
        bench.redeem(&second, start()).await,
        Err(RefreshTokenError::Revoked)
    );
    assert!(bench.redeem(&bobs, start()).await.is_ok());
    assert_eq!(revoke(Selection::All).await, 2);
    assert_eq!(
        bench.redeem(&ottos, start()).await,
        Err(RefreshTokenError::Revoked)
    );
    assert!(bench.ids(Selection::All, start()).await.is_empty());
    assert_eq!(revoke(Selection::Account("nobody".into())).await, 0);
}

#[tokio::test]
async fn a_revocation_from_outside_counts_at_the_next_use() {
    let bench = Bench::new(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    assert!(bench.redeem(&opened, start()).await.is_ok());
    let beside = Database::open(&DatabaseLocation::at(bench.sessions.database.path())).unwrap();
    let beside = Sessions::new(beside, SessionPolicy::default(), Arc::new(SystemEntropy));
    assert_eq!(
        beside
            .revoke(Selection::Account("ann".into()), start())
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        bench.redeem(&opened, start()).await,
        Err(RefreshTokenError::Revoked)
    );
}

#[tokio::test]
async fn a_full_disk_keeps_nobody_out() {
    let bench = Bench::new(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    bench.pragma("max_page_count = 1").await;
    // What is left of the last page is soon used up.
    let mut failed = None;
    while failed.is_none() {
        failed = bench
            .sessions
            .open(new(&subject("ann", "dev")), start())
            .await
            .err();
    }
    assert!(
        matches!(
            failed,
            Some(SessionsError::Database(database::Error::Full(_)))
        ),
        "{failed:?}"
    );
    assert!(bench.redeem(&opened, start()).await.is_ok());
    bench.pragma("max_page_count = 100000").await;
    bench.open("ann", start()).await;
}

#[tokio::test]
async fn a_use_that_cannot_be_written_down_is_still_a_use() {
    let bench = Bench::new(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    bench.pragma("query_only = 1").await;
    let failed = bench
        .sessions
        .open(new(&subject("ann", "dev")), start())
        .await;
    assert!(
        matches!(
            failed,
            Err(SessionsError::Database(database::Error::ReadOnly(_)))
        ),
        "{failed:?}"
    );
    let session = bench.redeem(&opened, start() + DAY).await.unwrap();
    bench
        .sessions
        .confirm(&session, &subject("ann", "dev"), start() + DAY)
        .await;
    let session = bench.redeem(&opened, start() + DAY).await.unwrap();
    assert_eq!(
        (session.last_used_at, session.confirmed_at),
        (start(), start())
    );
}
