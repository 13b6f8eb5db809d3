//! A registry over storage in a temporary directory, with a little content.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use common::{ClientAddress, Clock, Origin, RequestContext, SystemEntropy};
use database::{DatabaseLocation, SqliteDatabase};
use event::Observers;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use oci::{Descriptor, Digest, DigestAlgorithm, RepositoryName, media_type};
use registry::{
    Authentication, CatalogSettings, CursorKey, HttpResponse, ManifestValidation, PullPermissions,
    Registry, RegistrySettings, TagSettings,
};
use serde_json::json;
use storage::memory::MemoryMetadata;
use storage::{
    Files, MetadataStores, NewManifest, NewUpload, Quotas, Retention, Storage, UploadId,
    UploadLimits, hash,
};
use tempfile::TempDir;

/// The time of all tests.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) storage: Storage,
    pub(crate) directory: TempDir,
    /// What stands for the content: `image` for its digest, `image.bytes` for its bytes, …
    pub(crate) names: BTreeMap<String, String>,
    /// Where clients reach the registry; `None` for the host of each request.
    pub(crate) origin: Option<Origin>,
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Every line of a header, joined as a list.
    pub(crate) fn all(&self, name: &str) -> String {
        let lines: Vec<_> = self
            .headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        lines.join(", ")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The code of the first error.
    pub(crate) fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["errors"][0]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }
}

/// The settings of a registry, with the given authentication.
pub(crate) fn settings(auth: Authentication) -> RegistrySettings {
    RegistrySettings {
        auth,
        relative_urls: false,
        delete: true,
        read_only: false,
        catalog: catalog(None),
        manifest_limit: 4 << 20,
        quotas: Quotas::default(),
        stall: Duration::from_millis(200),
        headers: HeaderMap::new(),
        validation: ManifestValidation::default(),
        tags: TagSettings::default(),
        upload_grace: Duration::ZERO,
        redirects: None,
        upstream: None,
        shared_failures: None,
        observers: Observers::default(),
        outbox: None,
        pulls: None,
        clock: Arc::new(Still),
        entropy: Arc::new(SystemEntropy),
    }
}

/// An origin without a prefix, as the connection itself shows it.
pub(crate) fn origin(scheme: &'static str, host: &str) -> Origin {
    Origin {
        scheme,
        host: Some(host.to_owned()),
        prefix: String::new(),
        certain: true,
    }
}

pub(crate) fn catalog(pull_permissions: Option<Arc<dyn PullPermissions>>) -> CatalogSettings {
    CatalogSettings {
        max: 1000,
        pull_permissions,
        cursors: Arc::new(CursorKey::new(&SystemEntropy).unwrap()),
    }
}

impl World {
    /// A registry in which every client may do everything, with content.
    pub(crate) async fn open() -> Self {
        Self::with(settings(Authentication::Open)).await
    }

    /// A registry with content.
    pub(crate) async fn with(settings: RegistrySettings) -> Self {
        let mut world = Self::bare(settings, storage::StorageSettings::default()).await;
        world.load().await;
        world
    }

    /// A registry without content.
    pub(crate) async fn bare(settings: RegistrySettings, terms: storage::StorageSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database =
            SqliteDatabase::open_exclusive(&DatabaseLocation::at(directory.path().join("w.db")))
                .unwrap();
        let root = directory.path().join("content");
        let storage = Storage::open(database, root, terms, Arc::new(Still))
            .await
            .unwrap();
        Self::on(storage, directory, settings)
    }

