//! Attaching: files about an image, in an artifact that refers to it (OCI image-spec, manifest.md,
//! "Guidelines for Artifact Usage").

use std::collections::BTreeMap;

use bytes::Bytes;
use oci::{Descriptor, DigestAlgorithm, media_type};
use serde_json::json;

use super::RepositoryClient;
use crate::Error;
use crate::content::{NoProgress, Reuse};
use crate::hasher::DigestHasher;
use crate::manifest::FetchedManifest;

/// The empty configuration: its type and its content.
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &str = "{}";
/// The annotation that holds a file's name (OCI image-spec, annotations.md).
const TITLE: &str = "org.opencontainers.image.title";

/// An artifact to attach.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its type.
    pub artifact_type: String,
    /// Its files. An artifact without files consists of its annotations.
    pub files: Vec<Attachment>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// One file.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its type.
    pub media_type: String,
    /// Its name.
    pub title: Option<String>,
    /// Its content.
    pub content: Bytes,
}

impl RepositoryClient {
    /// Puts the artifact into the repository. It refers to `subject`, which need not exist yet.
    ///
    /// # Errors
    /// When the registry does not accept it.
    pub async fn attach(
        &self,
        artifact: &Artifact,
        subject: &Descriptor,
    ) -> Result<FetchedManifest, Error> {
        let empty = Attachment {
            media_type: EMPTY_TYPE.to_owned(),
            title: None,
            content: Bytes::from_static(EMPTY.as_bytes()),
        };
        match self
            .attach_files(artifact, &empty, subject, Reuse::Blobs)
            .await
        {
            Err(error) if error.is_incomplete_push() => {
                self.attach_files(artifact, &empty, subject, Reuse::Nothing)
                    .await
            }
            attached => attached,
        }
    }

    async fn attach_files(
        &self,
        artifact: &Artifact,
        empty: &Attachment,
        subject: &Descriptor,
        reuse: Reuse,
    ) -> Result<FetchedManifest, Error> {
        let config = self.put_small(empty, reuse).await?;
        let mut layers = Vec::new();
        for file in &artifact.files {
            layers.push(self.put_small(file, reuse).await?);
        }
        if layers.is_empty() {
            layers.push(config.clone());
        }
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": artifact.artifact_type,
            "config": config,
            "layers": layers,
            "subject": { "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size },
        });
        if !artifact.annotations.is_empty() {
            manifest["annotations"] = json!(artifact.annotations);
        }
        let bytes = Bytes::from(manifest.to_string());
        let manifest = FetchedManifest::new(media_type::OCI_MANIFEST.to_owned(), bytes, None, "")?;
        let known = self
            .put_manifest(&manifest, &manifest.digest.into())
            .await?;
        if !known {
            self.enter_referrer(&manifest, &manifest.parsed()?).await?;
        }
        Ok(manifest)
    }

    async fn put_small(&self, file: &Attachment, reuse: Reuse) -> Result<Descriptor, Error> {
        let blob = Descriptor {
            media_type: file.media_type.clone(),
            digest: DigestHasher::digest(DigestAlgorithm::Sha256, &file.content),
            size: file.content.len() as u64,
            urls: Vec::new(),
            platform: None,
            artifact_type: None,
            annotations: file
                .title
                .iter()
                .map(|title| (TITLE.to_owned(), title.clone()))
                .collect(),
        };
        self.upload(&blob, None, reuse, &file.content, &NoProgress)
            .await?;
        Ok(blob)
    }
}
