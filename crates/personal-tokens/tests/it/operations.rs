//! Creating, listing, rotating and revoking.

use std::time::Duration;

use common::Clock;
use database::{Database, params};
use identity::Recheck;
use personal_tokens::{
    MAX_NETWORKS, PersonalToken, PersonalTokensError, Rotation, TokenFilter, TokenKind,
    TokenPolicy, parse_ceiling,
};
use policy::ScopeCeiling;

use crate::support::{Bench, DAY, FREE, personal, robot, root};

fn of_name(name: &str) -> TokenFilter {
    TokenFilter {
        name: Some(name.parse().unwrap()),
        ..TokenFilter::default()
    }
}

async fn names(bench: &Bench, filter: TokenFilter) -> Vec<String> {
    let listed = bench.tokens.list(filter).await.unwrap();
    listed.iter().map(PersonalToken::log_name).collect()
}

#[tokio::test]
async fn what_is_created_is_listed_until_it_is_revoked() {
    let bench = Bench::new(super::KIND);
    let created = bench.create(robot("ci", None)).await.unwrap();
    bench.create(robot("deploy", Some("ann"))).await.unwrap();
    bench.create(personal("ann", "laptop")).await.unwrap();
    let listed = bench.tokens.list(TokenFilter::default()).await.unwrap();
    let stored = listed.iter().find(|token| token.id == created.token.id);
    assert_eq!(
        stored,
        Some(&created.token),
        "what is printed is what is stored"
    );
    let everything = TokenFilter::default;
    let of_ann = || TokenFilter {
        owner: Some("ann".into()),
        ..everything()
    };
    let robots = TokenFilter {
        kind: Some(TokenKind::Robot),
        ..everything()
    };
    for (filter, expected) in [
        (everything(), vec!["ann/laptop", "robot+ci", "robot+deploy"]),
        (of_ann(), vec!["ann/laptop", "robot+deploy"]),
        (robots, vec!["robot+ci", "robot+deploy"]),
        (of_name("robot+ci"), vec!["robot+ci"]),
        (of_name("nothing"), vec![]),
    ] {
        assert_eq!(names(&bench, filter).await, expected);
    }
    let now = bench.clock.now();
    let revoked = bench.tokens.revoke(of_ann(), &root(), now).await.unwrap();
    assert_eq!(revoked.len(), 2, "all that a person owns");
    assert_eq!(names(&bench, everything()).await, ["robot+ci"]);
    let again = bench.tokens.revoke(of_ann(), &root(), now).await.unwrap();
    assert!(again.is_empty());
}

