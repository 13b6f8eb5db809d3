//! One suite that every store of sessions passes.

use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use auth::sessions::{
    NewSession, RefreshTokenError, Revocation, Selection, Session, SessionPolicy, SessionsError,
    TokenHash,
};
use common::Secret;
use identity::{CredentialFingerprint, LifetimeBound};
use policy::{CeilingEntry, CeilingRules, ScopeCeiling, Subject};
use tokio::task::JoinSet;

use super::{DAY, MINUTE, MakeBench, new, start, subject};

pub(super) async fn a_token_stands_for_its_session(make: MakeBench) {
    let bench = make(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    let session = bench.redeem(&opened, start() + MINUTE / 2).await.unwrap();
    let expected = Session {
        hash: TokenHash::of(&opened.token).unwrap(),
        id: opened.id.clone(),
        account: "ann".into(),
        labels: subject("ann", "dev").labels,
        credential: Some(CredentialFingerprint::of("$2y$05$x")),
        backend: Some("users".into()),
        ceiling: ScopeCeiling::Unlimited,
        service: "registry".into(),
        client_id: "docker".into(),
        address: "192.0.2.7".into(),
        created_at: start(),
        last_used_at: start(),
        confirmed_at: start(),
        expires_at: start() + 30 * DAY,
        is_revoked: false,
    };
    assert_eq!(session, expected);
    // And once more: it is reused, not rotated.
    assert_eq!(
        bench.redeem(&opened, start() + MINUTE / 2).await,
        Ok(expected)
    );
}

pub(super) async fn a_missing_credential_is_kept_as_such(make: MakeBench) {
    let bench = make(SessionPolicy::default());
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

pub(super) async fn a_ceiling_is_kept_with_its_session(make: MakeBench) {
    let bench = make(SessionPolicy::default());
    let ann = subject("ann", "dev");
    let pull = CeilingEntry {
        resource_type: "repository".into(),
        name: "app".into(),
        actions: vec!["pull".into()],
    };
    for access in [vec![pull], Vec::new()] {
        let ceiling = ScopeCeiling::Limited(CeilingRules::compile(access).unwrap());
        let new = NewSession {
            backend: "robots",
            ceiling: &ceiling,
            ..new(&ann)
        };
        let opened = bench.sessions.open(new, start()).await.unwrap();
        let session = bench.redeem(&opened, start()).await.unwrap();
        assert_eq!(session.backend.as_deref(), Some("robots"));
        assert_eq!(session.ceiling, ceiling);
    }
}

pub(super) async fn a_session_lasts_no_longer_than_its_login_allows(make: MakeBench) {
    let bench = make(SessionPolicy::default());
    let ann = subject("ann", "dev");
    let hour = Duration::from_secs(3600);
    let new = NewSession {
        lifetime: LifetimeBound::AtMost(hour),
        ..new(&ann)
    };
    let opened = bench.sessions.open(new, start()).await.unwrap();
    let before = start() + hour - Duration::from_secs(1);
    assert!(bench.redeem(&opened, before).await.is_ok());
    assert_eq!(
        bench.redeem(&opened, start() + hour).await.err(),
        Some(RefreshTokenError::Expired)
    );
}

pub(super) async fn an_anonymous_login_has_no_session(make: MakeBench) {
    let bench = make(SessionPolicy::default());
    let opened = bench.sessions.open(new(&Subject::default()), start()).await;
    assert!(matches!(opened, Err(SessionsError::Anonymous)));
    assert!(bench.ids(Selection::All, start()).await.is_empty());
}

pub(super) async fn what_is_not_valid_is_rejected_for_a_reason(make: MakeBench) {
    let bench = make(SessionPolicy::default());
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
    // Well made, by another installation.
    let foreign = make(SessionPolicy::default())
        .open("ann", start())
        .await
        .token;
    assert_eq!(
        redeem(foreign.expose(), "registry", start()).await,
        Err(RefreshTokenError::Unknown)
    );
    assert_eq!(
        redeem(token, "registry", start() + 30 * DAY).await,
        Err(RefreshTokenError::Expired)
    );
    bench.revoke(Selection::All).await;
    assert_eq!(
        redeem(token, "registry", start()).await,
        Err(RefreshTokenError::Revoked)
    );
}

pub(super) async fn idle_time_counts_from_the_last_use(make: MakeBench) {
    let bench = make(SessionPolicy {
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

pub(super) async fn absolute_time_counts_from_the_login(make: MakeBench) {
    let bench = make(SessionPolicy {
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

pub(super) async fn a_new_policy_counts_for_old_sessions(make: MakeBench) {
    let bench = make(SessionPolicy::default());
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
        let sessions = bench.sessions.clone().under(policy);
        let redeemed = sessions
            .redeem(&opened.token, "registry", start() + DAY)
            .await
            .unwrap();
        assert_eq!(redeemed, Err(RefreshTokenError::Expired), "{policy:?}");
    }
    assert!(bench.redeem(&opened, start() + DAY).await.is_ok());
}

pub(super) async fn no_policy_is_too_long_to_be_counted(make: MakeBench) {
    let forever = Duration::from_secs(u64::MAX);
    let policy = SessionPolicy {
        idle: forever,
        absolute: forever,
        recheck_max_age: forever,
        per_user: u32::MAX,
    };
    let bench = make(policy);
    let opened = bench.open("ann", start()).await;
    assert!(bench.redeem(&opened, start() + 100_000 * DAY).await.is_ok());
}

pub(super) async fn a_clock_that_goes_back_ends_nothing(make: MakeBench) {
    let bench = make(SessionPolicy::default());
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

pub(super) async fn a_short_idle_time_is_measured_closely(make: MakeBench) {
    let bench = make(SessionPolicy {
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

pub(super) async fn a_confirmation_brings_labels_and_time(make: MakeBench) {
    let bench = make(SessionPolicy::default());
    let opened = bench.open("ann", start()).await;
    let session = bench.redeem(&opened, start()).await.unwrap();
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

pub(super) async fn the_last_confirmation_counts_for_a_while(make: MakeBench) {
    let bench = make(SessionPolicy {
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

pub(super) async fn the_least_recently_used_makes_room(make: MakeBench) {
    let bench = make(SessionPolicy {
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

pub(super) async fn a_new_session_never_makes_room_for_old_ones(make: MakeBench) {
    let bench = make(SessionPolicy {
        per_user: 1,
        ..SessionPolicy::default()
    });
    bench.open("ann", start()).await;
    // Its clock is behind.
    let newest = bench.open("ann", start() - DAY).await;
    assert_eq!(bench.ids(Selection::All, start()).await, [newest.id]);
}

pub(super) async fn a_storm_of_logins_keeps_to_the_cap(make: MakeBench) {
    let bench = make(SessionPolicy {
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
    assert_eq!(left.len(), 10);
    assert!(left.iter().all(|id| ids.contains(id)));
}

pub(super) async fn lists_by_account_and_last_use(make: MakeBench) {
    let bench = make(SessionPolicy::default());
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

pub(super) async fn pages_have_every_session_once(make: MakeBench) {
    let bench = make(SessionPolicy::default());
    let mut expected = Vec::new();
    for account in ["bob", "ann", "Ann", "ann", "ann", "bob", "carol"] {
        let opened = bench.open(account, start()).await;
        expected.push((account.to_owned(), opened.id));
    }
    expected.sort();
    for limit in [1, 2, 3, 7, 8] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = bench.page(Selection::All, after, limit).await;
            assert!(page.sessions.len() <= limit as usize);
            let sessions = page.sessions.into_iter();
            found.extend(sessions.map(|session| (session.account, session.id)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{limit} on a page");
    }
    let anns = bench.page(Selection::Account("ann".into()), None, 2).await;
    assert_eq!(anns.sessions.len(), 2);
    let anns = bench
        .page(Selection::Account("ann".into()), anns.next, 2)
        .await;
    assert_eq!((anns.sessions.len(), anns.next), (1, None));
    bench.revoke(Selection::Account("ann".into())).await;
    let anns = bench.page(Selection::Account("ann".into()), None, 2).await;
    assert_eq!((anns.sessions, anns.next), (Vec::new(), None));
}

pub(super) async fn revokes_what_was_meant(make: MakeBench) {
    let bench = make(SessionPolicy::default());
    let (first, second) = (
        bench.open("ann", start()).await,
        bench.open("ann", start()).await,
    );
    let (bobs, ottos) = (
        bench.open("bob", start()).await,
        bench.open("otto", start()).await,
    );
    let revoke = async |selection| bench.revoke(selection).await;
    let of = |id: &str, account: &str| Selection::IdOf {
        id: id.into(),
        account: account.into(),
    };
    assert_eq!(revoke(of(&first.id, "bob")).await, 0);
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
    assert_eq!(revoke(of(&bobs.id, "bob")).await, 1);
    assert_eq!(revoke(Selection::All).await, 1);
    assert_eq!(
        bench.redeem(&ottos, start()).await,
        Err(RefreshTokenError::Revoked)
    );
    assert!(bench.ids(Selection::All, start()).await.is_empty());
    assert_eq!(revoke(Selection::Account("unknown".into())).await, 0);
}

pub(super) async fn a_token_revokes_its_own_session(make: MakeBench) {
    let bench = make(SessionPolicy::default());
    let (one, other) = (
        bench.open("ann", start()).await,
        bench.open("ann", start()).await,
    );
    let revoke = async |token: &Secret| bench.sessions.revoke_token(token, start()).await.unwrap();
    let revoked = Revocation {
        id: one.id.clone(),
        account: "ann".into(),
    };
    assert_eq!(revoke(&one.token).await, Some(revoked));
    assert_eq!(revoke(&one.token).await, None, "it was revoked before");
    assert_eq!(revoke(&"whr_nonsense".into()).await, None);
    let unknown = "whr_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyCuIWwu";
    assert_eq!(revoke(&unknown.into()).await, None);
    let redeemed = bench.redeem(&one, start()).await;
    assert_eq!(redeemed, Err(RefreshTokenError::Revoked));
    assert!(bench.redeem(&other, start()).await.is_ok());
}
