//! The addresses in responses behind a proxy.

use common::Origin;
use http::{HeaderMap, HeaderName, HeaderValue};
use registry::{Authentication, RegistrySettings};

use super::script::fill;
use super::world::{World, origin, settings};

/// `https://hub.example/registry/`.
fn outside() -> Origin {
    Origin {
        prefix: "/registry".to_owned(),
        ..origin("https", "hub.example")
    }
}

/// The address of a new upload, without its id.
async fn upload_location(origin: Origin, relative_urls: bool) -> String {
    let mut world = World::with(RegistrySettings {
        relative_urls,
        ..settings(Authentication::Open)
    })
    .await;
    world.origin = Some(origin);
    let seen = world.send("POST", "/v2/a/blobs/uploads/", &[], b"").await;
    seen.header("location")
        .unwrap()
        .rsplit_once('/')
        .unwrap()
        .0
        .to_owned()
}

#[tokio::test]
async fn a_location_is_absolute_only_if_the_origin_is_certain() {
    let uncertain = Origin {
        certain: false,
        ..outside()
    };
    for (origin, relative_urls, expected) in [
        (
            outside(),
            false,
            "https://hub.example/registry/v2/a/blobs/uploads",
        ),
        (outside(), true, "/registry/v2/a/blobs/uploads"),
        (uncertain, false, "/registry/v2/a/blobs/uploads"),
    ] {
        assert_eq!(upload_location(origin, relative_urls).await, expected);
    }
}

#[tokio::test]
async fn every_address_in_a_response_is_the_one_outside_the_proxy() {
    let mut world = World::open().await;
    world.origin = Some(outside());
    let path = |text: &str| fill(text, &world.names, "");
    let blob = world
        .send(
            "POST",
            &path("/v2/a/blobs/uploads/?digest={hello}"),
            &[],
            b"hello",
        )
        .await;
    let outside = path("https://hub.example/registry/v2/a/blobs/{hello}");
    assert_eq!(blob.header("location"), Some(outside.as_str()));
    let tags = world.get("/v2/a/tags/list?n=1", &[]).await;
    assert_eq!(
        tags.header("link"),
        Some("</registry/v2/a/tags/list?n=1&last=all>; rel=\"next\"")
    );
}

#[tokio::test]
async fn the_redirect_to_the_slash_names_no_host_and_is_not_cached() {
    let mut world = World::open().await;
    world.origin = Some(outside());
    let moved = world.get("/v2", &[]).await;
    assert_eq!(
        (
            moved.status,
            moved.header("location"),
            moved.header("cache-control")
        ),
        (301, Some("/registry/v2/"), Some("no-store"))
    );
}

#[tokio::test]
async fn extra_headers_are_on_every_answer() {
    let headers: HeaderMap = [(
        HeaderName::from_static("access-control-allow-origin"),
        HeaderValue::from_static("https://ui.example"),
    )]
    .into_iter()
    .collect();
    let world = World::with(RegistrySettings {
        headers,
        ..settings(Authentication::Open)
    })
    .await;
    for (method, path) in [
        ("GET", "/v2/"),
        ("GET", "/nowhere"),
        ("OPTIONS", "/v2/a/tags/list"),
        ("PUT", "/v2/"),
    ] {
        let seen = world.send(method, path, &[], b"").await;
        assert_eq!(
            seen.header("access-control-allow-origin"),
            Some("https://ui.example"),
            "{method} {path}"
        );
        assert_eq!(
            seen.header("docker-distribution-api-version"),
            Some("registry/2.0"),
            "{method} {path}"
        );
    }
}
