//! How an image of an index is chosen if platforms are written otherwise, or not at all.

use std::collections::BTreeMap;

use client::{LoginCredentials, Platform, RepositoryClient};

use super::{INDEX, MANIFEST, digest, manifest};
use crate::stub::{Reply, Stub};

async fn index_with(platforms: &[&str]) -> (Stub, RepositoryClient) {
    let image = manifest(b"{}", b"layer");
    let entries: Vec<_> = platforms
        .iter()
        .map(|platform| {
            format!(
                r#"{{"mediaType":"{MANIFEST}","digest":"{}","size":{},"platform":{platform}}}"#,
                digest(image.as_bytes()),
                image.len()
            )
        })
        .collect();
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        entries.join(",")
    );
    let stub = Stub::start(move |request| match request.path.ends_with("/t") {
        true => Reply::new(200).header("Content-Type", INDEX).body(&index),
        false => Reply::new(200)
            .header("Content-Type", MANIFEST)
            .body(&image),
    });
    let repository = stub.repository("a", LoginCredentials::Anonymous).await;
    (stub, repository)
}

#[tokio::test]
async fn an_image_is_chosen_as_containerd_chooses_it() {
    for (offered, wanted) in [
        (r#"{"os":"linux","architecture":"arm"}"#, "linux/arm/v7"),
        (r#"{"os":"linux","architecture":"x86_64"}"#, "linux/amd64"),
        (r#"{"os":"linux","architecture":"amd64"}"#, "x86_64"),
        (
            r#"{"os":"Linux","architecture":"AMD64","variant":"v1"}"#,
            "LINUX/AMD64",
        ),
        (
            r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#,
            "linux/aarch64",
        ),
        (
            r#"{"os":"linux","architecture":"arm","variant":"v6"}"#,
            "armhf",
        ),
        (
            r#"{"os":"linux","architecture":"amd64","variant":null}"#,
            "amd64/v1",
        ),
    ] {
        let (_stub, repository) = index_with(&[offered]).await;
        let platform: Platform = wanted.parse().unwrap();
        let found = repository
            .image(&"t".parse().unwrap(), Some(&platform))
            .await;
        assert!(found.is_ok(), "{offered} {wanted}: {found:?}");
    }
    let (_stub, repository) =
        index_with(&[r#"{"os":"linux","architecture":"s390x"}"#, "null"]).await;
    let platform = "linux/arm64".parse().unwrap();
    let error = repository
        .image(&"t".parse().unwrap(), Some(&platform))
        .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "there is no image for linux/arm64, only for: linux/s390x"
    );
}

/// As containerd does: the configuration of an image names its platform, too.
#[tokio::test]
async fn an_index_without_platforms_is_looked_through() {
    let configs = [
        r#"{"os":"linux","architecture":"amd64"}"#,
        r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#,
    ];
    let images = configs.map(|config| manifest(config.as_bytes(), b"layer"));
    let entries = images.clone().map(|image| {
        let (digest, size) = (digest(image.as_bytes()), image.len());
        format!(r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size}}}"#)
    });
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        entries.join(",")
    );
    let content: BTreeMap<String, String> = images
        .clone()
        .into_iter()
        .chain(configs.map(str::to_owned))
        .map(|content| (digest(content.as_bytes()).to_string(), content))
        .collect();
    let stub =
        Stub::start(
            move |request| match content.get(request.path.rsplit('/').next().unwrap()) {
                Some(content) => Reply::new(200)
                    .header("Content-Type", MANIFEST)
                    .body(content),
                None => Reply::new(200).header("Content-Type", INDEX).body(&index),
            },
        );
    let repository = stub.repository("a", LoginCredentials::Anonymous).await;
    let platform: Platform = "linux/arm64".parse().unwrap();
    let found = repository
        .image(&"t".parse().unwrap(), Some(&platform))
        .await;
    assert_eq!(found.unwrap().digest, digest(images[1].as_bytes()));
}
