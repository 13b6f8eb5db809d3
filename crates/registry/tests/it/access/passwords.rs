//! A registry that asks for passwords itself.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use common::SystemEntropy;
use identity::{
    Account, Accounts, AuthenticatorChain, Login, LoginCache, LoginLimiter, PasswordVerifier, Rate,
    StaticUsers, WorkerPool,
};
use registry::Authentication;

use super::challenge;
use crate::world::{Still, World, settings};

fn htpasswd() -> Authentication {
    let mut accounts = Accounts::default();
    let secret = "$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay"
        .parse()
        .unwrap();
    accounts
        .add(
            "alice".into(),
            Account {
                passwords: vec![secret],
                ..Account::default()
            },
        )
        .unwrap();
    let (clock, workers) = (
        Arc::new(Still),
        Arc::new(WorkerPool::new(NonZeroUsize::MIN)),
    );
    let verifier = Arc::new(PasswordVerifier::new(
        workers,
        accounts.iter().map(|(_, account)| account),
    ));
    let guard = LoginLimiter::new(
        Rate::per_minute(3),
        Rate::per_minute(3),
        clock.clone(),
        &SystemEntropy,
    )
    .unwrap();
    let remembered = LoginCache::new(Duration::from_secs(60), clock, &SystemEntropy).unwrap();
    let chain = AuthenticatorChain::new(vec![Box::new(StaticUsers::new(
        accounts,
        Arc::clone(&verifier),
    ))]);
    let login = Box::new(Login::new(chain, remembered, Arc::new(guard), verifier));
    Authentication::Htpasswd {
        realm: "Registry Realm".into(),
        login,
    }
}

#[tokio::test]
async fn a_password_opens_everything() {
    let world = World::with(settings(htpasswd())).await;
    let with = async |method: &str, path: &str, value: &str| {
        let headers: Vec<_> = Some(("authorization", value))
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        world.send(method, path, &headers, b"").await
    };
    let right = "Basic YWxpY2U6c2VjcmV0";
    for (method, path, status) in [
        ("GET", "/v2/", 200),
        ("GET", "/v2/a/manifests/one", 200),
        ("GET", "/v2/_catalog", 200),
        ("POST", "/v2/a/blobs/uploads/", 202),
        ("DELETE", "/v2/a/manifests/two", 202),
    ] {
        assert_eq!(
            with(method, path, right).await.status,
            status,
            "{method} {path}"
        );
        let without = with(method, path, "").await;
        assert_eq!(
            (without.status, challenge(&without).as_str()),
            (401, r#"Basic realm="Registry Realm""#)
        );
    }
    for wrong in [
        "Bearer x",
        "Basic",
        "Basic !",
        "Basic YWxpY2U=",
        "Basic OnNlY3JldA==",
    ] {
        assert_eq!(with("GET", "/v2/", wrong).await.status, 401, "{wrong}");
    }
    // Wrong passwords are counted. After the third, none is verified.
    for _ in 0..3 {
        assert_eq!(
            with("GET", "/v2/", "Basic YWxpY2U6d3Jvbmc=").await.status,
            401
        );
    }
    let limited = with("GET", "/v2/", "Basic YWxpY2U6d3Jvbmc=").await;
    assert_eq!(
        (limited.status, limited.code().as_str()),
        (429, "TOOMANYREQUESTS")
    );
    assert!(limited.header("retry-after").is_some());
}
