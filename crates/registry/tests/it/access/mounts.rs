//! Mounts need two repositories: what a token for one of them gets.

use std::sync::Arc;

use registry::RegistrySettings;

use super::{OnlyB, challenge};
use crate::script::fill;
use crate::tokens::Issuer;
use crate::world::{World, catalog, settings};

#[tokio::test]
async fn a_mount_takes_from_where_the_token_may_pull() {
    let issuer = Issuer::new();
    let world = World::with(settings(issuer.auth())).await;
    let mount = async |scopes: &[&str], query: &str| {
        let path = fill(&format!("/v2/new/blobs/uploads/?{query}"), &world.names, "");
        let seen = world
            .send(
                "POST",
                &path,
                &[("authorization", &issuer.bearer(scopes))],
                b"",
            )
            .await;
        (
            seen.status,
            seen.header("docker-upload-uuid").is_some(),
            seen.text(),
        )
    };
    let (target, begun, mounted) = (
        "repository:new:pull,push",
        (202, true, String::new()),
        (201, false, String::new()),
    );
    // A forbidden repository and one that does not exist get the same response.
    assert_eq!(mount(&[target], "mount={other}&from=b").await, begun);
    assert_eq!(mount(&[target], "mount={none}&from=b").await, begun);
    assert_eq!(mount(&[target], "mount={other}&from=never").await, begun);
    assert_eq!(mount(&[target], "mount={other}").await, begun);
    assert_eq!(
        mount(&[target, "repository:b:push"], "mount={other}&from=b").await,
        begun
    );
    assert_eq!(
        mount(&[target, "repository:b:pull"], "mount={other}&from=b").await,
        mounted
    );
    assert_eq!(
        mount(&[target, "repository:b:pull"], "mount={config}").await,
        mounted
    );
    assert_eq!(
        mount(&[target, "repository:a:*"], "mount={layer}&from=a").await,
        mounted
    );
    // The challenge asks for both scopes.
    let path = fill(
        "/v2/new/blobs/uploads/?mount={other}&from=b",
        &world.names,
        "",
    );
    let seen = world.send("POST", &path, &[], b"").await;
    assert!(
        challenge(&seen).ends_with(r#"scope="repository:new:pull,push repository:b:pull""#),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_mount_that_our_rules_would_allow_asks_for_the_scope_once() {
    let issuer = Issuer::new();
    let world = World::with(RegistrySettings {
        catalog: catalog(Some(Arc::new(OnlyB))),
        ..settings(issuer.auth())
    })
    .await;
    let target = "repository:new:pull,push";
    let mount = async |scopes: &[&str], query: &str| {
        let path = format!("/v2/new/blobs/uploads/?mount={{other}}{query}");
        let path = fill(&path, &world.names, "");
        let bearer = issuer.bearer(scopes);
        world
            .send("POST", &path, &[("authorization", &bearer)], b"")
            .await
    };
    let refused = mount(&[target], "&from=b").await;
    assert_eq!(refused.status, 401);
    assert!(
        challenge(&refused).ends_with(
            r#"scope="repository:new:pull,push repository:b:pull",error="insufficient_scope""#
        ),
        "{}",
        challenge(&refused)
    );
    // A client that gets the second scope can mount. Any other may upload.
    let both = [target, "repository:b:pull"];
    assert_eq!(mount(&both, "&from=b").await.status, 201);
    assert_eq!(mount(&[target], "&from=b").await.status, 202);
    assert_eq!(mount(&[target], "&from=b").await.status, 202);
    // The challenge does not ask for what the rules do not allow.
    assert_eq!(mount(&[target], "&from=a").await.status, 202);
}
