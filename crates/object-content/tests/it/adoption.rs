//! Another registry's data in the bucket, as Distribution writes them: adopted where they are.

use std::fmt::Write;

use oci::Digest;
use peers::{Fault, VersityGateway};
use storage::distribution::{AdoptionCheck, AdoptionReport, Discovery, RegistryData};
use storage::{AdoptionStage, Error};

use crate::bucket::{LEAST_PART, World, content, open, settings, sha256};

const BASE: &str = "registry/docker/registry/v2";
const HERE: &str = "s3://content/registry";

/// A repository of the bucket.
struct Layout<'a> {
    gateway: &'a VersityGateway,
    base: String,
    repository: String,
}

impl Layout<'_> {
    fn write(&self, path: &str, content: &str) {
        let key = format!("{}/{path}", self.base);
        self.gateway.write_file(&key, content);
    }

    fn content(&self, content: &str) -> Digest {
        let digest = sha256(content.as_bytes());
        self.write(&data(&digest), content);
        digest
    }

    fn link(&self, place: &str, content: &str) {
        let repository = &self.repository;
        self.write(&format!("repositories/{repository}/{place}/link"), content);
    }

    fn layer(&self, content: &str) -> Digest {
        let digest = self.content(content);
        self.link(&layer(&digest), &digest.to_string());
        digest
    }

    /// An image of these layers.
    fn image(&self, layers: &[&str], tag: &str) -> Digest {
        let mut list = String::new();
        for content in layers {
            let digest = self.layer(content);
            let comma = if list.is_empty() { "" } else { "," };
            let size = content.len();
            let kind = "application/vnd.oci.image.layer.v1.tar";
            write!(
                list,
                r#"{comma}{{"mediaType":"{kind}","digest":"{digest}","size":{size}}}"#
            )
            .unwrap();
        }
        let config = self.layer("{}");
        let digest = self.content(&format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{list}]}}"#
        ));
        let revision = format!("_manifests/revisions/sha256/{}", digest.encoded());
        self.link(&revision, &digest.to_string());
        self.tag(tag, &digest.to_string());
        digest
    }

    fn tag(&self, tag: &str, content: &str) {
        self.link(&format!("_manifests/tags/{tag}/current"), content);
    }
}

fn data(digest: &Digest) -> String {
    let hash = digest.encoded();
    format!("blobs/sha256/{}/{hash}/data", &hash[..2])
}

fn layer(digest: &Digest) -> String {
    format!("_layers/sha256/{}", digest.encoded())
}

fn layout<'a>(world: &'a World, repository: &str) -> Layout<'a> {
    Layout {
        gateway: &world.gateway,
        base: BASE.to_owned(),
        repository: repository.to_owned(),
    }
}

async fn adopt(world: &World) -> AdoptionReport {
    let data = RegistryData::Bucket(HERE);
    let adopted = world.storage.adopt(data, AdoptionCheck::Manifests, |_| {});
    adopted.await.unwrap()
}

/// All content of an image.
async fn pull(world: &World, repository: &str, tag: &str) -> Result<Vec<Vec<u8>>, Error> {
    let (repository, reference) = (repository.parse().unwrap(), tag.parse().unwrap());
    world.storage.ensure_adopted(&repository).await?;
    let found = world.storage.manifests().find(&repository, &reference);
    let found = found.await?;
    let manifest = oci::Manifest::parse(Some(&found.media_type), &found.bytes).unwrap();
    let mut contents = Vec::new();
    for blob in manifest.blobs() {
        let blob = world
            .storage
            .blobs()
            .find(&repository, &blob.digest)
            .await?;
        let mut reader = world.storage.read(&repository, &blob, 0..blob.size).await?;
        let mut content = Vec::new();
        while let Some(chunk) = reader.next().await {
            content.extend_from_slice(&chunk?);
        }
        assert_eq!(sha256(&content), blob.digest);
        contents.push(content);
    }
    Ok(contents)
}

