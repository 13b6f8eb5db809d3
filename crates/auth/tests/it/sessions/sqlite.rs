//! What only the store in SQLite can show.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use auth::sessions::{
    DatabaseSessions, RefreshTokenError, RevokedBy, Selection, SessionPolicy, Sessions,
    SessionsError,
};
use common::SystemEntropy;
use database::{
    AdministrationFilter, Administrator, Database, DatabaseConnection, DatabaseLocation,
    logged_changes, params,
};
use serde_json::json;

use super::{Bench, DAY, MINUTE, new, sqlite, start, subject};
use crate::support::Setup;

impl Bench {
    async fn rows(&self) -> i64 {
        let count = |connection: &DatabaseConnection| -> Result<i64, SessionsError> {
            let sql = "SELECT count(*) FROM refresh_tokens";
            Ok(connection.query_one(sql, params![], |row| row.get(0))?)
        };
        self.database().read(count).await.unwrap()
    }

    fn writes(&self) -> u64 {
        self.database().sqlite().unwrap().activity().writes
    }

    /// Changes how the database's writer works.
    async fn pragma(&self, pragma: &'static str) {
        let sql = format!("PRAGMA {pragma}");
        let change = move |connection: &DatabaseConnection| -> Result<(), SessionsError> {
            Ok(connection
                .query_optional(&sql, params![], |_| Ok(()))
                .map(drop)?)
        };
        self.database().write(change).await.unwrap();
    }
}

#[tokio::test]
async fn the_token_is_nowhere_in_the_files_nor_in_debug() {
    let bench = sqlite(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    let token = opened.token.expose();
    let mut searched = 0;
    for entry in fs::read_dir(bench.directory()).unwrap() {
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
async fn a_use_is_written_down_once_a_minute() {
    let bench = sqlite(SessionPolicy::default());
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
async fn what_is_over_is_removed() {
    let bench = sqlite(SessionPolicy {
        idle: 10 * DAY,
        absolute: 20 * DAY,
        ..SessionPolicy::default()
    });
    for account in 0..150 {
        bench.open(&format!("user{account}"), start()).await;
    }
    let lasting = bench.open("ann", start()).await;
    bench.revoke(Selection::Account("user7".into())).await;
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
async fn a_revocation_from_outside_counts_at_the_next_use() {
    let bench = sqlite(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    assert!(bench.redeem(&opened, start()).await.is_ok());
    let beside = Database::open(&DatabaseLocation::at(
        bench.database().sqlite().unwrap().path(),
    ))
    .unwrap();
    let beside = Sessions::new(
        Arc::new(DatabaseSessions::new(beside)),
        SessionPolicy::default(),
        Arc::new(SystemEntropy),
    );
    let by = RevokedBy::Administrator(Administrator::SystemUser("root (uid 0)".into()));
    let revoked = beside.revoke(Selection::Account("ann".into()), by, start());
    assert_eq!(revoked.await.unwrap(), 1);
    assert_eq!(
        bench.redeem(&opened, start()).await,
        Err(RefreshTokenError::Revoked)
    );
}

#[tokio::test]
async fn the_administration_log_says_who_revoked_sessions() {
    let bench = sqlite(SessionPolicy::default());
    let mut opened = Vec::new();
    for account in ["ann", "ann", "ann", "ann", "bob"] {
        opened.push(bench.open(account, start()).await);
    }
    let of = |id: &str, account: &str| Selection::IdOf {
        id: id.into(),
        account: account.into(),
    };
    bench.revoke(Selection::Id(opened[0].id.clone())).await;
    bench.revoke(of(&opened[1].id, "ann")).await;
    bench.revoke(Selection::Account("ann".into())).await;
    bench.revoke(Selection::All).await;
    // What revokes nothing is not logged, and a client's own revocation is in the server's log.
    bench.revoke(Selection::All).await;
    bench.revoke(Selection::Id("unknown".into())).await;
    bench.revoke(of(&opened[0].id, "bob")).await;
    let last = bench.open("ann", start()).await;
    let by_client = bench.sessions.revoke_token(&last.token, start()).await;
    assert!(by_client.unwrap().is_some());
    let read = |connection: &DatabaseConnection| {
        logged_changes(connection, &AdministrationFilter::default(), 100)
    };
    let entries = bench.database().read(read).await.unwrap();
    let entries: Vec<_> = entries
        .into_iter()
        .map(|entry| (entry.by, entry.action, entry.object, entry.details))
        .collect();
    let entry = |object: &str, details| {
        let by = Administrator::Account("root".into());
        (by, "session.revoke".to_owned(), object.to_owned(), details)
    };
    let expected = [
        entry("all sessions", json!({"sessions": 1})),
        entry("ann", json!({"sessions": 2})),
        entry("ann", json!({"id": opened[1].id})),
        entry("ann", json!({"id": opened[0].id})),
    ];
    assert_eq!(entries, expected);
}

#[tokio::test]
async fn a_full_disk_keeps_no_session_out() {
    let bench = sqlite(SessionPolicy::default());
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
async fn a_revocation_that_cannot_be_stored_may_be_tried_again() {
    let bench = sqlite(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    let mut setup = Setup::new();
    setup.sessions = Some(bench.sessions.clone());
    let server = setup.start();
    bench.pragma("query_only = 1").await;
    let body = format!("token={}", opened.token.expose());
    let response = server.send("POST", "/auth/revoke", &[], &body).await;
    assert_eq!(response.status, 503, "{}", response.body);
    assert_eq!(response.headers["retry-after"], "5");
    assert!(bench.redeem(&opened, start()).await.is_ok());
}

#[tokio::test]
async fn a_use_that_cannot_be_written_down_is_still_a_use() {
    let bench = sqlite(SessionPolicy::default());
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

#[tokio::test]
async fn an_unchanged_confirmation_is_written_once_a_minute() {
    let bench = sqlite(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    let session = bench.redeem(&opened, start()).await.unwrap();
    let before = bench.writes();
    for (after, writes) in [(MINUTE / 2, 0), (12 * MINUTE, 1)] {
        let now = start() + after;
        bench
            .sessions
            .confirm(&session, &subject("ann", "dev"), now)
            .await;
        assert_eq!(bench.writes() - before, writes);
    }
}
