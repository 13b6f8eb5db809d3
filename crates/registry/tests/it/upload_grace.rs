//! Uploads whose token expires during the transfer.

use std::time::Duration;

use registry::RegistrySettings;

use super::script::fill;
use super::tokens::{Issuer, claims};
use super::world::{NOW, Seen, World, settings};

const PUSH: &[&str] = &["repository:a:pull,push"];

async fn world(issuer: &Issuer, grace: u64) -> World {
    World::with(RegistrySettings {
        upload_grace: Duration::from_secs(grace),
        ..settings(issuer.auth())
    })
    .await
}

/// The header with a token of `account` that expired so many seconds ago.
fn ended(issuer: &Issuer, account: &str, scopes: &[&str], ago: u64) -> String {
    let token = issuer.sign(&token::Claims {
        subject: account.to_owned(),
        not_before: NOW - ago - 300,
        issued_at: NOW - ago - 300,
        expires_at: NOW - ago,
        ..claims(scopes)
    });
    format!("Bearer {token}")
}

async fn begin(world: &World, authorization: &str) -> String {
    let headers = [("authorization", authorization)];
    let seen = world
        .send("POST", "/v2/a/blobs/uploads/", &headers, b"")
        .await;
    assert_eq!(seen.status, 202);
    let location = seen.header("location").unwrap();
    location
        .strip_prefix("http://registry.test")
        .unwrap_or(location)
        .to_owned()
}

async fn patch(world: &World, location: &str, authorization: &str) -> Seen {
    let headers = [("authorization", authorization)];
    world.send("PATCH", location, &headers, b"he").await
}

#[tokio::test]
async fn an_upload_goes_on_after_the_end_of_the_token_that_began_it() {
    let issuer = Issuer::new();
    let world = world(&issuer, 3600).await;
    let location = begin(&world, &issuer.bearer(PUSH)).await;
    let late = ended(&issuer, "alice", PUSH, 600);
    let headers = [("authorization", late.as_str())];
    assert_eq!(patch(&world, &location, &late).await.status, 202);
    assert_eq!(
        world.get(&location, &headers).await.header("range"),
        Some("0-1")
    );
    let path = fill(&format!("{location}?digest={{hello}}"), &world.names, "");
    assert_eq!(world.send("PUT", &path, &headers, b"llo").await.status, 201);
    let other = begin(&world, &issuer.bearer(PUSH)).await;
    assert_eq!(
        world.send("DELETE", &other, &headers, b"").await.status,
        204
    );
    // Other requests with an expired token are refused.
    for (method, path) in [
        ("POST", "/v2/a/blobs/uploads/"),
        ("GET", "/v2/a/manifests/one"),
        ("PUT", "/v2/a/manifests/one"),
        ("GET", "/v2/"),
    ] {
        let seen = world.send(method, path, &headers, b"").await;
        assert_eq!(seen.status, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn only_for_a_while_and_only_for_the_account_that_began_it() {
    let issuer = Issuer::new();
    let world = world(&issuer, 3600).await;
    let location = begin(&world, &issuer.bearer(PUSH)).await;
    let elsewhere = "/v2/a/blobs/uploads/ffffffff-ffff-4fff-bfff-ffffffffffff";
    let early = issuer.sign(&token::Claims {
        not_before: NOW + 600,
        ..claims(PUSH)
    });
    for (why, location, token) in [
        (
            "ended long ago",
            &location[..],
            ended(&issuer, "alice", PUSH, 3601),
        ),
        (
            "another account",
            &location,
            ended(&issuer, "bob", PUSH, 600),
        ),
        ("no account", &location, ended(&issuer, "", PUSH, 600)),
        (
            "the address",
            &location,
            ended(&issuer, "127.0.0.1", PUSH, 600),
        ),
        (
            "no push",
            &location,
            ended(&issuer, "alice", &["repository:a:pull"], 600),
        ),
        (
            "another repository",
            &location,
            ended(&issuer, "alice", &["repository:b:*"], 600),
        ),
        (
            "another key",
            &location,
            ended(&Issuer::new(), "alice", PUSH, 600),
        ),
        ("not valid yet", &location, format!("Bearer {early}")),
        (
            "no such upload",
            elsewhere,
            ended(&issuer, "alice", PUSH, 600),
        ),
    ] {
        let seen = patch(&world, location, &token).await;
        assert_eq!(seen.status, 401, "{why}");
        assert!(seen.header("www-authenticate").is_some(), "{why}");
    }
    assert_eq!(
        patch(&world, &location, &issuer.bearer(PUSH)).await.status,
        202
    );
}

#[tokio::test]
async fn a_grace_of_zero_is_none() {
    let issuer = Issuer::new();
    let world = world(&issuer, 0).await;
    let location = begin(&world, &issuer.bearer(PUSH)).await;
    let late = ended(&issuer, "alice", PUSH, 61);
    assert_eq!(patch(&world, &location, &late).await.status, 401);
}
