//! Which client may do what, and how other requests are refused: a golden table of every route with
//! every kind of token.

mod mounts;
mod passwords;

use std::fmt::Write;
use std::sync::Arc;

use registry::{Authentication, RegistrySettings};

use super::script::fill;
use super::tokens::{Issuer, claims, unsigned, with_changed_claim};
use super::world::{NOW, Seen, World, catalog, origin, settings};

const GOLDEN: &str = include_str!("../../vectors/access.txt");

/// Each route with each of its methods.
const ROUTES: [(&str, &str); 26] = [
    ("GET", "/v2/"),
    ("HEAD", "/v2/"),
    ("GET", "/v2/_catalog"),
    ("GET", "/v2/_oci/ext/discover"),
    ("GET", "/v2/a/tags/list"),
    ("HEAD", "/v2/a/tags/list"),
    ("GET", "/v2/a/referrers/{image}"),
    ("GET", "/v2/a/manifests/one"),
    ("HEAD", "/v2/a/manifests/{image}"),
    ("GET", "/v2/a/manifests/.no"),
    ("PUT", "/v2/a/manifests/one"),
    ("PUT", "/v2/a/manifests/.no"),
    ("DELETE", "/v2/a/manifests/never"),
    ("DELETE", "/v2/a/manifests/.no"),
    ("GET", "/v2/a/blobs/{layer}"),
    ("HEAD", "/v2/a/blobs/{layer}"),
    ("DELETE", "/v2/a/blobs/{none}"),
    ("POST", "/v2/a/blobs/uploads/"),
    ("POST", "/v2/a/blobs/uploads/?digest={nothing}"),
    ("POST", "/v2/a/blobs/uploads/?mount={other}&from=b"),
    ("GET", "/v2/a/blobs/uploads/{upload}"),
    ("HEAD", "/v2/a/blobs/uploads/{upload}"),
    ("PATCH", "/v2/a/blobs/uploads/{upload}"),
    ("PUT", "/v2/a/blobs/uploads/{upload}?digest={nothing}"),
    ("DELETE", "/v2/a/blobs/uploads/{upload}"),
    ("OPTIONS", "/v2/a/blobs/uploads/"),
];

const UPLOAD: &str = "ffffffff-ffff-4fff-bfff-ffffffffffff";

/// Every kind of credentials that a request may have, by a short name.
fn brought(issuer: &Issuer) -> Vec<(&'static str, Option<String>)> {
    let all = &["repository:a:*", "registry:catalog:*"][..];
    let bearer = |token: String| Some(format!("Bearer {token}"));
    let granting = |scopes: &[&str]| bearer(issuer.token(scopes));
    vec![
        ("nothing", None),
        ("basic", Some("Basic YWxpY2U6c2VjcmV0".into())),
        ("junk", bearer("junk".into())),
        (
            "expired",
            bearer(issuer.sign(&token::Claims {
                expires_at: NOW - 61,
                ..claims(all)
            })),
        ),
        (
            "early",
            bearer(issuer.sign(&token::Claims {
                not_before: NOW + 61,
                ..claims(all)
            })),
        ),
        (
            "service",
            bearer(issuer.sign(&token::Claims {
                audience: "other".into(),
                ..claims(all)
            })),
        ),
        (
            "issuer",
            bearer(issuer.sign(&token::Claims {
                issuer: "Other".into(),
                ..claims(all)
            })),
        ),
        ("key", bearer(Issuer::new().token(all))),
        ("changed", bearer(with_changed_claim(&issuer.token(all)))),
        ("unsigned", bearer(unsigned(&issuer.token(all)))),
        ("empty", granting(&[])),
        (
            "other",
            granting(&["repository:b:*", "repository:a/b:*", "registry:a:*"]),
        ),
        ("pull", granting(&["repository:a:pull"])),
        ("push", granting(&["repository:a:push"])),
        (
            "both",
            granting(&["repository:a:pull", "repository:a:push"]),
        ),
        ("delete", granting(&["repository:a:delete"])),
        ("catalog", granting(&["registry:catalog:*"])),
        ("star", granting(&["repository:a:*"])),
    ]
}

fn challenge(seen: &Seen) -> String {
    seen.header("www-authenticate")
        .unwrap_or_default()
        .to_owned()
}

/// A parameter of a challenge.
fn parameter<'a>(challenge: &'a str, name: &str) -> &'a str {
    let start = challenge
        .find(&format!("{name}=\""))
        .map(|at| at + name.len() + 2);
    start.map_or("-", |start| challenge[start..].split('"').next().unwrap())
}

