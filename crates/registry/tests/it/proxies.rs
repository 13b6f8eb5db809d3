//! Behind a proxy: where things are said to be.

use http::{HeaderMap, HeaderName, HeaderValue};
use registry::{Authentication, Origins, Peer, RegistrySettings};

use super::script::fill;
use super::world::{World, settings};

const PROXIED: [(&str, &str); 4] = [
    ("host", "backend:5000"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "hub.example"),
    ("x-forwarded-prefix", "/cargo"),
];

async fn world(origins: Origins) -> World {
    World::with(RegistrySettings {
        origins,
        ..settings(Authentication::Open)
    })
    .await
}

fn trusting(network: &str) -> Origins {
    Origins {
        trusted_proxies: Some(vec![network.parse().unwrap()]),
        ..Origins::default()
    }
}

/// Where an upload begins, without its id.
async fn begun(world: &World) -> String {
    let seen = world
        .send("POST", "/v2/a/blobs/uploads/", &PROXIED, b"")
        .await;
    seen.header("location")
        .unwrap()
        .rsplit_once('/')
        .unwrap()
        .0
        .to_owned()
}

#[tokio::test]
async fn a_location_is_right_behind_a_trusted_proxy_and_relative_behind_another() {
    assert_eq!(
        begun(&world(trusting("127.0.0.0/8")).await).await,
        "https://hub.example/cargo/v2/a/blobs/uploads"
    );
    assert_eq!(
        begun(&world(trusting("10.0.0.0/8")).await).await,
        "/v2/a/blobs/uploads"
    );
    assert_eq!(
        begun(
            &world(Origins {
                relative: true,
                ..Origins::default()
            })
            .await
        )
        .await,
        "/cargo/v2/a/blobs/uploads"
    );
    let public = Origins {
        public_url: Some("https://public.example".into()),
        ..trusting("10.0.0.0/8")
    };
    assert_eq!(
        begun(&world(public).await).await,
        "https://public.example/v2/a/blobs/uploads"
    );
}

#[tokio::test]
async fn every_address_in_an_answer_is_outside_the_proxy() {
    let world = world(trusting("127.0.0.0/8")).await;
    let path = |text: &str| fill(text, &world.names, "");
    let blob = world
        .send(
            "POST",
            &path("/v2/a/blobs/uploads/?digest={cargo}"),
            &PROXIED,
            b"cargo",
        )
        .await;
    let outside = path("https://hub.example/cargo/v2/a/blobs/{cargo}");
    assert_eq!(blob.header("location"), Some(outside.as_str()));
    let tags = world.get("/v2/a/tags/list?n=1", &PROXIED).await;
    assert_eq!(
        tags.header("link"),
        Some("</cargo/v2/a/tags/list?n=1&last=all>; rel=\"next\"")
    );
    let moved = world.get("/v2", &PROXIED).await;
    assert_eq!(
        moved.header("location"),
        Some("https://hub.example/cargo/v2/")
    );
}

#[tokio::test]
async fn tls_shows_in_every_location() {
    let mut world = world(Origins::default()).await;
    world.peer = Peer {
        tls: true,
        ..world.peer
    };
    let moved = world.get("/v2", &[("host", "r.example")]).await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (301, Some("https://r.example/v2/"))
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
