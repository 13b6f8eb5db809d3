//! The list of repositories: all of it, or what the caller may pull.

use std::sync::Arc;

use registry::{Caller, PullPermissions, VisibleRepositories, VisibleRepositoriesFuture};

use super::tokens::{Issuer, claims};
use super::world::{World, catalog, settings};

const INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// Lets each account see the repositories that begin with its name. `root` sees all, an anonymous
/// client none.
struct OwnOnly;

impl PullPermissions for OwnOnly {
    fn filter<'a>(&'a self, caller: Caller<'a>) -> VisibleRepositoriesFuture<'a> {
        let own = format!("{}/", caller.account);
        Box::pin(async move {
            match caller.account {
                "" => Ok(VisibleRepositories::Nothing),
                "root" => Ok(VisibleRepositories::Everything),
                "broken" => Err("the rules cannot be asked".into()),
                _ => Ok(VisibleRepositories::Matching(Box::new(move |name| {
                    name.starts_with(&own)
                }))),
            }
        })
    }
}

/// A registry with a filter, and these repositories.
async fn world(issuer: &Issuer, names: impl IntoIterator<Item = String>) -> Arc<World> {
    let settings = registry::RegistrySettings {
        catalog: catalog(Some(Arc::new(OwnOnly))),
        ..settings(issuer.auth())
    };
    let world = Arc::new(World::bare(settings, storage::StorageSettings::default()).await);
    let mut pushes = tokio::task::JoinSet::new();
    for name in names {
        let world = Arc::clone(&world);
        pushes.spawn(async move {
            world
                .manifest(&name, oci::media_type::OCI_INDEX, INDEX, &["x"])
                .await
        });
    }
    pushes.join_all().await;
    world
}

fn bearer(issuer: &Issuer, account: &str) -> String {
    let claims = token::Claims {
        subject: account.into(),
        ..claims(&[])
    };
    format!("Bearer {}", issuer.sign(&claims))
}

/// Every page from `path` on: its names, and the address of the next.
async fn pages(
    world: &World,
    path: &str,
    authorization: &str,
) -> Vec<(Vec<String>, Option<String>)> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let seen = world.get(&path, &[("authorization", authorization)]).await;
        assert_eq!(seen.status, 200, "{path}: {}", seen.text());
        let link = seen
            .header("link")
            .map(|link| link.strip_suffix(">; rel=\"next\"").unwrap()[1..].to_owned());
        let names = seen.json()["repositories"].as_array().unwrap().clone();
        pages.push((
            names
                .iter()
                .map(|name| name.as_str().unwrap().to_owned())
                .collect(),
            link.clone(),
        ));
        next = link;
    }
    pages
}

#[tokio::test]
async fn who_may_see_all_sees_all_page_by_page() {
    let issuer = Issuer::new();
    let world = world(&issuer, (0..250).map(|number| format!("r{number:03}"))).await;
    let all = issuer.bearer(&["registry:catalog:*"]);
    let sizes = async |path: &str| {
        pages(&world, path, &all)
            .await
            .iter()
            .map(|(names, _)| names.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        sizes("/v2/_catalog").await,
        [100, 100, 50],
        "100 are Docker's default"
    );
    assert_eq!(sizes("/v2/_catalog?n=1000").await, [250]);
    assert_eq!(sizes("/v2/_catalog?n=125").await, [125, 125]);
    assert_eq!(sizes("/v2/_catalog?n=0").await, [0]);
    assert_eq!(sizes("/v2/_catalog?last=r199").await, [50]);
    let two = &pages(&world, "/v2/_catalog?n=2", &all).await[0];
    assert_eq!(
        two,
        &(
            vec!["r000".into(), "r001".into()],
            Some("/v2/_catalog?n=2&last=r001".into())
        )
    );
}

#[tokio::test]
async fn who_may_not_sees_what_it_may_pull() {
    let issuer = Issuer::new();
    let names = ["alice/a", "alice/b", "alice/c", "bob/a", "secret"].map(str::to_owned);
    let world = world(&issuer, names).await;
    let seen =
        async |account: &str, path: &str| pages(&world, path, &bearer(&issuer, account)).await;
    let names = |page: &(Vec<String>, Option<String>)| page.0.join(" ");
    assert_eq!(
        names(&seen("alice", "/v2/_catalog").await[0]),
        "alice/a alice/b alice/c"
    );
    assert_eq!(names(&seen("bob", "/v2/_catalog").await[0]), "bob/a");
    assert_eq!(names(&seen("", "/v2/_catalog").await[0]), "");
    assert_eq!(
        names(&seen("root", "/v2/_catalog").await[0]),
        "alice/a alice/b alice/c bob/a secret"
    );
    let paged = seen("alice", "/v2/_catalog?n=2").await;
    assert_eq!(
        paged[0].1.as_deref(),
        Some("/v2/_catalog?n=2&last=alice%2Fb")
    );
    assert_eq!(names(&paged[1]), "alice/c");
    // A client without a token is asked for one. If the filter fails, the response is not an empty
    // list.
    assert_eq!(world.get("/v2/_catalog", &[]).await.status, 401);
    let broken = world
        .get(
            "/v2/_catalog",
            &[("authorization", &bearer(&issuer, "broken"))],
        )
        .await;
    assert_eq!(broken.status, 500);
    assert!(!broken.text().contains("rules"), "{}", broken.text());
}

#[tokio::test]
async fn a_full_page_has_a_next_one_only_if_that_shows_something() {
    let issuer = Issuer::new();
    let names = ["alice/a", "bob/a", "hidden/a", "zoe/a"].map(str::to_owned);
    let world = world(&issuer, names).await;
    let sizes = async |account: &str, n: u32| {
        let path = format!("/v2/_catalog?n={n}");
        let pages = pages(&world, &path, &bearer(&issuer, account)).await;
        pages
            .iter()
            .map(|(names, _)| names.len())
            .collect::<Vec<_>>()
    };
    for account in ["alice", "bob", "zoe"] {
        assert_eq!(sizes(account, 1).await, [1], "{account}");
        assert_eq!(sizes(account, 2).await, [1], "{account}");
    }
    assert_eq!(sizes("stranger", 1).await, [0]);
    assert_eq!(sizes("root", 1).await, [1, 1, 1, 1]);
    assert_eq!(sizes("root", 2).await, [2, 2]);
    assert_eq!(sizes("root", 3).await, [3, 1]);
}

#[tokio::test]
async fn a_page_looks_at_no_more_than_it_may_and_tells_no_name() {
    let issuer = Issuer::new();
    let hidden = (0..5200).map(|number| format!("hidden/{number:04}"));
    let world = world(&issuer, hidden.chain(["alice/x".into(), "zoe/x".into()])).await;
    let alice = pages(&world, "/v2/_catalog", &bearer(&issuer, "alice")).await;
    assert_eq!(
        alice
            .iter()
            .map(|(names, _)| names.len())
            .collect::<Vec<_>>(),
        [1, 0]
    );
    let next = alice[0].1.as_deref().unwrap();
    assert!(
        next.starts_with("/v2/_catalog?n=100&next=") && !next.contains("hidden"),
        "{next}"
    );
    let zoe = pages(&world, "/v2/_catalog", &bearer(&issuer, "zoe")).await;
    assert_eq!(zoe.last().unwrap().0, ["zoe/x"]);
    let stolen = world
        .get(next, &[("authorization", &bearer(&issuer, "zoe"))])
        .await;
    assert_eq!(
        (stolen.status, stolen.code().as_str()),
        (400, "PAGINATION_NUMBER_INVALID")
    );
}