/// The current table.
async fn table() -> String {
    let issuer = Issuer::new();
    let mut world = World::with(settings(issuer.auth())).await;
    world.names.insert("upload".into(), UPLOAD.into());
    let mut table = String::new();
    for (method, path) in ROUTES {
        let filled = fill(path, &world.names, "");
        let scope = parameter(
            &challenge(&world.send(method, &filled, &[], b"").await),
            "scope",
        )
        .to_owned();
        writeln!(table, "{method} {path}\n  scope {scope}").unwrap();
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        for (name, header) in brought(&issuer) {
            let headers: Vec<_> = header
                .iter()
                .map(|header| ("authorization", header.as_str()))
                .collect();
            let seen = world.send(method, &filled, &headers, b"").await;
            let challenge = challenge(&seen);
            assert_eq!(
                seen.status == 401,
                !challenge.is_empty(),
                "{method} {path} {name}"
            );
            assert!(
                challenge.is_empty() || parameter(&challenge, "scope") == scope,
                "{method} {path} {name}"
            );
            let error = parameter(&challenge, "error");
            let outcome = if seen.status == 401 {
                format!("401 {error}")
            } else {
                seen.status.to_string()
            };
            match groups.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, names)) => names.push(name),
                None => groups.push((outcome, vec![name])),
            }
        }
        for (outcome, names) in groups {
            writeln!(table, "  {outcome}: {}", names.join(" ")).unwrap();
        }
    }
    table
}

#[tokio::test]
async fn every_route_opens_only_to_clients_with_access() {
    let table = table().await;
    assert!(table == GOLDEN, "the table is now:\n{table}");
}

