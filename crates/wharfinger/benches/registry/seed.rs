//! What lies in a registry before it is measured.
//!
//! Ours is filled through its storage, the others by pushes. If thousands of the same are wanted, the
//! others get the files that as many pushes would have left.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use database::{DatabaseLocation, SqliteDatabase};
use oci::{Digest, RepositoryName};
use storage::{NewManifest, NewUpload, Storage, StorageSettings, UploadId};
use tokio::task::JoinSet;

use crate::common::load::next;
use crate::content::{self, Content, IMAGE, LARGE, MEDIUM, SMALL};
use crate::servers::{Server, distribution_root, ours_root};

/// The repository of the blobs, the image and what refers to it.
pub(crate) const APP: &str = "bench/app";
/// The repository of many tags.
pub(crate) const TAGGED: &str = "bench/tags";
/// How many it has.
pub(crate) const TAGS: usize = 5_000;
/// How many manifests refer to the image.
const REFERRERS: usize = 100;
/// Writes that are under way at once while ours is filled.
const AT_ONCE: usize = 512;

/// The name of one repository of many.
pub(crate) fn repository(number: usize) -> String {
    format!("team-{:03}/app-{number:06}", number / 1000)
}

/// The name of one tag of many.
pub(crate) fn tag(number: usize) -> String {
    format!("v1.{number:05}")
}

/// The image that every repository has: its manifest, of these blobs.
pub(crate) struct Image {
    pub(crate) manifest: Vec<u8>,
    pub(crate) blobs: Vec<Content>,
}

impl Image {
    /// An image with a blob of each of these sizes, in bytes.
    pub(crate) fn new(sizes: &[usize]) -> Self {
        let blobs: Vec<Content> = sizes.iter().map(|size| Content::new(*size)).collect();
        let layers: Vec<(Digest, usize)> = blobs
            .iter()
            .zip(sizes)
            .map(|(blob, size)| (blob.digest(0), *size))
            .collect();
        Self {
            manifest: content::image(layers[0], &layers, None),
            blobs,
        }
    }

    pub(crate) fn with_large() -> Self {
        Self::new(&[SMALL, MEDIUM, LARGE])
    }

    pub(crate) fn digest(&self) -> Digest {
        content::digest(&self.manifest)
    }
}

/// Fills ours.
pub(crate) fn ours(directory: &Path, image: &Image, repositories: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let root = ours_root(directory);
        fs::create_dir_all(&root).unwrap();
        let database =
            SqliteDatabase::open_exclusive(&DatabaseLocation::at(root.join("wharfinger.db")))
                .unwrap();
        let clock = Arc::new(common::SystemClock);
        let storage = Storage::open(database, root, StorageSettings::default(), clock)
            .await
            .unwrap();
        let app = name(APP);
        for blob in &image.blobs {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&next().to_le_bytes());
            let new = NewUpload {
                id: UploadId::from_random(id),
                repository: app.clone(),
                client: String::new(),
                algorithm: oci::DigestAlgorithm::Sha256,
            };
            let mut upload = storage.put(new).await.unwrap();
            upload.write(blob.bytes(0).into()).await.unwrap();
            upload.finish(blob.digest(0)).await.unwrap();
        }
        push(&storage, image, APP, vec!["latest".to_owned()]).await;
        for number in 0..REFERRERS {
            let referrer = referrer(image, number);
            let manifest = NewManifest::parse(Some(IMAGE), referrer.into(), None).unwrap();
            storage
                .manifests()
                .push(&app, manifest, Vec::new())
                .await
                .unwrap();
        }
        push(&storage, image, TAGGED, (0..TAGS).map(tag).collect()).await;
        let mut tasks = JoinSet::new();
        let shared = Arc::new(Image {
            manifest: image.manifest.clone(),
            blobs: Vec::new(),
        });
        let digests: Arc<Vec<Digest>> =
            Arc::new(image.blobs.iter().map(|blob| blob.digest(0)).collect());
        for number in 0..repositories {
            let (storage, image, digests) =
                (storage.clone(), Arc::clone(&shared), Arc::clone(&digests));
            tasks.spawn(async move {
                let to = repository(number);
                mount(&storage, &digests, &to).await;
                take_in(&storage, &image, &to, vec!["latest".to_owned()]).await;
            });
            if tasks.len() >= AT_ONCE {
                tasks.join_next().await.unwrap().unwrap();
            }
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
}

async fn push(storage: &Storage, image: &Image, to: &str, tags: Vec<String>) {
    let digests: Vec<Digest> = image.blobs.iter().map(|blob| blob.digest(0)).collect();
    mount(storage, &digests, to).await;
    take_in(storage, image, to, tags).await;
}

async fn mount(storage: &Storage, digests: &[Digest], to: &str) {
    for digest in digests {
        storage
            .blobs()
            .mount(digest, &name(APP), &name(to))
            .await
            .unwrap();
    }
}

async fn take_in(storage: &Storage, image: &Image, to: &str, tags: Vec<String>) {
    let manifest = NewManifest::parse(Some(IMAGE), image.manifest.clone().into(), None).unwrap();
    let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    storage
        .manifests()
        .push(&name(to), manifest, tags)
        .await
        .unwrap();
}

/// A manifest that is about the image.
fn referrer(image: &Image, number: usize) -> Vec<u8> {
    let about = (image.digest(), image.manifest.len());
    let blob = (image.blobs[0].digest(0), SMALL);
    let mut manifest = content::image(blob, &[blob], Some(about));
    // JSON may end in blanks, and so each has a digest of its own.
    manifest.extend(std::iter::repeat_n(b' ', number));
    manifest
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

/// Fills one of Distribution's.
pub(crate) fn distribution(server: &Server, directory: &Path, image: &Image, repositories: usize) {
    let mut connection = server.connect();
    for blob in &image.blobs {
        blob.put(&mut connection, APP, "", 0);
    }
    content::put_manifest(&mut connection, APP, "latest", "", &image.manifest);
    let root = distribution_root(directory).join("docker/registry/v2/repositories");
    let link = |path: &str| {
        let path = root.join(path);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("link"), image.digest().to_string()).unwrap();
    };
    let revision = format!("sha256/{}", image.digest().encoded());
    link(&format!("{TAGGED}/_manifests/revisions/{revision}"));
    for number in 0..TAGS {
        link(&format!("{TAGGED}/_manifests/tags/{}/current", tag(number)));
    }
    for number in 0..repositories {
        let repository = repository(number);
        link(&format!("{repository}/_manifests/revisions/{revision}"));
        link(&format!("{repository}/_manifests/tags/latest/current"));
        fs::create_dir_all(root.join(repository).join("_layers/sha256")).unwrap();
    }
}