#[tokio::test]
async fn an_owner_is_an_account_that_can_be_looked_up() {
    let bench = Bench::new(super::KIND);
    bench.people.set("carl", Recheck::Unknown);
    for (owner, expected) in [
        ("bob", r#"no backend has the account "bob""#),
        ("", r#"no backend has the account """#),
        (
            "carl",
            r#"directory cannot say without a password whether "carl" is still there"#,
        ),
        ("robot+ci", "a robot cannot own robots or tokens"),
    ] {
        let error = bench.create(personal(owner, "laptop")).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        let error = bench.create(robot("ci", Some(owner))).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let mut unlimited = robot("ci", None);
    unlimited.ceiling = ScopeCeiling::Unlimited;
    let error = bench.create(unlimited.clone()).await.unwrap_err();
    assert!(matches!(error, PersonalTokensError::NoCeiling));
    unlimited.holder = robot("ci", Some("ann")).holder;
    bench.create(unlimited).await.unwrap();
}

#[tokio::test]
async fn names_are_taken_until_the_token_is_over() {
    let bench = Bench::new(super::KIND);
    bench.create(robot("ci", None)).await.unwrap();
    let taken = bench.create(robot("ci", Some("ann"))).await.unwrap_err();
    assert_eq!(taken.to_string(), r#""robot+ci" exists already"#);
    bench.create(personal("ann", "ci")).await.unwrap();
    let taken = bench.create(personal("ann", "ci")).await.unwrap_err();
    assert_eq!(taken.to_string(), r#""ann/ci" exists already"#);
    bench.clock.pass(91 * DAY);
    bench.create(personal("ann", "ci")).await.unwrap();
    let taken = bench.create(robot("ci", None)).await.unwrap_err();
    assert!(
        matches!(taken, PersonalTokensError::NameTaken(_)),
        "a robot is an account"
    );
    assert_eq!(
        names(&bench, TokenFilter::default()).await,
        ["ann/ci", "robot+ci"],
        "the expired one left its name"
    );
}

#[tokio::test]
async fn lifetimes_and_numbers_are_bounded() {
    let policy = TokenPolicy {
        ttl: 90 * DAY,
        max_ttl: 30 * DAY,
        per_owner: 2,
    };
    let bench = Bench::with(super::KIND, policy, Vec::new());
    let created = bench.create(personal("ann", "one")).await.unwrap();
    let end = bench.clock.now() + 30 * DAY;
    assert_eq!(
        created.token.secrets[0].expires_at, end,
        "the usual time, within the bound"
    );
    for (lifetime, expected) in [
        (
            31 * DAY,
            "it would last longer than personal_tokens.max_ttl allows (30 days)",
        ),
        (Duration::ZERO, "it would end at once"),
    ] {
        let mut new = personal("ann", "two");
        new.lifetime = Some(lifetime);
        assert_eq!(bench.create(new).await.unwrap_err().to_string(), expected);
    }
    let mut many = personal("ann", "two");
    many.networks = vec!["10.0.0.0/8".parse().unwrap(); MAX_NETWORKS + 1];
    let error = bench.create(many).await.unwrap_err();
    assert_eq!(error.to_string(), "at most 100 networks are allowed");
    bench.create(robot("two", Some("ann"))).await.unwrap();
    let error = bench.create(robot("three", Some("ann"))).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        r#""ann" owns 2 robots and tokens, which is the limit of personal_tokens.per_owner"#
    );
    for name in ["three", "four", "five"] {
        bench.create(robot(name, None)).await.unwrap();
    }
    let now = bench.clock.now();
    bench
        .tokens
        .revoke(of_name("one"), &root(), now)
        .await
        .unwrap();
    bench.create(personal("ann", "six")).await.unwrap();
}

#[tokio::test]
async fn a_rotation_keeps_the_life_and_lets_the_old_secret_end_later() {
    let bench = Bench::new(super::KIND);
    let mut new = robot("ci", None);
    new.lifetime = Some(10 * DAY);
    let first = bench.create(new).await.unwrap();
    bench.clock.pass(DAY);
    let rotate = |rotation| {
        let now = bench.clock.now();
        let (bench, root) = (&bench, root());
        async move {
            bench
                .tokens
                .rotate(of_name("ci"), rotation, FREE, &root, now)
                .await
        }
    };
    let overlap = Duration::from_secs(3600);
    let rotation = Rotation {
        overlap,
        lifetime: None,
    };
    let second = rotate(rotation).await.unwrap();
    let now = bench.clock.now();
    let ends: Vec<_> = second
        .token
        .secrets
        .iter()
        .map(|secret| secret.expires_at)
        .collect();
    assert_eq!(ends, [now + 10 * DAY, now + overlap]);
    assert_eq!(second.token.id, first.token.id);
    bench.clock.pass(Duration::from_secs(60));
    let third = rotate(rotation).await.unwrap();
    let now = bench.clock.now();
    let ends: Vec<_> = third
        .token
        .secrets
        .iter()
        .map(|secret| secret.expires_at)
        .collect();
    assert_eq!(
        ends,
        [now + 10 * DAY, now + overlap, now],
        "two secrets at most are valid"
    );
    let rotation = Rotation {
        lifetime: Some(400 * DAY),
        ..rotation
    };
    let error = rotate(rotation).await.unwrap_err();
    assert!(matches!(error, PersonalTokensError::TooLong(_)));
    let now = bench.clock.now();
    let missing = bench
        .tokens
        .rotate(of_name("x"), rotation, FREE, &root(), now)
        .await;
    assert!(matches!(
        missing,
        Err(PersonalTokensError::TooLong(_) | PersonalTokensError::NotFound)
    ));
}

#[tokio::test]
async fn each_change_is_logged_with_who_made_it() {
    let bench = Bench::new(super::KIND);
    let now = bench.clock.now();
    bench.create(robot("ci", None)).await.unwrap();
    bench.create(personal("ann", "laptop")).await.unwrap();
    let rotation = Rotation::default();
    bench
        .tokens
        .rotate(of_name("laptop"), rotation, FREE, &root(), now)
        .await
        .unwrap();
    let ci = || "ci".parse().unwrap();
    bench
        .tokens
        .set_disabled(ci(), true, FREE, &root(), now)
        .await
        .unwrap();
    bench
        .tokens
        .set_disabled(ci(), false, FREE, &root(), now)
        .await
        .unwrap();
    bench
        .tokens
        .revoke(TokenFilter::default(), &root(), now)
        .await
        .unwrap();
    let entries = bench.log().await;
    let logged: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry.action.as_str(),
                entry.object.as_str(),
                entry.by.name(),
            )
        })
        .collect();
    let by = "root (uid 0)";
    assert_eq!(
        logged,
        [
            ("robot.add", "robot+ci", by),
            ("personal_token.create", "ann/laptop", by),
            ("personal_token.rotate", "ann/laptop", by),
            ("robot.disable", "robot+ci", by),
            ("robot.enable", "robot+ci", by),
            ("personal_token.revoke", "ann/laptop", by),
            ("robot.remove", "robot+ci", by),
        ]
    );
    assert_eq!(entries[0].details["ceiling"][0]["name"], "app");
}

#[tokio::test]
async fn no_secret_is_in_the_files() {
    let bench = Bench::new(super::KIND);
    let created = bench.create(robot("ci", None)).await.unwrap();
    let secret = created.secret.expose().to_owned();
    assert!(!format!("{created:?}").contains(&secret));
    let Some(file) = bench.database.sqlite() else {
        return;
    };
    let path = file.path().to_owned();
    let folder = path.parent().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        // Neither the secret nor the part that is random.
        let found = bytes
            .windows(16)
            .any(|window| window == &secret.as_bytes()[4..20]);
        assert!(!found);
    }
}

#[tokio::test]
async fn what_was_printed_survives_the_process() {
    let bench = Bench::new(super::KIND);
    let created = bench.create(robot("ci", None)).await.unwrap();
    // As a command beside the server, which ends at once.
    let command = Database::open(&bench.place.location).unwrap();
    let read = command.read(|connection| {
        let sql = "SELECT count(*) FROM personal_token_secrets";
        connection.query_one(sql, params![], |row| row.get::<i64>(0))
    });
    assert_eq!(read.await.unwrap(), 1);
    assert_eq!(created.token.created_by, "root (uid 0)");
}

#[test]
fn a_ceiling_is_stored_as_it_is_written() {
    let ceiling = parse_ceiling(&["repository:team/*:pull,push"]).unwrap();
    let entries = serde_json::json!(ceiling.entries());
    assert_eq!(
        entries,
        serde_json::json!([{"type": "repository", "name": "team/*", "actions": ["pull", "push"]}])
    );
}