#[tokio::test]
async fn a_challenge_is_what_every_client_needs() {
    let world = World::with(settings(Issuer::new().auth())).await;
    let seen = world
        .get("/v2/odewahn/myalpine/manifests/latest", &[])
        .await;
    assert_eq!(seen.status, 401);
    assert_eq!(seen.headers.get_all("www-authenticate").iter().count(), 1);
    assert_eq!(
        challenge(&seen),
        r#"Bearer realm="https://auth.test/token",service="registry.test",scope="repository:odewahn/myalpine:pull""#
    );
    assert_eq!(
        seen.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(
        seen.text(),
        concat!(
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","#,
            r#""detail":[{"Type":"repository","Name":"odewahn/myalpine","Action":"pull"}]}]}"#
        )
    );
    let version = world.get("/v2/", &[]).await;
    assert_eq!(
        challenge(&version),
        r#"Bearer realm="https://auth.test/token",service="registry.test""#
    );
}

#[tokio::test]
async fn nothing_tells_whether_a_repository_exists() {
    let issuer = Issuer::new();
    let mut world = World::with(settings(issuer.auth())).await;
    world.names.insert("upload".into(), UPLOAD.into());
    let tokens = [
        None,
        Some(issuer.bearer(&[])),
        Some(issuer.bearer(&["repository:b:*"])),
        Some("Bearer x".into()),
    ];
    for (method, path) in ROUTES
        .iter()
        .filter(|(method, path)| path.contains("/a/") && *method != "OPTIONS")
    {
        for token in &tokens {
            let headers: Vec<_> = token
                .iter()
                .map(|token| ("authorization", token.as_str()))
                .collect();
            let path = fill(path, &world.names, "");
            let there = world.send(method, &path, &headers, b"").await;
            let nowhere = world
                .send(method, &path.replace("/a/", "/z/"), &headers, b"")
                .await;
            assert_eq!(there.status, 401, "{method} {path}");
            assert_eq!(
                there.text().replace("\"a\"", "\"z\""),
                nowhere.text(),
                "{method} {path}"
            );
            assert_eq!(
                challenge(&there).replace(":a:", ":z:"),
                challenge(&nowhere),
                "{method} {path}"
            );
            let names = |seen: &Seen| {
                seen.headers
                    .keys()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
            };
            assert_eq!(names(&there), names(&nowhere), "{method} {path}");
        }
    }
}

/// Rules that let every account pull from `b` only.
struct OnlyB;

impl registry::PullPermissions for OnlyB {
    fn filter<'a>(&'a self, _: registry::Caller<'a>) -> registry::VisibleRepositoriesFuture<'a> {
        let filter = registry::VisibleRepositories::Matching(Box::new(|name| name == "b"));
        Box::pin(std::future::ready(Ok(filter)))
    }
}

#[tokio::test]
async fn a_pull_that_no_rule_allows_is_403_with_the_reason() {
    let issuer = Issuer::new();
    let mut world = World::with(RegistrySettings {
        catalog: catalog(Some(Arc::new(OnlyB))),
        ..settings(issuer.auth())
    })
    .await;
    world.names.insert("upload".into(), UPLOAD.into());
    let as_account = |account: &str, scopes: &[&str]| {
        let claims = token::Claims {
            subject: account.into(),
            ..claims(scopes)
        };
        format!("Bearer {}", issuer.sign(&claims))
    };
    let status = async |method: &str, path: &str, bearer: &str| {
        let path = fill(path, &world.names, "");
        let seen = world
            .send(method, &path, &[("authorization", bearer)], b"")
            .await;
        (seen.status, seen.code())
    };
    let (alice, anonymous) = (as_account("alice", &[]), as_account("", &[]));
    for path in [
        "tags/list",
        "manifests/one",
        "blobs/{layer}",
        "referrers/{image}",
    ] {
        for repository in ["a", "never"] {
            let path = format!("/v2/{repository}/{path}");
            let denied = (403, "DENIED".to_owned());
            assert_eq!(status("GET", &path, &alice).await, denied, "{path}");
            assert_eq!(status("HEAD", &path, &alice).await, denied, "{path}");
            assert_eq!(status("GET", &path, &anonymous).await.0, 401, "{path}");
            assert_eq!(status("GET", &path, "Bearer x").await.0, 401, "{path}");
        }
        // With another token, the request could succeed.
        let path = format!("/v2/b/{path}");
        assert_eq!(status("GET", &path, &alice).await.0, 401, "{path}");
    }
    assert_eq!(status("PUT", "/v2/a/manifests/one", &alice).await.0, 401);
    assert_eq!(status("POST", "/v2/a/blobs/uploads/", &alice).await.0, 401);
    assert_eq!(status("GET", "/v2/", &alice).await.0, 200);
    // A token that grants it was issued when the rules allowed it.
    let granted = as_account("alice", &["repository:a:pull"]);
    assert_eq!(status("GET", "/v2/a/manifests/one", &granted).await.0, 200);
    let seen = world
        .get("/v2/a/manifests/one", &[("authorization", &alice)])
        .await;
    assert!(
        seen.text()
            .contains(r#"no rule lets \"alice\" pull from a: ask"#),
        "{}",
        seen.text()
    );
}

#[tokio::test]
async fn what_is_switched_off_is_405_to_those_who_may() {
    let issuer = Issuer::new();
    let auth = issuer.bearer(&["repository:a:*"]);
    let headers = [("authorization", auth.as_str())];
    let off = RegistrySettings {
        delete: false,
        ..settings(issuer.auth())
    };
    let world = World::with(off).await;
    for path in ["manifests/one", "manifests/{image}", "blobs/{layer}"] {
        let path = fill(&format!("/v2/a/{path}"), &world.names, "");
        let seen = world.send("DELETE", &path, &headers, b"").await;
        assert_eq!(
            (seen.status, seen.code().as_str()),
            (405, "UNSUPPORTED"),
            "{path}"
        );
        assert_eq!(
            world.send("DELETE", &path, &[], b"").await.status,
            401,
            "{path}"
        );
        assert_eq!(world.get(&path, &headers).await.status, 200, "{path}");
    }
    assert_eq!(
        world
            .send("POST", "/v2/a/blobs/uploads/", &headers, b"")
            .await
            .status,
        202,
        "a push is no delete"
    );
    let world = world.again(RegistrySettings {
        read_only: true,
        ..settings(issuer.auth())
    });
    for (method, path) in [
        ("POST", "blobs/uploads/"),
        ("PUT", "manifests/one"),
        ("DELETE", "manifests/one"),
    ] {
        let seen = world
            .send(method, &format!("/v2/a/{path}"), &headers, b"")
            .await;
        assert_eq!(
            (seen.status, seen.code().as_str()),
            (405, "UNSUPPORTED"),
            "{method} {path}"
        );
        assert!(seen.text().contains("maintenance"));
    }
    for method in ["GET", "HEAD"] {
        assert_eq!(
            world
                .send(method, "/v2/a/manifests/one", &headers, b"")
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn a_realm_can_be_the_origin_that_was_asked() {
    let Authentication::Token(auth) = Issuer::new().auth() else {
        panic!()
    };
    let auth = registry::TokenAuth {
        realm: registry::Realm::Path("/token".into()),
        ..auth
    };
    let mut world = World::with(settings(Authentication::Token(auth))).await;
    let seen = world.get("/v2/", &[("host", "127.0.0.1:5000")]).await;
    assert_eq!(
        parameter(&challenge(&seen), "realm"),
        "http://127.0.0.1:5000/token"
    );
    assert_eq!(seen.header("cache-control"), Some("no-store"));
    world.origin = Some(common::Origin {
        certain: false,
        ..origin("https", "hub.test")
    });
    let seen = world.get("/v2/", &[]).await;
    assert_eq!(
        parameter(&challenge(&seen), "realm"),
        "https://hub.test/token",
        "a realm has a host even if it is not known for sure"
    );
}
