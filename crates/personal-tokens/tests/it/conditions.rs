//! Changes that require a version or an owner, and pages.

use std::sync::Arc;

use common::{Clock, SystemEntropy};
use database::{Database, Precondition};
use identity::{AuthenticatorChain, OpaqueTokens, TokenUse};
use personal_tokens::{
    PersonalToken, PersonalTokens, PersonalTokensError, Rotation, TokenFilter, TokenName,
    TokenPolicy, TokenVerifier,
};

use crate::support::{Bench, Directory, FREE, People, personal, present, robot, root};

fn of_name(name: &str) -> TokenFilter {
    TokenFilter {
        name: Some(name.parse().unwrap()),
        ..TokenFilter::default()
    }
}

#[tokio::test]
async fn a_change_can_require_the_version_that_was_read() {
    let bench = Bench::new(super::KIND);
    let (tokens, by, now) = (&bench.tokens, root(), bench.clock.now());
    let only = |token: &PersonalToken| Precondition::OneOf(vec![token.version()]);
    let ci = || -> TokenName { "ci".parse().unwrap() };
    let created = bench.create(robot("ci", None)).await.unwrap().token;
    let found = tokens.find(TokenFilter::robot(ci())).await.unwrap();
    assert_eq!(
        found.version(),
        created.version(),
        "also of what is returned"
    );
    let disabled = tokens
        .set_disabled(ci(), true, only(&created), &by, now)
        .await
        .unwrap();
    assert!(disabled.disabled_at.is_some());
    assert_ne!(disabled.version(), created.version());
    let rotated = tokens
        .rotate(
            of_name("ci"),
            Rotation::default(),
            only(&disabled),
            &by,
            now,
        )
        .await;
    let rotated = rotated.unwrap().token;
    for stale in [
        only(&created),
        only(&disabled),
        Precondition::OneOf(Vec::new()),
    ] {
        let refused = [
            tokens
                .set_disabled(ci(), false, stale.clone(), &by, now)
                .await
                .map(|_| ()),
            tokens
                .rotate(of_name("ci"), Rotation::default(), stale.clone(), &by, now)
                .await
                .map(|_| ()),
            tokens
                .revoke_one(of_name("ci"), stale, &by, now)
                .await
                .map(|_| ()),
        ];
        for refused in refused {
            assert!(
                matches!(refused, Err(PersonalTokensError::Precondition(_))),
                "{refused:?}"
            );
        }
    }
    // A use is no change, or a robot at work could not be changed.
    let secret = rotated.secrets[0].fingerprint;
    let address = Some("192.0.2.7".parse().unwrap());
    let token_use = TokenUse {
        time: now,
        address,
        repository: None,
    };
    let verifier = TokenVerifier::new(tokens.clone(), bench.clock.clone());
    verifier.note_use(&secret, token_use);
    while tokens
        .find(of_name("ci"))
        .await
        .unwrap()
        .last_use()
        .is_none()
    {
        tokio::task::yield_now().await;
    }
    tokens
        .revoke_one(of_name("ci"), only(&rotated), &by, now)
        .await
        .unwrap();
    let gone = tokens.revoke_one(of_name("ci"), FREE, &by, now).await;
    assert!(matches!(gone, Err(PersonalTokensError::NotFound)));
    let expected = ["robot.add", "robot.disable", "robot.rotate", "robot.remove"];
    assert_eq!(bench.actions().await, expected);
}

#[tokio::test]
async fn one_of_two_changes_of_the_same_version_fails() {
    let bench = Bench::new(super::KIND);
    let created = bench.create(robot("ci", None)).await.unwrap().token;
    let command = Database::open(&bench.place.location).unwrap();
    let entropy = Arc::new(SystemEntropy);
    let command = PersonalTokens::new(command, TokenPolicy::default(), entropy);
    let (now, by) = (bench.clock.now(), root());
    let change = |tokens: PersonalTokens| {
        let (by, only) = (by.clone(), Precondition::OneOf(vec![created.version()]));
        async move {
            tokens
                .rotate(of_name("ci"), Rotation::default(), only, &by, now)
                .await
        }
    };
    let (one, other) = tokio::join!(change(bench.tokens.clone()), change(command));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}