/// The requests that change something below another registry's data.
fn writes(world: &World) -> Vec<String> {
    let mut seen = world.proxy.take_seen();
    seen.retain(|request| {
        let is_read = request.starts_with("GET ") || request.starts_with("HEAD ");
        !is_read && request.contains("docker/")
    });
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_in_a_bucket_are_served_where_they_are() {
    let mut world = World::new(LEAST_PART).await;
    for (repository, text) in [
        ("library/app", "one"),
        ("other", "two"),
        ("a/b/c/d", "three"),
    ] {
        layout(&world, repository).image(&[text, "base"], "1");
    }
    let found = world.storage.discover(RegistryData::Bucket(HERE)).await;
    let Ok(Discovery::Unread(adoption)) = found else {
        panic!("{found:?}")
    };
    // Out of turn: its own links, manifests and blobs, and nothing of the others.
    world.proxy.take_seen();
    let pulled = pull(&world, "other", "1").await.unwrap();
    assert!(pulled.contains(&b"two".to_vec()));
    let seen = world.proxy.take_seen();
    assert!(
        !seen.iter().any(|request| request.contains("library")),
        "{seen:#?}"
    );
    let completed = world.storage.complete_adoption(&adoption, |_| {}).await;
    let report = completed.unwrap();
    assert_eq!(
        (report.of, report.manifests, report.tags, report.blobs),
        (3, 3, 3, 9)
    );
    assert_eq!(report.problems, []);
    for (repository, text) in [("library/app", "one"), ("a/b/c/d", "three")] {
        let pulled = pull(&world, repository, "1").await.unwrap();
        assert!(pulled.contains(&text.as_bytes().to_vec()));
    }
    assert_eq!(writes(&world), [""; 0]);
    assert!(
        world
            .storage
            .unreachable_locations()
            .await
            .unwrap()
            .is_empty()
    );

    // A restarted server finds the blobs by its rows.
    drop(adoption);
    world = world.restarted(LEAST_PART).await;
    assert!(matches!(
        world.storage.discover(RegistryData::Bucket(HERE)).await,
        Ok(Discovery::Nothing)
    ));
    assert_eq!(pull(&world, "other", "1").await.unwrap().len(), 3);

    // Until it is final, what was deleted stays in the bucket.
    let (name, tag) = ("other".parse().unwrap(), "1".parse().unwrap());
    let digest = world
        .storage
        .manifests()
        .find(&name, &tag)
        .await
        .unwrap()
        .digest;
    world
        .storage
        .manifests()
        .remove(&name, &digest)
        .await
        .unwrap();
    let two = format!("{BASE}/{}", data(&sha256(b"two")));
    world
        .storage
        .blobs()
        .unlink(&name, &sha256(b"two"))
        .await
        .unwrap();
    world.collect().await;
    assert!(world.gateway.keys("registry/docker/").contains(&two));
    let finished = world
        .storage
        .finalize_adoption(RegistryData::Bucket(HERE))
        .await;
    assert_eq!(finished.unwrap(), AdoptionStage::Final);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_is_named_and_the_rest_is_served() {
    let world = World::new(LEAST_PART).await;
    let app = layout(&world, "app");
    app.image(&["whole"], "1");
    let missing = sha256(b"missing");
    app.link(&layer(&missing), &missing.to_string());
    let (short, other) = (sha256(b"short"), sha256(b"whole"));
    app.link(&layer(&short), "");
    app.link(&layer(&sha256(b"x")), &format!("{other}\n"));
    app.tag("dangling", &missing.to_string());
    app.tag("empty", "");
    app.link("_manifests/tags/never/index/sha256/x", "");
    app.link("_uploads/1f5e4a57-0a0c-4a05-9f5f-1ab8cb4a1a17", "");
    // What other programs have left there.
    app.write("repositories/readme.txt", "text");
    app.write("repositories/app/notes", "text");
    app.write("repositories/app/_layers/sha256/notes", "text");
    app.write("blobs/sha256/ab/notes", "text");
    app.write("blobs/notes/data", "text");
    let long = "x".repeat(2000);
    app.link(&layer(&sha256(b"long")), &long);
    let report = adopt(&world).await;
    assert_eq!(
        (report.of, report.manifests, report.tags, report.blobs),
        (1, 1, 1, 2)
    );
    let mut problems: Vec<_> = report
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.path, problem.kind))
        .collect();
    problems.sort();
    let at = |path: &str| format!("docker/registry/v2/{path}");
    let mut expected = vec![
        format!(
            "{}: a link to {missing}, which is missing",
            at(&data(&missing))
        ),
        format!(
            "{}/link: a broken link",
            at(&format!("repositories/app/{}", layer(&short)))
        ),
        format!(
            "{}/link: a broken link",
            at(&format!("repositories/app/{}", layer(&sha256(b"x"))))
        ),
        format!(
            "{}/link: cannot be read: larger than anything of its kind",
            at(&format!("repositories/app/{}", layer(&sha256(b"long"))))
        ),
        format!(
            "{}: a link to {missing}, which is missing",
            at("repositories/app/_manifests/tags/dangling/current/link")
        ),
        format!(
            "{}: a broken link",
            at("repositories/app/_manifests/tags/empty/current/link")
        ),
        format!(
            "{}: an upload that was never finished",
            at("repositories/app/_uploads/1f5e4a57-0a0c-4a05-9f5f-1ab8cb4a1a17")
        ),
    ];
    expected.sort();
    assert_eq!(problems, expected);
    assert_eq!(pull(&world, "app", "1").await.unwrap().len(), 2);
    // With every digest checked, a link is read even if its length is right.
    app.link(&layer(&sha256(b"y")), &missing.to_string());
    app.write(&data(&sha256(b"whole")), "wrong");
    let data = RegistryData::Bucket(HERE);
    let checked = world.storage.adopt(data, AdoptionCheck::Everything, |_| {});
    let checked = checked.await.unwrap();
    let changed = format!("its digest is {}", sha256(b"wrong"));
    let is_changed = |text: &str| text.starts_with(&changed);
    assert!(
        checked
            .problems
            .iter()
            .any(|problem| is_changed(&problem.kind.to_string())),
        "{:?}",
        checked.problems
    );
    assert_eq!(checked.problems.len(), expected.len() + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_have_more_than_one_page() {
    let world = World::new(LEAST_PART).await;
    let app = layout(&world, "many");
    app.image(&["first"], "latest");
    for number in 0..1_100 {
        app.layer(&format!("layer {number}"));
    }
    let digest = app.image(&["second"], "second");
    for number in 0..1_050 {
        app.tag(&format!("t{number}"), &digest.to_string());
    }
    for number in 0..1_010 {
        let content = "sha256:00";
        let key = format!("{BASE}/repositories/r{number}/_layers/sha256/00/link");
        world.gateway.write_file(&key, content);
    }
    let report = adopt(&world).await;
    assert_eq!(
        (report.of, report.manifests, report.tags),
        (1_011, 2, 1_052)
    );
    assert_eq!(report.blobs, 1_103);
    assert_eq!(
        report.problems.len(),
        1_010,
        "the links of the others are broken"
    );
    // The blobs are listed, and not asked for one by one.
    let seen = world.proxy.take_seen();
    let heads = seen.iter().filter(|request| request.starts_with("HEAD "));
    assert_eq!(heads.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_skips_nothing() {
    let world = World::new(LEAST_PART).await;
    layout(&world, "app").image(&["one"], "1");
    let data = RegistryData::Bucket(HERE);
    let adoption = world.storage.begin_adoption(data, AdoptionCheck::Manifests);
    let adoption = adoption.await.unwrap();
    world.proxy.fail_all(Some(Fault::Status(403)));
    let away = pull(&world, "app", "1").await;
    assert!(matches!(away, Err(Error::Unavailable { .. })), "{away:?}");
    let failed = world.storage.complete_adoption(&adoption, |_| {}).await;
    assert!(failed.is_err());
    world.proxy.fail_all(None);
    assert_eq!(pull(&world, "app", "1").await.unwrap().len(), 2);
    let completed = world.storage.complete_adoption(&adoption, |_| {}).await;
    assert_eq!(completed.unwrap().problems, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_bucket_of_the_store_is_adopted() {
    let gateway = VersityGateway::start();
    gateway.write_file("unrelated", "x");
    let old = Layout {
        gateway: &gateway,
        base: "elsewhere/docker/registry/v2".to_owned(),
        repository: "app".to_owned(),
    };
    old.image(&["one"], "1");
    let directory = tempfile::tempdir().unwrap();
    let right = settings(&gateway, gateway.host_port(), LEAST_PART);
    let storage = open(&directory, content(&right)).await.unwrap();
    let missing = RegistryData::Bucket("s3://content/nowhere");
    let missing = storage
        .adopt(missing, AdoptionCheck::Manifests, |_| {})
        .await;
    let message = missing.unwrap_err().to_string();
    assert!(
        message.starts_with("s3://content/nowhere has no data"),
        "{message}"
    );
    let elsewhere = RegistryData::Bucket("s3://content/elsewhere/");
    let adopted = storage
        .adopt(elsewhere, AdoptionCheck::Manifests, |_| {})
        .await;
    assert_eq!(adopted.unwrap().manifests, 1);
    drop(storage);
    let storage = open(&directory, content(&right)).await.unwrap();
    let name = "app".parse().unwrap();
    let blob = storage.blobs().find(&name, &sha256(b"one")).await.unwrap();
    let mut reader = storage.read(&name, &blob, 0..3).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap(), b"one".as_slice());
    storage.check_blob(&name, &blob).await.unwrap();
    // Clients are sent to the object that the other registry wrote.
    let url = storage.locate(&blob).await.unwrap().unwrap();
    let path = format!(
        "/content/elsewhere/docker/registry/v2/{}?",
        data(&blob.digest)
    );
    assert!(url.expose().contains(&path), "{}", url.expose());
}
