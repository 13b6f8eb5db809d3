//! What the token endpoint answers to secrets.

use peers::wait_until;

use super::{add_robot, ask, basic, command, create_token, granted, rejected};
use crate::e2e::ours::Ours;
use crate::wire::Connection;

const APP: &str = "scope=repository:team/app:pull";

#[test]
fn a_secret_is_a_password_or_a_bearer_token_and_never_anonymous() {
    let ours = Ours::with_refresh_tokens();
    let ann = create_token(&ours, "admin", "laptop", &["--unlimited"]);
    for authorization in [
        basic("", &ann.secret),
        basic("<token>", &ann.secret),
        basic("admin", &ann.secret),
        format!("Bearer {}", ann.secret),
    ] {
        let answer = ask(&ours, &authorization, APP);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.claims()["sub"], "admin");
    }
    let form = format!(
        "grant_type=refresh_token&service=wharfinger&refresh_token={}",
        ann.secret
    );
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let mut connection = Connection::open(&ours.host());
    let answer = connection.request("POST", "/auth", &headers, Some(&form));
    assert_eq!(
        (answer.status, &answer.claims()["sub"]),
        (200, &"admin".into())
    );

    let cut = &ann.secret[..40];
    let no_token = "no such token: it was mistyped, or is gone";
    for (authorization, words) in [
        (
            basic("reader", &ann.secret),
            "the token belongs to another account than the user name says",
        ),
        (basic("", cut), no_token),
        (basic("admin", cut), no_token),
        (format!("Bearer {cut}"), no_token),
        (
            basic("", "another secret"),
            "user name missing: a password without a user name must be a token of this server",
        ),
        (
            basic("<token>", "another secret"),
            "incorrect username or password",
        ),
    ] {
        let answer = ask(&ours, &authorization, "scope=repository:public/app:pull");
        assert_eq!(
            (answer.status, &answer.json()["details"]),
            (401, &words.into())
        );
    }
}

#[test]
fn a_robot_has_its_owner_s_rights_and_its_own_name() {
    let ours = Ours::start();
    let options = ["--owner", "reader", "--scope", "repository:*/*:pull,push"];
    let robot = add_robot(&ours, "deploy", &options);
    assert_eq!(robot.account, "robot+deploy");
    let both = "scope=repository:reader/app:pull,push&scope=repository:team/app:pull,push";
    assert_eq!(
        granted(&ours, &robot.secret, both),
        "repository:reader/app:pull,push repository:team/app:pull",
        "the rule for reader's own repositories counts"
    );
    let answer = ask(&ours, &basic("robot+deploy", &robot.secret), both);
    assert_eq!(answer.claims()["sub"], "robot+deploy");
    let secret = add_robot(&ours, "system", &["--scope", "repository:secret/*:pull"]).secret;
    assert_eq!(
        granted(
            &ours,
            &secret,
            "scope=repository:secret/app:pull,push&scope=repository:team/app:pull"
        ),
        "repository:secret/app:pull",
        "a robot of the system has its ceiling alone"
    );
}

#[test]
fn a_session_ends_with_the_token_that_opened_it() {
    let ours = Ours::with_refresh_tokens();
    let token = create_token(
        &ours,
        "admin",
        "laptop",
        &["--scope", "repository:team/*:pull"],
    );
    let login = ask(
        &ours,
        &basic("admin", &token.secret),
        "offline_token=true&client_id=docker",
    );
    let refresh = login.json()["refresh_token"].as_str().unwrap().to_owned();
    let both = "scope=repository:team/app:pull,push&scope=repository:other/app:pull";
    assert_eq!(granted(&ours, &refresh, both), "repository:team/app:pull");
    let sessions = ours.sessions();
    assert_eq!(sessions[0]["backend"], "personal_tokens");
    command(
        &ours,
        &["personal-token", "revoke", "FILE", "--id", &token.id],
    )
    .succeeded();
    assert_eq!(
        rejected(&ours, &refresh),
        "the token was revoked: ask for a new one"
    );
    assert_eq!(ours.sessions(), serde_json::json!([]));
}

#[test]
fn a_secret_of_another_network_and_one_that_expires_say_so() {
    let ours = Ours::start();
    let options = [
        "--scope",
        "repository:team/*:pull",
        "--network",
        "10.0.0.0/8",
    ];
    let far = add_robot(&ours, "far", &options);
    assert_eq!(
        rejected(&ours, &far.secret),
        "the token is not valid from this address"
    );
    let options = [
        "--scope",
        "repository:team/*:pull",
        "--network",
        "127.0.0.0/8",
        "--ttl",
        "1s",
    ];
    let short = add_robot(&ours, "short", &options);
    wait_until(|| ask(&ours, &basic("", &short.secret), APP).status == 401);
    assert_eq!(
        rejected(&ours, &short.secret),
        "the token has expired: ask for a new one"
    );
}

#[test]
fn a_token_goes_with_its_owner_at_the_next_access_token() {
    let ours = Ours::start();
    let token = create_token(&ours, "reader", "laptop", &["--unlimited"]);
    let robot = add_robot(&ours, "deploy", &["--owner", "reader", "--unlimited"]);
    let config = std::fs::read_to_string(ours.config()).unwrap();
    let scopes = "scope=repository:reader/app:pull,push";
    for secret in [&token.secret, &robot.secret] {
        assert_eq!(
            granted(&ours, secret, scopes),
            "repository:reader/app:pull,push"
        );
    }
    // Demoted: the rule for reader's own repositories is gone.
    let demoted = config.replace(
        r#"account: "reader", name: "reader/*""#,
        r#"account: "x", name: "x""#,
    );
    reload(&ours, &demoted, || {
        granted(&ours, &token.secret, scopes) == "repository:reader/app:pull"
    });
    assert_eq!(
        granted(&ours, &robot.secret, scopes),
        "repository:reader/app:pull"
    );
    // Removed.
    let removed = config.replace(r#"  "reader":"#, r#"  "other":"#);
    let gone = || ask(&ours, &basic("", &token.secret), scopes).status == 401;
    reload(&ours, &removed, gone);
    let words = "the account of the token's owner was removed or disabled";
    for secret in [&token.secret, &robot.secret] {
        assert_eq!(rejected(&ours, secret), words);
    }
}

/// Writes another configuration, and waits until it counts.
fn reload(ours: &Ours, config: &str, counts: impl Fn() -> bool) {
    std::fs::write(ours.config(), config).unwrap();
    wait_until(counts);
}