    /// As [`open`](Self::open), with metadata in memory.
    pub(crate) async fn in_memory() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::open_exclusive(directory.path().join("content")).unwrap();
        let metadata = MemoryMetadata::new(Retention::default(), Arc::new(Still));
        let storage = Storage::new(
            MetadataStores::new(Arc::new(metadata)),
            Arc::new(files),
            UploadLimits::default(),
        );
        let mut world = Self::on(storage, directory, settings(Authentication::Open));
        world.load().await;
        world
    }

    pub(crate) fn on(storage: Storage, directory: TempDir, settings: RegistrySettings) -> Self {
        Self {
            registry: Registry::new(settings, storage.clone()),
            storage,
            directory,
            names: BTreeMap::new(),
            origin: None,
        }
    }

    /// The client that began the upload at this path.
    pub(crate) async fn upload_client(&self, path: &str) -> String {
        let id = path.rsplit('/').next().unwrap().parse().unwrap();
        let repository = "a".parse().unwrap();
        self.storage.upload_client(&repository, id).await.unwrap()
    }

    /// Another registry over the same storage.
    pub(crate) fn again(self, settings: RegistrySettings) -> Self {
        Self {
            registry: Registry::new(settings, self.storage.clone()),
            ..self
        }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Seen {
        self.send_body(
            method,
            path,
            headers,
            Full::new(Bytes::copy_from_slice(body)),
        )
        .await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Seen {
        self.send("GET", path, headers, b"").await
    }

    pub(crate) async fn send_body<B>(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: B,
    ) -> Seen
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let peer = [127, 0, 0, 1].into();
        let answer = self.respond(peer, method, path, headers, body).await;
        let (head, body) = answer.into_parts();
        let promised = body.size_hint().exact().unwrap();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(
            promised,
            body.len() as u64,
            "a body has the length that it promised"
        );
        Seen {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    }

    /// A response to a client at this address, not yet read.
    pub(crate) async fn respond<B>(
        &self,
        peer: IpAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: B,
    ) -> HttpResponse
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut request = Request::builder().method(method).uri(path);
        let host = headers.iter().find(|(name, _)| *name == "host");
        let host = host.map_or("registry.test", |(_, host)| host);
        let peer = Some(peer);
        let origin = self.origin.clone().unwrap_or_else(|| origin("http", host));
        let client = Ok(ClientAddress::direct(peer));
        let context = RequestContext::new(peer, client, origin, "request-1".to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        self.registry.respond(&context, request).await
    }

    /// Pushes a blob to this repository, and returns its digest.
    pub(crate) async fn blob(&self, repository: &str, content: &[u8]) -> Digest {
        let repository: RepositoryName = repository.parse().unwrap();
        let id = UploadId::from_random([7; 16]);
        let new = NewUpload {
            id,
            repository,
            client: "test".into(),
            algorithm: DigestAlgorithm::Sha256,
        };
        let mut upload = self.storage.put(new).await.unwrap();
        upload.write(Bytes::copy_from_slice(content)).await.unwrap();
        upload.finish(sha256(content)).await.unwrap().digest
    }

    /// Pushes a manifest to this repository.
    pub(crate) async fn manifest(
        &self,
        repository: &str,
        media_type: &str,
        bytes: &str,
        tags: &[&str],
    ) -> Digest {
        let manifest = NewManifest::parse(
            Some(media_type),
            Bytes::copy_from_slice(bytes.as_bytes()),
            None,
        )
        .unwrap();
        let (digest, tags) = (
            manifest.digest(),
            tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        );
        self.storage
            .manifests()
            .push(&repository.parse().unwrap(), manifest, tags)
            .await
            .unwrap();
        digest
    }

    /// Repository `a`: an image, an index of it and three manifests about it. Repository `b`: a
    /// blob of its own, and an image without layers.
    pub(crate) async fn load(&mut self) {
        let (config, layer) = (
            self.blob("a", b"{}").await,
            self.blob("a", b"0123456789").await,
        );
        self.blob("b", b"{}").await;
        let other = self.blob("b", b"only b has this").await;
        let image = image(None, None, 10);
        let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [
            descriptor(media_type::OCI_MANIFEST, &image.to_string()),
            {"mediaType": media_type::OCI_MANIFEST, "digest": sha256(b"sparse"), "size": 7},
        ]});
        let subject = descriptor(media_type::OCI_MANIFEST, &image.to_string());
        let sbom = self::image(Some(&subject), Some("application/x.sbom"), 10);
        let signature = self::image(Some(&subject), None, 10);
        let list = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [], "subject": subject,
            "annotations": {"about": "a list"}});
        let empty = self::image(None, None, 0);
        self.names.extend([
            ("config".to_owned(), config.to_string()),
            ("layer".to_owned(), layer.to_string()),
            ("other".to_owned(), other.to_string()),
            ("none".to_owned(), sha256(b"none").to_string()),
            ("nothing".to_owned(), sha256(b"").to_string()),
            ("hello".to_owned(), sha256(b"hello").to_string()),
            (
                "hello512".to_owned(),
                hash::digest(DigestAlgorithm::Sha512, b"hello").to_string(),
            ),
        ]);
        let manifests = [
            (
                "image",
                "a",
                media_type::OCI_MANIFEST,
                image,
                &["one", "two"][..],
            ),
            ("index", "a", media_type::OCI_INDEX, index, &["all"]),
            ("sbom", "a", media_type::OCI_MANIFEST, sbom, &[]),
            ("signature", "a", media_type::OCI_MANIFEST, signature, &[]),
            ("list", "a", media_type::OCI_INDEX, list, &[]),
            ("empty", "b", media_type::OCI_MANIFEST, empty, &["only"]),
        ];
        for (name, repository, media_type, manifest, tags) in manifests {
            let bytes = manifest.to_string();
            let digest = self.manifest(repository, media_type, &bytes, tags).await;
            self.names.insert(name.to_owned(), digest.to_string());
            self.names
                .insert(format!("{name}.size"), bytes.len().to_string());
            self.names.insert(format!("{name}.bytes"), bytes);
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    hash::digest(DigestAlgorithm::Sha256, bytes)
}

pub(crate) fn descriptor(media_type: &str, content: &str) -> serde_json::Value {
    let descriptor = Descriptor {
        media_type: media_type.to_owned(),
        digest: sha256(content.as_bytes()),
        size: content.len() as u64,
        urls: Vec::new(),
        platform: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
    };
    serde_json::to_value(descriptor).unwrap()
}

/// An image of the configuration `{}` and a layer of that many digits, if any.
fn image(
    subject: Option<&serde_json::Value>,
    artifact_type: Option<&str>,
    layer: usize,
) -> serde_json::Value {
    let layers = ["0123456789"]
        .iter()
        .filter(|_| layer > 0)
        .map(|layer| descriptor("application/x.layer", layer));
    let mut image = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor("application/x.config", "{}"),
        "layers": layers.collect::<Vec<_>>(),
        "annotations": {"made": "by a test"},
    });
    if let Some(subject) = subject {
        image["subject"] = subject.clone();
    }
    if let Some(artifact_type) = artifact_type {
        image["artifactType"] = artifact_type.into();
    }
    image
}
