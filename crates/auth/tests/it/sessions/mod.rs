//! Sessions, in every store.

mod conformance;
mod sqlite;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth::sessions::{
    DatabaseSessions, MemorySessions, NewSession, OpenedSession, RefreshTokenError, RevokedBy,
    Selection, Session, SessionPage, SessionPolicy, SessionPosition, SessionStore, Sessions,
};
use common::SystemEntropy;
use database::{Administrator, Database, DatabaseLocation};
use identity::{CredentialFingerprint, LifetimeBound};
use policy::{Labels, ScopeCeiling, Subject};
use tempfile::TempDir;

use crate::test_database::{DatabaseKind, TestDatabase};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// 2026-11-01, when every test begins.
fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_793_491_200)
}

/// Sessions under test.
struct Bench {
    sessions: Sessions,
    database: Option<(Database, TempDir)>,
    _peer: Option<TestDatabase>,
}

type MakeBench = fn(SessionPolicy) -> Bench;

fn memory(policy: SessionPolicy) -> Bench {
    Bench::new(Arc::new(MemorySessions::new()), policy, None)
}

fn postgres(policy: SessionPolicy) -> Bench {
    let peer = TestDatabase::new(DatabaseKind::Postgres);
    let store = Arc::new(DatabaseSessions::new(peer.database.clone()));
    Bench {
        _peer: Some(peer),
        ..Bench::new(store, policy, None)
    }
}

fn sqlite(policy: SessionPolicy) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let location = DatabaseLocation::at(directory.path().join("w.db"));
    let database = Database::open_exclusive(&location).unwrap();
    let store = Arc::new(DatabaseSessions::new(database.clone()));
    Bench::new(store, policy, Some((database, directory)))
}

impl Bench {
    fn new(
        store: Arc<dyn SessionStore>,
        policy: SessionPolicy,
        database: Option<(Database, TempDir)>,
    ) -> Self {
        Self {
            sessions: Sessions::new(store, policy, Arc::new(SystemEntropy)),
            database,
            _peer: None,
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

    async fn page(
        &self,
        selection: Selection,
        after: Option<SessionPosition>,
        limit: u32,
    ) -> SessionPage {
        let page = self.sessions.page(selection, after, limit, start());
        page.await.unwrap()
    }

    /// Revokes as the account `root` of the API.
    async fn revoke(&self, selection: Selection) -> usize {
        let by = RevokedBy::Administrator(Administrator::Account("root".into()));
        let revoked = self.sessions.revoke(selection, by, start());
        revoked.await.unwrap()
    }

    fn database(&self) -> &Database {
        &self.database.as_ref().unwrap().0
    }

    fn directory(&self) -> &Path {
        self.database.as_ref().unwrap().1.path()
    }
}

fn subject(account: &str, group: &str) -> Subject {
    Subject {
        account: account.into(),
        labels: Labels::from([("group".into(), vec![group.into()])]),
    }
}

fn new(subject: &Subject) -> NewSession<'_> {
    NewSession {
        subject,
        credential: Some(CredentialFingerprint::of("$2y$05$x")),
        backend: "users",
        ceiling: &ScopeCeiling::Unlimited,
        lifetime: LifetimeBound::Configured,
        service: "registry",
        client_id: "docker",
        address: "192.0.2.7",
    }
}

/// Makes a test of each function of the suite for each store.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod in_memory {
            $(
                #[tokio::test]
                async fn $name() {
                    super::conformance::$name(super::memory).await;
                }
            )*
        }
        mod in_sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::conformance::$name(super::sqlite).await;
                }
            )*
        }
        mod in_postgres {
            $(
                #[tokio::test]
                async fn $name() {
                    super::conformance::$name(super::postgres).await;
                }
            )*
        }
    };
}

on_every_store![
    a_token_stands_for_its_session,
    a_missing_credential_is_kept_as_such,
    a_ceiling_is_kept_with_its_session,
    a_session_lasts_no_longer_than_its_login_allows,
    an_anonymous_login_has_no_session,
    what_is_not_valid_is_rejected_for_a_reason,
    idle_time_counts_from_the_last_use,
    absolute_time_counts_from_the_login,
    a_new_policy_counts_for_old_sessions,
    no_policy_is_too_long_to_be_counted,
    a_clock_that_goes_back_ends_nothing,
    a_short_idle_time_is_measured_closely,
    a_confirmation_brings_labels_and_time,
    the_last_confirmation_counts_for_a_while,
    the_least_recently_used_makes_room,
    a_new_session_never_makes_room_for_old_ones,
    a_storm_of_logins_keeps_to_the_cap,
    lists_by_account_and_last_use,
    pages_have_every_session_once,
    revokes_what_was_meant,
    a_token_revokes_its_own_session,
];