#[tokio::test]
async fn what_changes_nothing_is_not_logged() {
    let bench = Bench::new(super::KIND);
    let (now, by) = (bench.clock.now(), root());
    bench.create(robot("ci", None)).await.unwrap();
    for is_disabled in [false, true, true] {
        let name = "ci".parse().unwrap();
        let change = bench.tokens.set_disabled(name, is_disabled, FREE, &by, now);
        change.await.unwrap();
    }
    assert_eq!(bench.actions().await, ["robot.add", "robot.disable"]);
}

#[tokio::test]
async fn pages_go_through_the_list_in_its_order() {
    let bench = Bench::new(super::KIND);
    bench.people.set("bea", present("bea", "blue"));
    for (owner, name) in [("bea", "a"), ("ann", "b"), ("ann", "a")] {
        bench.create(personal(owner, name)).await.unwrap();
    }
    for (name, owner) in [
        ("c", Some("ann")),
        ("d", None),
        ("b", None),
        ("a", Some("bea")),
    ] {
        bench.create(robot(name, owner)).await.unwrap();
    }
    let all = bench.tokens.list(TokenFilter::default()).await.unwrap();
    let order: Vec<_> = all.iter().map(PersonalToken::log_name).collect();
    let expected = [
        "ann/a", "ann/b", "bea/a", "robot+b", "robot+d", "robot+c", "robot+a",
    ];
    assert_eq!(order, expected);
    for limit in 1..4 {
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = bench
                .tokens
                .page(TokenFilter::default(), after, limit)
                .await
                .unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit as usize);
            after = Some(last.position());
            paged.extend(page);
        }
        assert_eq!(paged, all);
    }
    let of_ann = TokenFilter {
        owner: Some("ann".into()),
        ..TokenFilter::default()
    };
    let after = Some(all[0].position());
    let rest = bench.tokens.page(of_ann, after, 100).await.unwrap();
    assert_eq!(rest, [all[1].clone(), all[5].clone()]);
}

#[tokio::test]
async fn the_filter_of_an_owner_counts_in_every_change() {
    let bench = Bench::new(super::KIND);
    bench.people.set("bea", present("bea", "blue"));
    let id = bench
        .create(personal("ann", "laptop"))
        .await
        .unwrap()
        .token
        .id;
    let of = |owner: &str| TokenFilter {
        owner: Some(owner.to_owned()),
        id: Some(id.clone()),
        ..TokenFilter::default()
    };
    let (tokens, by, now) = (&bench.tokens, root(), bench.clock.now());
    let refused = [
        tokens.find(of("bea")).await.map(|_| ()),
        tokens
            .rotate(of("bea"), Rotation::default(), FREE, &by, now)
            .await
            .map(|_| ()),
        tokens
            .revoke_one(of("bea"), FREE, &by, now)
            .await
            .map(|_| ()),
    ];
    for refused in refused {
        assert!(
            matches!(refused, Err(PersonalTokensError::NotFound)),
            "{refused:?}"
        );
    }
    tokens.revoke_one(of("ann"), FREE, &by, now).await.unwrap();
}

#[tokio::test]
async fn an_owner_that_was_removed_since_it_was_looked_up_gets_no_token() {
    let accounts = Arc::new(People::default());
    accounts.set("ann", present("ann", "red"));
    let backend = Directory("accounts", Arc::clone(&accounts));
    let bench = Bench::new(super::KIND);
    let owners = AuthenticatorChain::new(vec![Box::new(backend)]);
    // The backend still has the account, and the database has not.
    for new in [personal("ann", "laptop"), robot("ci", Some("ann"))] {
        let (by, now) = (root(), bench.clock.now());
        let error = bench
            .tokens
            .create(new, &owners, &by, now)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), r#"no backend has the account "ann""#);
    }
    let listed = bench.tokens.list(TokenFilter::default()).await.unwrap();
    assert_eq!(listed, []);
    assert_eq!(bench.actions().await, [""; 0]);
}
